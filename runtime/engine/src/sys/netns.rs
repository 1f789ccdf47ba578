//! What kind of namespace a file is.

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The kind of namespace that an open file is (`CLONE_NEWNET`, …; ioctl_ns(2), Linux 4.11). `ENOTTY`: it is none.
pub fn namespace_kind(file: BorrowedFd) -> Result<i32, Errno> {
    /// include/uapi/linux/nsfs.h: `_IO(0xb7, 3)`.
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: the call takes no argument and only returns a number. A device driver that had the same number would be
    // asked with no argument, too.
    check(unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) } as libc::c_long).map(|kind| kind as i32)
}
