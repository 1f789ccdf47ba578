//! Everything `unsafe` of this crate, each function argued on its own: bpf(2), and an ioctl(2) of nsfs. rustix has
//! neither.

// The one room of this crate where the compiler is told to look away.
#![allow(unsafe_code)]

pub mod bpf;
pub mod netns;

use nix::errno::Errno;

/// Turns a raw system call's result into a `Result`.
fn check(ret: libc::c_long) -> Result<libc::c_long, Errno> {
    if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
}
