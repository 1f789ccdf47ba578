//! All `unsafe` code of this crate: bpf(2), and an ioctl(2) of nsfs, which rustix lacks. Each block says why it is
//! sound.

// The only room of this crate that may use `unsafe`.
#![allow(unsafe_code)]

pub mod bpf;
pub mod netns;

use nix::errno::Errno;

/// Turns a raw system call's result into a `Result`.
fn check(ret: libc::c_long) -> Result<libc::c_long, Errno> {
    if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
}
