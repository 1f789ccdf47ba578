//! mount_setattr(2), which neither nix nor rustix has.

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Read-only.
pub const ATTR_RDONLY: u64 = 0x1;
/// Setuid programs give nothing.
pub const ATTR_NOSUID: u64 = 0x2;
/// Device files do not open.
pub const ATTR_NODEV: u64 = 0x4;
/// Programs can't be executed.
pub const ATTR_NOEXEC: u64 = 0x8;

/// Reading leaves no trace.
pub const ATTR_NOATIME: u64 = 0x10;
/// Every reading leaves one.
pub const ATTR_STRICTATIME: u64 = 0x20;
/// Reading a folder leaves no trace.
pub const ATTR_NODIRATIME: u64 = 0x80;

#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Sets attributes (`ATTR_*`) and propagation (`MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, 0: as it is) of the mount behind
/// a descriptor.
pub fn set_attr(mount: BorrowedFd, attrs: u64, propagation: u64, recursive: bool) -> Result<(), Errno> {
    let attr = MountAttr { attr_set: attrs, attr_clr: 0, propagation, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the struct is the kernel's `struct mount_attr` (uapi/linux/mount.h), its size is passed, the path is
    // empty.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            std::mem::size_of::<MountAttr>(),
        )
    };
    check(ret).map(drop)
}
