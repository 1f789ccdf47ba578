//! One start of the container's init: pipes, cgroups, clone3(2), handshake.

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

/// Clones the child, and waits until it has become the container's program.
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
        birth(cgroup, namespaces(plan.spaces), |cgroups, report| {
            child::run(compiled, Inherited { cgroups, report, netns, ipc, stdio: pipes.child, console })
        })
    })?;
    timings::mark("has cloned the child");
    let master = born.until_exec(|stage, detail| match stage {
        Stage::Op => plan.ops.get(detail as usize).map_or_else(|| stage.describe().into(), |op| op.describe()),
        Stage::Cgroup => describe_cgroup(cgroup, detail),
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

/// Moving the container into this one of its cgroups, for an error message.
pub fn describe_cgroup(cgroup: &CgroupPaths, number: u32) -> String {
    match cgroup.legacy.get(number as usize) {
        Some(folder) => format!("move the container into `{}`", folder.display()),
        None => Stage::Cgroup.describe().to_owned(),
    }
}

/// A child on its way to execve(2).
pub struct Born {
    /// Its pid on the host.
    pub pid: i32,
    /// A descriptor of the process.
    pub pidfd: OwnedFd,
    report: OwnedFd,
}

/// Clones a child into new namespaces, and on cgroup v2 into its cgroup. `run` is called in the child and never returns:
/// it gets the files by which the child enters its cgroups of version 1, and the socket for its report.
pub fn birth<Never>(
    cgroup: &CgroupPaths,
    namespaces: u64,
    run: impl FnOnce(Vec<OwnedFd>, OwnedFd) -> Never,
) -> Result<Born, StartFailure> {
    let (report, report_child) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|e| failure("create a socket pair")(errno(e)))?;
    let unified = match &cgroup.unified {
        Some(path) => Some(open_folder(path).map_err(failure(format!("open the cgroup `{}`", path.display())))?),
        None => None,
    };
    let legacy = cgroup.legacy.iter().map(|folder| {
        let opened = rustix::fs::open(folder.join("tasks"), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        opened.map_err(|e| failure(format!("open the cgroup `{}`", folder.display()))(errno(e)))
    });
    let legacy = legacy.collect::<Result<Vec<_>, _>>()?;
    match clone3(namespaces, unified.as_ref().map(|fd| fd.as_fd())).map_err(failure("clone the container's process"))? {
        Cloned::Child => {
            drop(report);
            run(legacy, report_child);
            crate::sys::exec::exit_now(125)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(report_child);
            Ok(Born { pid, pidfd, report })
        }
    }
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

    /// Waits for the child's execve(2); returns the terminal's master if it opened one.
    /// `describe` names what a stage was doing.
    pub fn until_exec(&self, describe: impl Fn(Stage, u32) -> String) -> Result<Option<OwnedFd>, StartFailure> {
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
