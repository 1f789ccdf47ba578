//! `--init`: a container's first process that starts the real one, forwards signals, and reaps orphans.

use crate::sys::exec::{Forked, execve_args, fork};
use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::Pid;
use rustix::process::WaitOptions;

/// Where the file is bound in the container, without a leading `/`.
pub const PATH_IN_CONTAINER: &str = "dev/rcr-init";

/// Runs `args` as a child and returns the exit code: the child's own, or 128 + its signal.
pub fn run(args: Vec<std::ffi::CString>) -> i32 {
    // In another's pid namespace (`--pid`) it is not the first process: orphans come here all the same.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let blocked = SigSet::all();
    let mut before = SigSet::empty();
    if nix::sys::signal::sigprocmask(nix::sys::signal::SigmaskHow::SIG_SETMASK, Some(&blocked), Some(&mut before))
        .is_err()
    {
        return 125;
    }
    let child = match fork() {
        Err(_) => return 125,
        Ok(Forked::Child) => {
            own_group();
            crate::sys::signal::reset_all();
            let code = match execve_args(&args) {
                Errno::ENOENT => 127,
                _ => 126,
            };
            crate::sys::exec::exit_now(code)
        }
        Ok(Forked::Parent { pid }) => Pid::from_raw(pid),
    };
    loop {
        match crate::sys::signal::wait_any() {
            Ok(libc::SIGCHLD) => {
                if let Some(code) = bury(child) {
                    return code;
                }
            }
            // Job control is the child's own affair; other signals are forwarded.
            Ok(libc::SIGTTIN | libc::SIGTTOU) => {}
            Ok(signal) => {
                let _ = crate::sys::signal::kill(child.as_raw(), signal);
            }
            Err(_) => {}
        }
    }
}

/// The child's own process group, in the foreground where there is a terminal: Ctrl-C then reaches it.
fn own_group() {
    let _ = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
    let stdin = std::io::stdin();
    if nix::unistd::isatty(&stdin).unwrap_or(false) {
        let _ = nix::unistd::tcsetpgrp(&stdin, nix::unistd::getpid());
    }
}

/// Reaps all that has ended; the exit code if `child` is among them.
fn bury(child: Pid) -> Option<i32> {
    let mut code = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get() == child.as_raw() {
            code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
        }
    }
    code
}
