//! `rcr exec`: another process in a running container. This process is its parent; it stays outside, and ends with it.
//!
//! Nothing that `rcr` has open reaches the program: its streams are pipes made for it, which come with the config, or a
//! terminal of the container's own, whose master goes back with the answer.

use super::config::{Answer, CONTROL_FD, ExecConfig, StartFailure};
use super::launch::{birth, describe_cgroup};
use crate::init::child::{self, Inherited};
use crate::init::compiled::{self, Target};
use crate::init::handshake::Stage;
use crate::process::ProcessId;
use crate::sys::fd;
use nix::errno::Errno;
use rcr_base::errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::ThreadNameSpaceType;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Main function: the config comes on descriptor 3, the program's ends of its streams beside it.
/// The answer to `Started` carries the terminal's master, if there is one.
pub fn run() -> i32 {
    let Some(control) = fd::inherited(CONTROL_FD).map(UnixStream::from) else { return 125 };
    if super::server::detach().is_err() {
        return 125;
    }
    let Ok((config, streams)) = rcr_base::recv_frame::<ExecConfig>(&control) else { return 125 };
    let (answer, code) = match start(&config, streams) {
        Err(failure) => (Answer::Failed(failure), 125),
        Ok((pid, pidfd, terminal)) => {
            let note = |action: &str, more: &[(&str, String)]| {
                config.noted.iter().for_each(|process| process.note_with(action, more));
            };
            note(&format!("exec_start: {}", config.process.args.join(" ")), &[]);
            let fds: Vec<_> = terminal.iter().map(|master| master.as_fd()).collect();
            if rcr_base::send_frame(&control, &Answer::Started { pid, timings: Vec::new() }, &fds).is_err() {
                // If rcr is gone, nobody takes the terminal: closing it sends the program SIGHUP.
                drop(terminal);
            }
            let code = wait(&pidfd);
            note("exec_die", &[("exitCode", code.to_string())]);
            (Answer::Exited { code }, code)
        }
    };
    let _ = rcr_base::send_frame(&control, &answer, &[]);
    code
}

fn failed(doing: &str, errno: Errno) -> StartFailure {
    StartFailure { doing: doing.to_owned(), errno: errno as i32, ..StartFailure::default() }
}

fn start(config: &ExecConfig, streams: Vec<OwnedFd>) -> Result<(i32, OwnedFd, Option<OwnedFd>), StartFailure> {
    let gone = || failed("find the container's process", Errno::ESRCH);
    let init = ProcessId { pid: config.init_pid, start: config.init_start }.open().ok_or_else(gone)?;
    let process =
        compiled::compile_process(&config.process).map_err(|error| failed(&error.to_string(), Errno::EINVAL))?;
    let mut streams = streams.into_iter();
    let stdio = config.streams.map(|piped| if piped { streams.next() } else { None });
    rustix::thread::move_into_thread_name_spaces(init.as_fd(), ThreadNameSpaceType::PROCESS_ID)
        .map_err(|e| failed("join the container's pid namespace", errno(e)))?;
    let born = birth(&config.cgroup, 0, |cgroups, report| {
        let console = Target { prefixes: Vec::new() };
        child::run_exec(process, init.as_fd(), Inherited { cgroups, report, netns: None, ipc: None, stdio, console })
    })?;
    let terminal = born.until_exec(|stage, detail| match stage {
        Stage::Cgroup => describe_cgroup(&config.cgroup, detail),
        Stage::Execute => format!("execute `{}`", config.process.args.first().map(String::as_str).unwrap_or_default()),
        Stage::WorkingDirectory => format!("change to the working directory `{}`", config.process.cwd),
        _ => stage.describe().to_owned(),
    })?;
    Ok((born.pid, born.pidfd, terminal))
}

fn wait(pidfd: &OwnedFd) -> i32 {
    loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(Some(status)) => {
                return match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => code,
                    (None, signal) => 128 + signal.unwrap_or(libc::SIGKILL),
                };
            }
            _ => return 125,
        }
    }
}
