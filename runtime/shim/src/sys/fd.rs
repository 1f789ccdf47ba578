//! Descriptors by number.

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Marks every descriptor from `first` on close-on-exec (close_range(2), Linux 5.11), so that no program of a container
/// inherits one.
pub fn cloexec_from(first: RawFd) -> Result<(), Errno> {
    // SAFETY: only sets a flag on descriptors; none is closed here.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Takes over the descriptor `fd` that this process was started with. `None` if it is not open.
pub fn inherited(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the number is in use.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and by our own convention this process was given it to own.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes `to` a copy of `from`, without close-on-exec (dup2(2)).
pub fn dup_onto(from: BorrowedFd, to: RawFd) -> Result<(), Errno> {
    if from.as_raw_fd() == to {
        // SAFETY: clears close-on-exec on an open descriptor.
        return check(unsafe { libc::fcntl(to, libc::F_SETFD, 0) } as libc::c_long).map(drop);
    }
    // SAFETY: what `to` was is closed by the kernel; the callers give only standard descriptors or numbers they
    // planned.
    check(unsafe { libc::dup2(from.as_raw_fd(), to) } as libc::c_long).map(drop)
}
