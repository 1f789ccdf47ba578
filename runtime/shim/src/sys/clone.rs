//! clone3(2), and a cgroup namespace of one's own.

use super::check;
use crate::init::plan::Spaces;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Namespaces a container is born into (`CLONE_NEW*`). Its network namespace comes from netd and is joined; its cgroup
/// namespace is made later, when it is in its cgroup.
pub fn namespaces(own: Spaces) -> u64 {
    let pick = |own: bool, flag: libc::c_int| if own { flag } else { 0 };
    let flags = libc::CLONE_NEWNS
        | pick(own.pid, libc::CLONE_NEWPID)
        | pick(own.uts, libc::CLONE_NEWUTS)
        | pick(own.ipc, libc::CLONE_NEWIPC);
    flags as u64
}

/// `CLONE_INTO_CGROUP` (uapi/linux/sched.h): libc's constant is too narrow for it.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// What [`clone3`] returns in each process.
pub enum Cloned {
    /// This is the new process.
    Child,
    /// This is the old one.
    Parent {
        /// The child's pid.
        pid: i32,
        /// A descriptor of the child.
        pidfd: OwnedFd,
    },
}

/// Clones this process into new namespaces (`flags`, `CLONE_NEW*`), like fork(2): the child has a copy of the memory.
///
/// `cgroup`: a cgroup v2 directory that the child is born into (`CLONE_INTO_CGROUP`, Linux 5.7).
/// The caller must have one thread, or the child may find locks held for ever.
pub fn clone3(flags: u64, cgroup: Option<BorrowedFd>) -> Result<Cloned, Errno> {
    let mut pidfd: i32 = -1;
    // SAFETY: all zero is a valid clone_args: no flags, no pointers.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(dir) = cgroup {
        args.flags |= INTO_CGROUP;
        args.cgroup = dir.as_raw_fd() as u64;
    }
    // SAFETY: no CLONE_VM and no new stack: the child continues on its own copy, as after fork(2). `args` and `pidfd`
    // outlive the call, and the size given is that of the struct.
    let ret = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, std::mem::size_of::<libc::clone_args>()) };
    match check(ret)? {
        0 => Ok(Cloned::Child),
        pid => {
            // SAFETY: the kernel stored a fresh descriptor there, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid: pid as i32, pidfd })
        }
    }
}

/// Leaves the cgroup namespace for a new one, whose root is the cgroup that this process is in.
pub fn unshare_cgroup() -> Result<(), Errno> {
    // SAFETY: plain integer; a cgroup namespace shares no memory or descriptors.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) } as libc::c_long).map(drop)
}
