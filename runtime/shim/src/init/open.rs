//! Opens paths below the container's root, by descriptor and name: symlinks stay inside it. Allocates nothing.

use nix::errno::Errno;
use rcr_base::errno;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// statfs(2) magic of procfs and devpts (uapi/linux/magic.h).
pub const PROC_MAGIC: i64 = 0x9fa0;
pub const DEVPTS_MAGIC: i64 = 0x1cd1;

/// Opens a path below the root; symlinks stay inside it, magic links are refused.
pub fn open_in(root: BorrowedFd, path: &CStr, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    loop {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | resolve;
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
            // EAGAIN: a rename raced with the resolution (openat2(2)).
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => continue,
            other => return other.map_err(errno),
        }
    }
}

/// Calls `act` with the opened parent folder and the last name of `path`, copied to the stack.
pub fn in_parent(
    root: BorrowedFd,
    path: &CStr,
    act: impl FnOnce(BorrowedFd, &CStr) -> rustix::io::Result<()>,
) -> Result<(), Errno> {
    let bytes = path.to_bytes();
    let (parent, name_at) = match bytes.iter().rposition(|b| *b == b'/') {
        Some(at) => (&bytes[..at], at + 1),
        None => (&b"."[..], 0),
    };
    let mut buffer = [0u8; libc::PATH_MAX as usize];
    if parent.len() >= buffer.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    buffer[..parent.len()].copy_from_slice(parent);
    let parent = CStr::from_bytes_until_nul(&buffer).map_err(|_| Errno::EINVAL)?;
    let dir = open_in(root, parent, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty())?;
    let name = CStr::from_bytes_with_nul(&path.to_bytes_with_nul()[name_at..]).map_err(|_| Errno::EINVAL)?;
    act(dir.as_fd(), name).map_err(errno)
}
