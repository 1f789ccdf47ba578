//! The last resort: ending processes.

use rcr_shim::process::ProcessId;
use rcr_shim::state::State;
use std::os::fd::AsFd;

/// Kills a running container's init and its shim, and waits for both, if the shim does not answer. False: one of them
/// remains.
pub fn kill_by_force(state: &State) -> bool {
    let mut gone = true;
    for process in [state.init, state.shim].into_iter().flatten() {
        gone &= kill_and_wait(&process);
    }
    gone
}

fn kill_and_wait(process: &ProcessId) -> bool {
    let Some(pidfd) = process.open() else { return true };
    if rcr_shim::sys::signal::send(pidfd.as_fd(), libc::SIGKILL) == Err(nix::errno::Errno::EPERM) {
        return false;
    }
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready == 1)
}
