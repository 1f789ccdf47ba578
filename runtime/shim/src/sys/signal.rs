//! Signals: by pidfd, and the state a program starts with.

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sends a signal to the process behind a pidfd: it can't hit a reused pid.
pub fn send(pidfd: BorrowedFd, signal: i32) -> Result<(), Errno> {
    // SAFETY: a null siginfo asks for what kill(2) would send.
    let ret = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    check(ret).map(drop)
}

/// Gives every signal its default action and unblocks them all, as a new program expects.
pub fn reset_all() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL installs no handler; numbers that can't be set answer EINVAL, which does not matter.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an empty set on the stack, no old set asked for.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Waits for any signal (sigwaitinfo(2)); all must be blocked. By number: the libraries' enumerations know no real-time
/// signals.
pub fn wait_any() -> Result<i32, Errno> {
    // SAFETY: the set lives on the stack; no information beyond the number is asked for.
    let signal = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::sigwaitinfo(&raw const set, std::ptr::null_mut())
    };
    check(signal.into()).map(|signal| signal as i32)
}

/// Sends a signal by number (kill(2)).
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}
