//! The shim's event loop: one thread, one poll(2) (`ready`); how it ends is in `end`, its health check in `health`,
//! pausing in `pause`, what clients ask for in `requests`.

mod end;
mod health;
mod noted;
mod pause;
mod ready;
mod requests;

use super::check::Checks;
use super::client::{Client, Role};
use super::config::{Answer, CONTROL_FD, ShimConfig, StartFailure};
use super::launch::{self, Running};
use super::log::{Log, Stream};
use super::others::Others;
use super::protocol::{SOCKET_NAME, kind};
use crate::init::compiled;
use crate::process::ProcessId;
use crate::state::{State, Status};
use crate::sys::fd;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rcr_base::{errno, timings};
use rustix::process::DumpableBehavior;
use rustix::termios::Winsize;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// Docker's restart delays: doubled from 100 ms up to a minute, and forgotten after ten seconds of running.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
const GOOD_RUN: Duration = Duration::from_secs(10);
/// Bytes for the container's stdin that may wait here.
const MAX_INPUT: usize = 1 << 18;

/// Everything the loop works on.
struct Shim {
    config: ShimConfig,
    netns: Option<OwnedFd>,
    listener: UnixListener,
    signals: SignalFd,
    clients: Vec<Client>,
    /// The process that started us, until it says that netd holds the network and the container may stay. Until then
    /// output waits. If it goes without that word, the container ends, too: nobody would know of it.
    starter: Option<UnixStream>,
    running: Option<Running>,
    log: Log,
    state: State,
    /// The state's file as it was written last. As long as it is open, readers know that this process lives.
    state_file: Option<File>,
    /// Bytes for the container's stdin.
    input: Vec<u8>,
    close_input: bool,
    started: Instant,
    delay: Duration,
    restart_at: Option<Instant>,
    kill_at: Option<Instant>,
    /// When memory is given back that only starting and talking need.
    tidy_at: Option<Instant>,
    stopping: bool,
    /// Processes that the kernel had killed for want of memory when a run ended last.
    oom_kills: u64,
    checks: Option<Checks>,
    /// What netd was told last: whether the container is healthy.
    told_healthy: bool,
    /// It is to start again once it has ended, whatever its policy.
    restart_wanted: bool,
}

/// How long after something was done memory is given back.
const QUIET: Duration = Duration::from_secs(1);

/// The shim's main function: serves one container until its end.
pub fn run() -> i32 {
    let Some(control) = fd::inherited(CONTROL_FD) else { return 125 };
    let control = UnixStream::from(control);
    if detach().is_err() {
        return 125;
    }
    let Ok((config, mut fds)) = rcr_base::recv_frame::<ShimConfig>(&control) else { return 125 };
    if config.timings {
        timings::keep("shim");
        timings::mark("has its orders");
    }
    let netns = fds.pop();
    match Shim::start(config, netns) {
        Err(failure) => {
            let _ = rcr_base::send_frame(&control, &Answer::Failed(failure), &[]);
            125
        }
        Ok(mut shim) => {
            let pid = shim.running.as_ref().map_or(0, |r| r.pid);
            let _ = rcr_base::send_frame(&control, &Answer::Started { pid, timings: timings::take() }, &[]);
            shim.starter = Some(control);
            shim.tidy_soon();
            shim.serve();
            0
        }
    }
}

/// Leaves the terminal and the folder that `rcr` was started in, and makes this process untraceable.
pub(super) fn detach() -> Result<(), Errno> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(errno)?;
    let _ = nix::unistd::setsid();
    nix::unistd::chdir("/")?;
    let null = launch::open_null()?;
    for number in 0..3 {
        fd::dup_onto(null.as_fd(), number)?;
    }
    fd::cloexec_from(3)
}

fn io_failure(doing: &str) -> impl FnOnce(io::Error) -> StartFailure {
    let doing = doing.to_owned();
    move |error| StartFailure { doing, errno: error.raw_os_error().unwrap_or(libc::EIO), ..StartFailure::default() }
}

fn errno_failure(doing: &str) -> impl FnOnce(Errno) -> StartFailure {
    let doing = doing.to_owned();
    move |errno| StartFailure { doing, errno: errno as i32, ..StartFailure::default() }
}

impl Shim {
    fn start(config: ShimConfig, netns: Option<OwnedFd>) -> Result<Self, StartFailure> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.thread_block().map_err(errno_failure("block signals"))?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        let mut ignored = SigSet::empty();
        ignored.extend([Signal::SIGPIPE, Signal::SIGHUP]);
        ignored.thread_block().map_err(errno_failure("block signals"))?;
        let log = Log::open(config.log.clone()).map_err(io_failure("open the container's log"))?;
        let listener = listen(&config).map_err(io_failure("listen on the shim's socket"))?;
        let checks = config.health.clone().map(Checks::new);
        let mut shim = Self {
            state: State { shim: ProcessId::of(std::process::id() as i32), ..State::created() },
            state_file: None,
            config,
            netns,
            listener,
            signals: signals.map_err(errno_failure("listen for signals"))?,
            clients: Vec::new(),
            starter: None,
            running: None,
            log,
            input: Vec::new(),
            close_input: false,
            started: Instant::now(),
            delay: FIRST_DELAY,
            restart_at: None,
            kill_at: None,
            tidy_at: None,
            stopping: false,
            oom_kills: 0,
            checks,
            told_healthy: false,
            restart_wanted: false,
        };
        shim.launch()?;
        Ok(shim)
    }

    fn launch(&mut self) -> Result<(), StartFailure> {
        let config = &self.config;
        if config.plan.root.volatile {
            // Left by the run before; overlayfs refuses a second mount as long as it is there (overlayfs.rst, "Volatile
            // mount").
            let _ = std::fs::remove_dir_all(config.plan.root.work.join("work/incompat"));
        }
        let compiled = compiled::compile(&config.plan).map_err(|e| errno_failure(&e.to_string())(Errno::EINVAL))?;
        let others = Others::find(&config.joins)?;
        let running =
            launch::launch(&config.plan, compiled, self.netns.as_ref(), others, config.stdin, &config.cgroup)?;
        self.state.init = ProcessId::of(running.pid).or(Some(ProcessId { pid: running.pid, start: 0 }));
        self.state.status = Status::Running;
        self.state.started_at = Some(now());
        self.state.finished_at = None;
        self.state.oom_killed = false;
        self.started = Instant::now();
        self.running = Some(running);
        self.restart_checks();
        self.save();
        self.note_start();
        Ok(())
    }

    fn save(&mut self) {
        // A full disk must not end the container; the state on disk is then behind, and the next write catches up.
        if let Ok(file) = self.state.write_held(&self.config.run_dir) {
            self.state_file = Some(file);
        }
        if let Some(folder) = &self.config.keep_dir {
            let _ = self.state.write(folder);
        }
    }

    fn serve(&mut self) {
        loop {
            let ready = self.wait();
            if ready.signal {
                self.on_signal();
            }
            if ready.listener {
                self.accept();
            }
            if ready.starter {
                self.on_starter();
            }
            for index in ready.clients {
                self.on_client(index);
            }
            for index in ready.lent {
                self.clients[index].pass_on();
                self.tidy_soon();
            }
            for stream in ready.outputs {
                self.copy_output(stream);
            }
            if ready.stdin {
                self.feed_stdin();
            }
            if ready.check_output {
                self.on_check_output();
            }
            if ready.check {
                self.on_check_answer();
            }
            self.drop_finished();
            if ready.exited && self.on_exit() {
                return;
            }
            if self.on_time() {
                return;
            }
            self.tell_health();
        }
    }

    fn on_signal(&mut self) {
        // The host is shutting down, or somebody ends us by hand: the container is stopped as `rcr stop` would.
        while let Ok(Some(_)) = self.signals.read_signal() {
            let (signal, timeout) = (self.config.stop_signal, self.config.stop_timeout);
            self.stop(signal, timeout);
        }
    }

    fn on_starter(&mut self) {
        let Some(control) = self.starter.take() else { return };
        match rcr_base::recv_frame::<bool>(&control) {
            Ok((false, _)) => {}
            Ok((true, _)) => {
                let role = Role::Attached { stdin: self.config.stdin };
                self.clients.extend(Client::new(control, role));
            }
            Err(_) => {
                self.stopping = true;
                self.state.error = Some("its start was interrupted".into());
                let _ = self.kill(libc::SIGKILL);
            }
        }
    }

    fn accept(&mut self) {
        if let Ok((stream, _)) = self.listener.accept()
            && let Ok(client) = Client::new(stream, Role::New)
        {
            self.clients.push(client);
        }
    }

    fn on_frame(&mut self, index: usize, frame: u8, payload: &[u8]) {
        let Role::Attached { stdin } = self.clients[index].role else { return };
        match (frame, payload) {
            (kind::STDIN, bytes) if stdin => {
                self.input.extend_from_slice(bytes);
                self.feed_stdin();
            }
            (kind::CLOSE_STDIN, _) if stdin && self.config.stdin_once => {
                self.close_input = true;
                self.feed_stdin();
            }
            (kind::RESIZE, &[r0, r1, c0, c1]) => {
                let (rows, columns) = (u16::from_le_bytes([r0, r1]), u16::from_le_bytes([c0, c1]));
                // The next run begins with it.
                self.config.plan.process.terminal_size = Some((rows, columns));
                if let Some(terminal) = self.running.as_ref().filter(|r| r.terminal).and_then(Running::input) {
                    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
                    let _ = rustix::termios::tcsetwinsize(terminal, size);
                    self.note("resize", &[("height", rows.to_string()), ("width", columns.to_string())]);
                }
            }
            (kind::SIGNAL, &[a, b, c, d]) => {
                let _ = self.kill(i32::from_le_bytes([a, b, c, d]));
            }
            _ => {}
        }
    }

    fn feed_stdin(&mut self) {
        let Some(running) = &mut self.running else { return };
        while !self.input.is_empty() {
            let Some(stdin) = running.input() else {
                self.input.clear();
                break;
            };
            match rustix::io::write(stdin, &self.input) {
                Ok(written) => drop(self.input.drain(..written)),
                Err(rustix::io::Errno::AGAIN) => return,
                Err(rustix::io::Errno::INTR) => {}
                // Nobody reads it any more.
                Err(_) => {
                    self.input.clear();
                    self.close_input = true;
                }
            }
        }
        if self.close_input {
            running.stdin = None;
        }
    }

    /// Copies what the container wrote to the log and the clients. False: there is nothing (more) there.
    fn copy_output(&mut self, stream: Stream) -> bool {
        let Some(running) = &mut self.running else { return false };
        let Some(fd) = running.output(stream) else { return false };
        let mut buffer = [0u8; 32 * 1024];
        match rustix::io::read(fd, &mut buffer) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            // A terminal answers EIO when its last process has closed it.
            Ok(0) | Err(_) => {
                running.close_output(stream);
                false
            }
            Ok(got) => {
                self.log.write(stream, &buffer[..got]);
                let frame = if stream == Stream::Stdout { kind::STDOUT } else { kind::STDERR };
                for client in self.clients.iter_mut().filter(|c| matches!(c.role, Role::Attached { .. })) {
                    client.push_output(frame, &buffer[..got]);
                    client.flush();
                }
                true
            }
        }
    }

    /// There was something to do. Often more follows, and a short container ends: what it took is given back later.
    fn tidy_soon(&mut self) {
        self.tidy_at.get_or_insert_with(|| Instant::now() + QUIET);
    }

    fn drop_finished(&mut self) {
        let before = self.clients.len();
        self.clients.retain(|client| !client.is_finished());
        if self.clients.len() < before {
            self.tidy_soon();
        }
    }
}

fn listen(config: &ShimConfig) -> io::Result<UnixListener> {
    let path = config.run_dir.join(SOCKET_NAME);
    let _ = std::fs::remove_file(&path);
    let listener = rcr_base::with_short_path(&path, |path| UnixListener::bind(path))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn now() -> String {
    format!("{:.9}", jiff::Timestamp::now())
}
