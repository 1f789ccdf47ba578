//! All `unsafe` code of this crate; each block says why it is sound.
//!
//! What rustix offers safely is used directly elsewhere. This room holds what it lacks: clone3(2), mount_setattr(2),
//! execve(2) and execveat(2), seccomp(2), keyctl(2), close_range(2), getcwd(2) into a given buffer, descriptors and
//! signals by number (rustix knows no real-time signals), and giving memory back.

// The only room of this crate that may use `unsafe`.
#![allow(unsafe_code)]

pub mod clone;
pub mod exec;
pub mod fd;
pub mod keyring;
pub mod memory;
pub mod mount;
pub mod seccomp;
pub mod signal;

use nix::errno::Errno;

/// Turns a raw system call's result into a `Result`.
pub(crate) fn check(ret: libc::c_long) -> Result<libc::c_long, Errno> {
    if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
}
