//! Another process in a running container. Its streams are pipes of its own, or a terminal whose master we get: no
//! descriptor of ours reaches the container.

use crate::cgroup;
use crate::create::env::{set, set_default};
use crate::events::subjects;
use crate::instance::Instance;
use crate::monitor::refuse_paused;
use crate::names;
use crate::program::{self, Program};
use crate::spawn;
use crate::start::start_failure;
use crate::store::Container;
use rcr_base::{Doing, Error, FrameError, Kind, Outcome, command, recv_frame, send_frame};
use rcr_shim::config::{Answer, ExecConfig};
use rcr_shim::launch::Pipes;
use rcr_shim::process::ProcessId;
use rcr_shim::state::Status;
use rustix::termios::Winsize;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The request for a process. Absent fields are as in the container.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `NAME=value`, added to the container's.
    pub env: Vec<String>,
    /// `user[:group]`.
    pub user: Option<String>,
    /// An absolute path.
    pub workdir: Option<String>,
    /// All capabilities, no seccomp filter.
    pub privileged: bool,
    /// It gets a terminal of its own.
    pub terminal: bool,
    /// The terminal's rows and columns.
    pub terminal_size: Option<(u16, u16)>,
    /// Its stdin is a pipe.
    pub stdin: bool,
    /// Nobody stays connected; it outlives the caller.
    pub detached: bool,
}

/// What became of it.
pub enum Executed {
    /// It runs.
    Running(Process),
    /// It has ended already.
    Ended(i32),
}

/// A running process, with our ends of its streams.
pub struct Process {
    /// Its pid as we see it.
    pub pid: i32,
    /// The pipe to its stdin, if it was asked for.
    pub stdin: Option<OwnedFd>,
    /// stdout and stderr.
    pub outputs: [Option<OwnedFd>; 2],
    /// Takes the place of all three.
    pub terminal: Option<OwnedFd>,
    /// Readable when it has ended.
    pub control: UnixStream,
}

impl Process {
    /// Sends it a signal, if it still runs.
    pub fn signal(&self, signal: i32) {
        if let Some(pidfd) = ProcessId::of(self.pid).and_then(|process| process.open()) {
            let _ = rcr_shim::sys::signal::send(pidfd.as_fd(), signal);
        }
    }

    /// Tells its terminal how large the user's is.
    pub fn resize(&self, rows: u16, columns: u16) {
        if let Some(terminal) = &self.terminal {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            let _ = rustix::termios::tcsetwinsize(terminal, size);
        }
    }

    /// Opens the terminal's other side, to hold it while no program has it open: then it does not hang up.
    pub fn hold_terminal(&self) -> Option<OwnedFd> {
        self.terminal.as_ref().and_then(|terminal| rcr_shim::terminal::hold(terminal.as_fd()).ok())
    }

    /// Its exit code, once [`Process::control`] is readable.
    pub fn end(&self) -> Outcome<i32> {
        match recv_frame::<Answer>(&self.control) {
            Ok((Answer::Exited { code }, _)) => Ok(code),
            _ => Err(Error::new(Kind::Unavailable, "the program's shim is gone")
                .caused_by("it ended without reporting an exit code")),
        }
    }
}

/// The request that runs a container's health check.
pub fn check(instance: &Instance, name: &str) -> Outcome<Exec> {
    let container = instance.containers().find(name)?;
    let check = container.config.health.as_ref().ok_or_else(|| {
        Error::new(Kind::Conflict, format!("container `{}` has no health check", container.config.name))
            .hint("`--health-cmd` gives one to a new container")
    })?;
    Ok(Exec { command: check.command(), ..Exec::default() })
}

/// Starts it.
pub fn exec(instance: &Instance, name: &str, wanted: &Exec) -> Outcome<Executed> {
    let container = instance.containers().find(name)?;
    let name = &container.config.name;
    let program = wanted.command.first().map(String::as_str).unwrap_or_default();
    let doing = || format!("cannot run `{program}` in container `{name}`");
    refuse_paused(&container, &format!("run `{program}` in"))?;
    if container.state.status != Status::Running {
        return Err(Error::new(Kind::Conflict, doing())
            .caused_by(format!("it is {}", container.state.status.name()))
            .hint(format!("start it with {}", command::start(name))));
    }
    let pipes = if wanted.detached || wanted.terminal { Ok(Pipes::none()) } else { Pipes::new(wanted.stdin) };
    let pipes = pipes.doing(|| "cannot create pipes")?;
    let mut config = exec_config(&container, wanted, pipes.child.each_ref().map(Option::is_some)).doing(doing)?;
    if let Ok(id) = names::new_id() {
        let noted = subjects::container(&instance.dirs, &container.config).with("execID", id.as_str());
        noted.note(&format!("exec_create: {}", wanted.command.join(" ")));
        config.noted = Some(noted);
    }
    let (control, _) = spawn::shim("exec")?;
    let streams: Vec<_> = pipes.child.iter().flatten().map(|end| end.as_fd()).collect();
    let broken = |e: FrameError| Error::new(Kind::Unavailable, doing()).caused_by(e.to_string());
    send_frame(&control, &config, &streams).map_err(broken)?;
    // Held open here, it would keep the stream from ending.
    drop(pipes.child);
    let (answer, mut fds) = recv_frame::<Answer>(&control).map_err(broken)?;
    match answer {
        Answer::Started { pid, .. } => Ok(Executed::Running(Process {
            pid,
            stdin: pipes.stdin,
            outputs: pipes.outputs,
            terminal: fds.pop(),
            control,
        })),
        Answer::Failed(failure) => Err(start_failure(failure).during(doing())),
        Answer::Exited { code } => Ok(Executed::Ended(code)),
    }
}

fn program_of(wanted: &Exec) -> Program {
    Program {
        command: wanted.command.clone(),
        user: wanted.user.clone(),
        workdir: wanted.workdir.clone(),
        privileged: wanted.privileged,
        terminal: wanted.terminal,
        terminal_size: wanted.terminal_size,
        outlives_its_parent: wanted.detached,
    }
}

fn exec_config(container: &Container, wanted: &Exec, streams: [bool; 3]) -> Outcome<ExecConfig> {
    let Container { config, state } = container;
    let init = state.init.ok_or_else(|| Error::new(Kind::Conflict, "its process is gone"))?;
    let mut env = config.process.env.clone();
    if wanted.terminal {
        set_default(&mut env, "TERM=xterm");
    }
    for variable in &wanted.env {
        set(&mut env, variable.clone());
    }
    let paths = cgroup::paths(&cgroup::kind()?, config);
    let process = program::plan(config, &program_of(wanted), env)?;
    Ok(ExecConfig { process, streams, init_pid: init.pid, init_start: init.start, cgroup: paths, noted: None })
}
