//! All `unsafe` code of this crate: bpf(2), an ioctl(2) of nsfs, and what the kernel counts of a packet socket, which
//! rustix lacks. Each block says why it is
//! sound.

// The only room of this crate that may use `unsafe`.
#![allow(unsafe_code)]

pub mod bpf;
pub mod netns;
pub mod packet;

use nix::errno::Errno;

/// Turns a raw system call's result into a `Result`.
fn check(ret: libc::c_long) -> Result<libc::c_long, Errno> {
    if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
}
