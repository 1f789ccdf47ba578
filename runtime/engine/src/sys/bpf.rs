//! Loading a cgroup's device program.

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

// uapi/linux/bpf.h; libc has none of it.
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
/// Beside the programs of the cgroups above, not instead of them.
const ALLOW_MULTI: u32 = 2;

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes what is missing for zero.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// The beginning of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads a device program, 8 bytes an instruction (bpf(2), `BPF_PROG_LOAD`).
///
/// EACCES, EINVAL: the verifier refuses it, or the kernel has no CONFIG_CGROUP_BPF; EPERM: needs CAP_BPF or
/// CAP_SYS_ADMIN.
pub fn load_device_program(program: &[u64]) -> Result<OwnedFd, Errno> {
    let attr = Load {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"rcr_devices\0\0\0\0\0",
    };
    let size = std::mem::size_of::<Load>();
    // SAFETY: the kernel reads `attr` of that size, the program and the licence, all of which outlive the call.
    let fd = check(unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attr, size) })?;
    // SAFETY: a fresh descriptor, which nobody else owns; the kernel sets close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Binds the program to a cgroup's folder (bpf(2), `BPF_PROG_ATTACH`): it stays there until the cgroup is gone.
pub fn attach_device_program(cgroup: BorrowedFd, program: BorrowedFd) -> Result<(), Errno> {
    let attr = Attach {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: ALLOW_MULTI,
    };
    let size = std::mem::size_of::<Attach>();
    // SAFETY: the kernel reads `attr` of that size; both descriptors are borrowed and therefore open.
    check(unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attr, size) }).map(drop)
}
