//! One start of the container's init: pipes, clone3(2), cgroup, handshake.

use super::config::{CgroupPaths, StartFailure};
use super::log::Stream;
use crate::init::child::{self, Inherited};
use crate::init::compiled::{CompiledPlan, Target};
use crate::init::handshake::{self, Message, Stage};
use crate::init::mounts;
use crate::init::plan::InitPlan;
use crate::others::Others;
use crate::sys::clone::{Cloned, clone3, namespaces};
use crate::terminal;
use nix::errno::Errno;
use rcr_base::{errno, timings};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A running init with our ends of its stdio.
pub struct Running {
    /// Its pid on the host.
    pub pid: i32,
    /// A descriptor of the process; readable when it has ended.
    pub pidfd: OwnedFd,
    /// The pipe to its stdin.
    pub stdin: Option<OwnedFd>,
    /// stdout and stderr while they are open; with a terminal its master is the first, and there is no second.
    outputs: [Option<OwnedFd>; 2],
    /// Its streams are one terminal.
    pub terminal: bool,
    /// The terminal's other side, held while no process in the container has it open.
    held: Option<OwnedFd>,
    ended: bool,
}

impl Running {
    /// Where a stream's output comes from, if it is open.
    pub fn output(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.outputs[stream as usize].as_ref().map(|fd| fd.as_fd())
    }

    /// Where input goes.
    pub fn input(&self) -> Option<BorrowedFd<'_>> {
        if self.terminal { self.output(Stream::Stdout) } else { self.stdin.as_ref().map(|fd| fd.as_fd()) }
    }

    /// Nobody has the other side open. A pipe has ended then; a terminal may be opened again by its name until init
    /// ends.
    pub fn close_output(&mut self, stream: Stream) {
        self.held = match self.output(stream) {
            Some(master) if self.terminal && !self.ended => terminal::hold(master).ok(),
            _ => None,
        };
        if self.held.is_none() {
            self.outputs[stream as usize] = None;
        }
    }

    /// Init has ended: what can be read now is all there will be.
    pub fn end(&mut self) {
        self.ended = true;
        self.held = None;
    }

    /// Makes our ends non-blocking.
    fn unblock(&self) {
        for fd in self.outputs.iter().chain([&self.stdin]).flatten() {
            let _ = rustix::io::ioctl_fionbio(fd, true);
        }
    }
}

/// The container's ends of its standard streams, and ours. `None` stands for the container's `/dev/null`.
pub struct Pipes {
    /// stdin, stdout and stderr, for the container.
    pub child: [Option<OwnedFd>; 3],
    /// Our end of stdin.
    pub stdin: Option<OwnedFd>,
    /// Our ends of stdout and stderr.
    pub outputs: [Option<OwnedFd>; 2],
}

impl Pipes {
    /// Pipes for output, and for input if there is any.
    pub fn new(stdin: bool) -> Result<Self, Errno> {
        let (stdin_child, stdin) =
            if stdin { pipe().map(|(read, write)| (Some(read), Some(write)))? } else { (None, None) };
        let (stdout, stdout_child) = pipe()?;
        let (stderr, stderr_child) = pipe()?;
        let child = [stdin_child, Some(stdout_child), Some(stderr_child)];
        Ok(Self { child, stdin, outputs: [Some(stdout), Some(stderr)] })
    }

    /// None: a terminal takes their place, or the program has no streams.
    pub fn none() -> Self {
        Self { child: [None, None, None], stdin: None, outputs: [None, None] }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(errno)
}

/// `/dev/null`, for reading and writing.
pub fn open_null() -> Result<OwnedFd, Errno> {
    rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(errno)
}

fn failure(doing: impl Into<String>) -> impl FnOnce(Errno) -> StartFailure {
    let doing = doing.into();
    move |errno| StartFailure { doing, errno: errno as i32, ..StartFailure::default() }
}

/// Clones the child, moves it into its cgroup, lets it go on, and waits until it has become the container's program.
pub fn launch(
    plan: &InitPlan,
    mut compiled: CompiledPlan,
    netns: Option<&OwnedFd>,
    mut others: Others,
    stdin: bool,
    cgroup: &CgroupPaths,
) -> Result<Running, StartFailure> {
    for (op, compiled) in plan.ops.iter().zip(&mut compiled.ops) {
        mounts::mount_of_host(compiled).map_err(failure(op.describe()))?;
    }
    let terminal = plan.process.terminal;
    let pipes = if terminal { Pipes::none() } else { Pipes::new(stdin).map_err(failure("create pipes"))? };
    let netns = netns.map(|fd| fd.try_clone()).transpose();
    let netns =
        netns.map_err(|e| failure("keep the network namespace")(Errno::from_raw(e.raw_os_error().unwrap_or(0))))?;
    let console = Target { prefixes: vec![c"dev".to_owned(), c"dev/console".to_owned()] };
    let ipc = others.take_ipc();
    let born = others.around_birth(|| {
        birth(cgroup, namespaces(plan.spaces), |go, report| {
            child::run(compiled, Inherited { go, report, netns, ipc, stdio: pipes.child, console })
        })
    })?;
    timings::mark("has cloned the child and moved it into its cgroups");
    let master = born.until_exec(|stage, detail| match stage {
        Stage::Op => plan.op(detail as usize).map_or_else(|| stage.describe().into(), |op| op.describe()),
        _ => describe_stage(stage, plan),
    })?;
    timings::mark("sees that the program runs");
    let Born { pid, pidfd, .. } = born;
    let outputs = match (terminal, master) {
        (false, _) => pipes.outputs,
        (true, Some(master)) => [Some(master), None],
        (true, None) => return Err(failure("receive the container's terminal")(Errno::EBADMSG)),
    };
    let running = Running { pid, pidfd, stdin: pipes.stdin, outputs, terminal, held: None, ended: false };
    running.unblock();
    Ok(running)
}

fn describe_stage(stage: Stage, plan: &InitPlan) -> String {
    match stage {
        Stage::Execute => format!("execute `{}`", plan.process.args.first().map(String::as_str).unwrap_or_default()),
        Stage::WorkingDirectory => format!("change to the working directory `{}`", plan.process.cwd),
        _ => stage.describe().to_owned(),
    }
}

/// A child that waits until it may go on.
pub struct Born {
    /// Its pid on the host.
    pub pid: i32,
    /// A descriptor of the process.
    pub pidfd: OwnedFd,
    go: OwnedFd,
    report: OwnedFd,
}

/// Clones a child into new namespaces and into the cgroup; `run` is called in the child and never returns.
pub fn birth<Never>(
    cgroup: &CgroupPaths,
    namespaces: u64,
    run: impl FnOnce(OwnedFd, OwnedFd) -> Never,
) -> Result<Born, StartFailure> {
    let (go_child, go) = pipe().map_err(failure("create pipes"))?;
    let (report, report_child) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|e| failure("create a socket pair")(errno(e)))?;
    let unified = match &cgroup.unified {
        Some(path) => Some(open_folder(path).map_err(failure(format!("open the cgroup `{}`", path.display())))?),
        None => None,
    };
    match clone3(namespaces, unified.as_ref().map(|fd| fd.as_fd())).map_err(failure("clone the container's process"))? {
        Cloned::Child => {
            drop((go, report));
            run(go_child, report_child);
            crate::sys::exec::exit_now(125)
        }
        Cloned::Parent { pid, pidfd } => {
            drop((go_child, report_child));
            let born = Born { pid, pidfd, go, report };
            for folder in &cgroup.legacy {
                let procs = folder.join("cgroup.procs");
                std::fs::write(&procs, pid.to_string()).map_err(|e| {
                    born.give_up();
                    failure(format!("move the container into `{}`", folder.display()))(os_error(&e))
                })?;
            }
            Ok(born)
        }
    }
}

fn os_error(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(errno)
}

impl Born {
    fn give_up(&self) {
        let _ = crate::sys::signal::send(self.pidfd.as_fd(), libc::SIGKILL);
        let _ = rustix::process::waitid(
            rustix::process::WaitId::PidFd(self.pidfd.as_fd()),
            rustix::process::WaitIdOptions::EXITED,
        );
    }

    /// Lets the child go on and waits for its execve(2); returns the terminal's master if it opened one.
    /// `describe` names what a stage was doing.
    pub fn until_exec(&self, describe: impl Fn(Stage, u32) -> String) -> Result<Option<OwnedFd>, StartFailure> {
        match rustix::io::write(&self.go, b"g") {
            // It failed before it read this: its report says how.
            Ok(_) | Err(rustix::io::Errno::PIPE) => {}
            Err(e) => return Err(failure("let the container's process go on")(errno(e))),
        }
        let mut terminal = None;
        loop {
            match handshake::receive(&self.report) {
                Ok(Message::Terminal(master)) => terminal = Some(master),
                Ok(Message::End) => return Ok(terminal),
                Ok(Message::Failed(report)) => {
                    self.give_up();
                    return Err(StartFailure {
                        doing: describe(report.stage, report.detail),
                        errno: report.errno as i32,
                        execute: report.stage == Stage::Execute,
                        lookup: matches!(report.stage, Stage::ResolveUser | Stage::ResolveGroup),
                        other_gone: report.stage == Stage::JoinIpc,
                    });
                }
                Err(errno) => {
                    self.give_up();
                    return Err(failure("read the report of the container's process")(errno));
                }
            }
        }
    }
}
