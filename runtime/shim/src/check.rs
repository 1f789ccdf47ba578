//! A health check that runs: at most one at a time, started as `rcr exec` starts a program.

use crate::config::{Answer, CONTROL_FD, CgroupPaths, ExecConfig};
use crate::health::{Health, HealthPlan};
use crate::process::ProcessId;
use crate::sys::exec::{CStrings, Forked, exit_now, fexecve, fork};
use crate::sys::{fd, signal};
use nix::errno::Errno;
use rcr_base::errno;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitOptions, waitpid};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Bytes of output that are kept.
const MAX_OUTPUT: usize = 4096;
/// How long a killed run may take to end.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// The check of one container.
pub struct Checks {
    /// What is run, and when.
    pub plan: HealthPlan,
    /// What it has found.
    pub known: Health,
    /// When the next run is due.
    pub next_at: Option<Instant>,
    /// The run that goes on.
    pub current: Option<Run>,
}

impl Checks {
    /// Nothing is known yet, and nothing is due.
    pub fn new(plan: HealthPlan) -> Self {
        Self { plan, known: Health::starting(), next_at: None, current: None }
    }

    /// A new run of the container begins.
    pub fn restart(&mut self) {
        self.current = None;
        self.known = Health::starting();
        let first = if self.plan.schedule.start_period.is_zero() {
            self.plan.schedule.interval
        } else {
            self.plan.schedule.start_interval
        };
        self.next_at = Some(Instant::now() + first);
    }

    /// The container has ended, or is about to halt.
    pub fn stop(&mut self) {
        (self.current, self.next_at) = (None, None);
    }

    /// The container goes on after a halt.
    pub fn go_on(&mut self) {
        self.next_at = Some(Instant::now() + self.plan.schedule.interval);
    }

    /// When the loop has to look at it next.
    pub fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().map(|run| run.deadline).or(self.next_at)
    }

    /// What the loop waits for: the answers of a run, and its output.
    pub fn descriptors(&self) -> Option<(BorrowedFd<'_>, Option<BorrowedFd<'_>>)> {
        self.current.as_ref().map(|run| (run.control.as_fd(), run.output.as_ref().map(|output| output.as_fd())))
    }
}

/// One run of the check.
pub struct Run {
    control: UnixStream,
    /// The child of ours that is the program's parent.
    parent: Pid,
    output: Option<OwnedFd>,
    program: Option<ProcessId>,
    text: Vec<u8>,
    killed: bool,
    /// RFC 3339.
    pub begun: String,
    /// When it has taken too long.
    pub deadline: Instant,
}

impl Drop for Run {
    /// No run outlives its container's, and no child of ours is left unburied.
    fn drop(&mut self) {
        self.kill_program();
        let _ = rustix::process::kill_process(self.parent, rustix::process::Signal::KILL);
        let _ = waitpid(Some(self.parent), WaitOptions::empty());
    }
}

impl Run {
    /// Starts the program in the container of `init`.
    pub fn begin(plan: &HealthPlan, init: ProcessId, cgroup: &CgroupPaths, begun: String) -> Result<Self, Errno> {
        let (output, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(errno)?;
        rustix::io::ioctl_fionbio(&output, true).map_err(errno)?;
        let pair = UnixStream::pair();
        let (control, child) = pair.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
        let run = Self {
            parent: start(&child)?,
            control,
            output: Some(output),
            program: None,
            text: Vec::new(),
            killed: false,
            begun,
            deadline: Instant::now() + plan.schedule.timeout,
        };
        drop(child);
        let config = ExecConfig {
            process: plan.process.clone(),
            streams: [false, true, true],
            init_pid: init.pid,
            init_start: init.start,
            cgroup: cgroup.clone(),
            noted: None,
        };
        let sent = rcr_base::send_frame(&run.control, &config, &[theirs.as_fd(), theirs.as_fd()]);
        sent.map(|()| run).map_err(|_| Errno::EPIPE)
    }

    /// Reads what the program's parent says: absent: it runs; else its exit code, and what is to be said about it.
    pub fn answer(&mut self) -> Option<(i32, String)> {
        match rcr_base::recv_frame::<Answer>(&self.control) {
            Ok((Answer::Started { pid, .. }, _)) => {
                self.program = ProcessId::of(pid);
                None
            }
            Ok((Answer::Exited { .. }, _)) if self.killed => Some(TOO_LONG).map(|(code, why)| (code, why.to_owned())),
            Ok((Answer::Exited { code }, _)) => Some((code, String::new())),
            Ok((Answer::Failed(failure), _)) => {
                Some((-1, format!("{}: {}", failure.doing, Errno::from_raw(failure.errno).desc())))
            }
            Err(_) => Some((-1, "it ended without an answer".to_owned())),
        }
    }

    /// It has taken too long. True: it was killed before, and does not end.
    pub fn overdue(&mut self) -> bool {
        if self.killed {
            return true;
        }
        self.killed = true;
        self.kill_program();
        self.deadline = Instant::now() + LAST_PATIENCE;
        false
    }

    fn kill_program(&self) {
        if let Some(pidfd) = self.program.and_then(|process| process.open()) {
            let _ = signal::send(pidfd.as_fd(), libc::SIGKILL);
        }
    }

    /// Reads what the program has written; what is too much is thrown away. True: there may be more.
    pub fn read_output(&mut self) -> bool {
        let Some(output) = &self.output else { return false };
        let mut buffer = [0; MAX_OUTPUT];
        match rustix::io::read(output, &mut buffer) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            Ok(0) | Err(_) => {
                self.output = None;
                false
            }
            Ok(got) => {
                let room = MAX_OUTPUT.saturating_sub(self.text.len());
                self.text.extend_from_slice(&buffer[..got.min(room)]);
                true
            }
        }
    }

    /// All that it has written, and what is to be said about it.
    pub fn text(mut self, why: &str) -> String {
        // A child that it has left behind may write for ever.
        for _ in 0..64 {
            if !self.read_output() {
                break;
            }
        }
        let mut text = String::from_utf8_lossy(&self.text).into_owned();
        if !why.is_empty() {
            text.push_str(if text.is_empty() || text.ends_with('\n') { "" } else { "\n" });
            text.push_str(why);
        }
        text
    }
}

/// The exit code of a run that was killed, and the reason.
pub const TOO_LONG: (i32, &str) = (-1, "it took too long");

/// Executes this program's file again, as the parent of one process in the container. It is on the read-only mount that
/// we were started from.
fn start(control: &UnixStream) -> Result<Pid, Errno> {
    let program = rustix::fs::open("/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(errno)?;
    // Numbers up to the control socket's are about to be overwritten in the child.
    let program = rustix::io::fcntl_dupfd_cloexec(&program, CONTROL_FD + 1).map_err(errno)?;
    let string = |text: &str| CString::new(text).unwrap_or_default();
    let argv = CStrings::new(vec![string("rcr-shim"), string("exec")]);
    let env = CStrings::new(Vec::new());
    match fork()? {
        Forked::Child => {
            signal::reset_all();
            let code = match fd::dup_onto(control.as_fd(), CONTROL_FD) {
                Ok(()) => fexecve(program.as_fd(), &argv, &env) as i32,
                Err(errno) => errno as i32,
            };
            exit_now(code)
        }
        Forked::Parent { pid } => Pid::from_raw(pid).ok_or(Errno::ESRCH),
    }
}
