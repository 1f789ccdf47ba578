//! The runtime's system calls: everything `unsafe` of this package lives here, each function argued on its own.
//!
//! What nix or rustix offer safely is used directly elsewhere; this room holds only what they lack (clone3(2),
//! mount_setattr(2), raw credential calls without glibc's thread broadcast, execveat(2), capset(2), seccomp(2), bpf(2)).

pub mod bpf;
pub mod clone;
pub mod creds;
pub mod exec;
pub mod fd;
pub mod memory;
pub mod mount;
pub mod seccomp;
pub mod signal;
pub mod tty;

use nix::errno::Errno;

/// Turns a raw system call's result into a `Result`.
pub(crate) fn check(ret: libc::c_long) -> Result<libc::c_long, Errno> {
    if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
}
