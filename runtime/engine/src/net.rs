//! netd's client: a blocking socket; netd is started when it does not answer. Every wait has an end: a limit, or a
//! signal.

use crate::dirs::Dirs;
use netd_api::{Call, ContainerId, Reply, Request, SandboxInfo};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rcr_base::{Doing, Error, Kind, Outcome, io_text};
use rcr_base::{FrameError, recv_many, send_frame, sibling};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long an answer may take: it may wait for a LAN's DHCP server, for the cluster's store, and for other clients.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same after one wait has timed out: undoing must not wait as long again.
const NO_PATIENCE: Duration = Duration::from_millis(500);
/// How long a frame that has begun may take.
const FRAME_PATIENCE: Duration = Duration::from_secs(10);
/// The interval of polling for what can't be waited for.
const LOOK: Duration = Duration::from_millis(20);

static HUNG: AtomicBool = AtomicBool::new(false);

/// A connection. A sandbox made over it belongs to it until a shim holds it.
pub struct Netd {
    stream: UnixStream,
}

impl Netd {
    /// Connects; if nobody answers, starts netd and connects again.
    pub fn connect(dirs: &Dirs, config: Option<&Path>) -> Outcome<Self> {
        let socket = dirs.run.join(netd_api::SOCKET_NAME);
        let mut wait = Wait::new()?;
        let stream = match wait.connect(&socket)? {
            Ok(stream) => stream,
            Err(error) if absent(&error) => {
                spawn(dirs, config, &mut wait)?;
                wait.connect(&socket)?.doing(|| format!("cannot connect to netd at `{}`", socket.display()))?
            }
            Err(error) => {
                let failure = Error::io(format!("cannot connect to netd at `{}`", socket.display()), &error).kind(
                    match error.kind() {
                        io::ErrorKind::PermissionDenied => Kind::Permission,
                        _ => Kind::Unavailable,
                    },
                );
                return Err(match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        failure.hint("run rcr as root, or join the group `rcr` for listings")
                    }
                    _ => failure,
                });
            }
        };
        Ok(Self { stream })
    }

    /// Connects if netd runs; does not start it.
    pub fn connect_running(dirs: &Dirs) -> Option<Self> {
        let socket = dirs.run.join(netd_api::SOCKET_NAME);
        let stream = Wait::new().ok()?.connect(&socket).ok()?.ok()?;
        Some(Self { stream })
    }

    /// Sends a request; [receive](Netd::receive) its reply before the next one.
    pub fn send(&mut self, call: Call, fds: &[BorrowedFd]) -> Outcome<()> {
        send_frame(&self.stream, &Request::new(call), fds).map_err(broken)
    }

    /// The reply to the last request, with its descriptors.
    pub fn receive(&mut self) -> Outcome<(Reply, Vec<OwnedFd>)> {
        Wait::new()?.readable(&self.stream)?;
        match recv_many::<Reply>(&self.stream).map_err(broken)? {
            (Reply::Error(error), _) => Err(error),
            other => Ok(other),
        }
    }

    /// One request, one reply.
    pub fn call(&mut self, call: Call) -> Outcome<Reply> {
        self.send(call, &[])?;
        self.receive().map(|(reply, _)| reply)
    }

    /// A request that is answered with a sandbox.
    pub fn sandbox(&mut self, call: Call) -> Outcome<(SandboxInfo, Option<OwnedFd>)> {
        self.send(call, &[])?;
        self.receive_sandbox()
    }

    /// The reply to a request that is answered with a sandbox.
    pub fn receive_sandbox(&mut self) -> Outcome<(SandboxInfo, Option<OwnedFd>)> {
        match self.receive()? {
            (Reply::Sandbox(info), mut fds) => Ok((info, fds.pop())),
            (other, _) => Err(unexpected(&other)),
        }
    }
}

/// Releases a container's network. If netd does not run, there is nothing to release.
pub fn release(dirs: &Dirs, id: &ContainerId) -> Outcome<()> {
    match Netd::connect_running(dirs) {
        Some(mut netd) => netd.call(Call::SandboxRelease { id: id.clone() }).map(drop),
        None => Ok(()),
    }
}

/// A wait for netd. INT, TERM and the like end it even when they are blocked because they are the container's.
struct Wait {
    signals: SignalFd,
    until: Instant,
}

impl Wait {
    fn new() -> Outcome<Self> {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect();
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        let signals = signals.map_err(io::Error::from).doing(|| "cannot listen for signals")?;
        let patience = if HUNG.load(Ordering::Relaxed) { NO_PATIENCE } else { PATIENCE };
        Ok(Self { signals, until: Instant::now() + patience })
    }

    /// Waits until there is something to read. A signal or the limit ends the wait with an error.
    fn readable(&mut self, stream: &UnixStream) -> Outcome<()> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            let limit = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let (answer, signal) = {
                let mut fds = [PollFd::new(stream, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
                match poll(&mut fds, Some(&limit)) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(io::Error::from(errno)).doing(|| "cannot wait for netd"),
                }
                (!fds[0].revents().is_empty(), !fds[1].revents().is_empty())
            };
            if answer {
                return Ok(());
            }
            if signal {
                return Err(self.interrupted());
            }
            self.in_time()?;
        }
    }

    /// Waits a moment for what can't be polled.
    fn moment(&mut self) -> Outcome<()> {
        self.in_time()?;
        let mut fds = [PollFd::new(&self.signals, PollFlags::IN)];
        let limit = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
        match poll(&mut fds, Some(&limit)) {
            Ok(1..) => Err(self.interrupted()),
            _ => Ok(()),
        }
    }

    fn in_time(&self) -> Outcome<()> {
        if Instant::now() < self.until {
            return Ok(());
        }
        HUNG.store(true, Ordering::Relaxed);
        Err(Error::new(Kind::Unavailable, "netd does not answer")
            .caused_by(format!("no answer within {} s (ETIMEDOUT)", PATIENCE.as_secs()))
            .hint("containers keep running without it: kill the netd whose pid is in `netd.pid` in the run folder, and the next command starts another"))
    }

    fn interrupted(&mut self) -> Error {
        HUNG.store(true, Ordering::Relaxed);
        let number = self.signals.read_signal().ok().flatten().map_or(libc::SIGINT, |info| info.ssi_signo as i32);
        let name = Signal::try_from(number).map_or("a signal", Signal::as_str);
        Error::new(Kind::Interrupted(number), "cannot wait for netd's answer").caused_by(format!("received {name}"))
    }

    /// Connects. The outer result is the wait's.
    fn connect(&mut self, socket: &Path) -> Outcome<io::Result<UnixStream>> {
        loop {
            match rcr_base::connect(socket, Duration::ZERO) {
                // Its queue is full.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.moment()?,
                Err(error) => return Ok(Err(error)),
                Ok(stream) => return Ok(with_limits(stream)),
            }
        }
    }

    /// Waits for a program's end, and kills it if it takes too long.
    fn child(&mut self, child: &mut Child) -> Outcome<io::Result<std::process::ExitStatus>> {
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(Ok(status)),
                Err(error) => return Ok(Err(error)),
                Ok(None) => {}
            }
            if let Err(failure) = self.moment() {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failure);
            }
        }
    }
}

/// A frame that has begun must end in time.
fn with_limits(stream: UnixStream) -> io::Result<UnixStream> {
    stream.set_write_timeout(Some(FRAME_PATIENCE))?;
    stream.set_read_timeout(Some(FRAME_PATIENCE))?;
    Ok(stream)
}

fn broken(error: FrameError) -> Error {
    Error::new(Kind::Unavailable, "the connection to netd broke")
        .caused_by(error.to_string())
        .hint("netd's log (`netd.log` in the run folder) may say why; try again")
}

/// netd answered something other than was asked for: the versions don't match.
pub fn unexpected(reply: &Reply) -> Error {
    let name = format!("{reply:?}");
    let name = name.split(['(', ' ']).next().unwrap_or_default().to_owned();
    Error::new(Kind::Version, "netd gave an unexpected answer")
        .caused_by(format!("`{name}`"))
        .hint("rcr and netd must be from the same build")
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Starts netd and waits until its socket answers.
fn spawn(dirs: &Dirs, config: Option<&Path>, wait: &mut Wait) -> Outcome<()> {
    // Users other than root hear from netd itself why it can't be started.
    dirs.ensure().or_else(|failure| if rustix::process::geteuid().is_root() { Err(failure) } else { Ok(()) })?;
    let program = sibling("netd");
    let mut command = Command::new(&program);
    command.args(["--daemon", "--errors=json"]).arg("--root").arg(&dirs.root).arg("--run").arg(&dirs.run);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    let failed = |error: io::Error| {
        Error::new(Kind::System, "cannot start netd")
            .caused_by(format!("execute `{}`: {}", program.display(), io_text(&error)))
            .hint("netd must be installed beside rcr")
    };
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(failed)?;
    let status = wait.child(&mut child)?.map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    Err(what_netd_said(&said))
}

/// netd's error: as data, or as the text that is left when it could not report one.
fn what_netd_said(said: &str) -> Error {
    const DOING: &str = "cannot start netd";
    match serde_json::from_str::<Error>(said) {
        Ok(error) if error.message == DOING => error,
        Ok(error) => error.during(DOING),
        Err(_) => Error::new(Kind::Unavailable, DOING).caused_by(said.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_netd_says_is_data_and_what_it_can_not_say_is_kept() {
        let said = Error::new(Kind::InUse, "cannot start netd").caused_by("another netd").hint("use its `--run`");
        assert_eq!(what_netd_said(&serde_json::to_string(&said).unwrap()), said);
        let config = Error::new(Kind::Invalid, "cannot read the configuration `x`").caused_by("line 1");
        let got = what_netd_said(&serde_json::to_string(&config).unwrap());
        assert_eq!((got.kind, got.message.as_str(), got.causes.len()), (Kind::Invalid, "cannot start netd", 2));
        let got = what_netd_said("thread 'main' panicked\n");
        assert_eq!((got.kind, got.causes), (Kind::Unavailable, vec!["thread 'main' panicked".to_owned()]));
    }
}
