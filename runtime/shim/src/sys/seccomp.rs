//! Loading a compiled seccomp filter.

use super::check;
use nix::errno::Errno;

/// Installs one classic BPF program, 8 bytes an instruction, for this thread (seccomp(2), SECCOMP_SET_MODE_FILTER).
pub fn install(program: &[u64]) -> Result<(), Errno> {
    let len = libc::c_ushort::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let fprog = libc::sock_fprog { len, filter: program.as_ptr() as *mut libc::sock_filter };
    // SAFETY: sock_filter is 8 bytes without padding, the slice is at least as strictly aligned, and the kernel only
    // reads.
    let ret = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const fprog) };
    check(ret).map(drop)
}
