//! netd's client: a blocking socket; netd is started when it does not answer.

use crate::container::store::Dirs;
use crate::report::{Doing, Failure, Outcome, io_text};
use crate::shim::protocol::with_short_path;
use netd_api::{Call, FrameError, Reply, Request, SandboxInfo, recv_frame, send_frame};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A connection. What a sandbox call makes belongs to it until it is held by a shim.
pub struct Netd {
    stream: UnixStream,
}

impl Netd {
    /// Connects; if nobody answers, starts netd and connects again.
    pub fn connect(dirs: &Dirs, config: Option<&Path>) -> Outcome<Self> {
        let socket = dirs.run.join(netd_api::SOCKET_NAME);
        let connect = || with_short_path(&socket, UnixStream::connect);
        let stream = match connect() {
            Ok(stream) => stream,
            Err(error) if absent(&error) => {
                spawn(dirs, config)?;
                connect().doing(|| format!("cannot connect to netd at `{}`", socket.display()))?
            }
            Err(error) => {
                let failure =
                    Failure::new(format!("cannot connect to netd at `{}`", socket.display())).because(io_text(&error));
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

    /// Connects only if netd is there already.
    pub fn connect_running(dirs: &Dirs) -> Option<Self> {
        let socket = dirs.run.join(netd_api::SOCKET_NAME);
        with_short_path(&socket, UnixStream::connect).ok().map(|stream| Self { stream })
    }

    /// Sends a request; its reply is to be [received](Netd::receive) before the next one.
    pub fn send(&mut self, call: Call, fds: &[RawFd]) -> Outcome<()> {
        send_frame(&self.stream, &Request::new(call), fds).map_err(broken)
    }

    /// The reply to the last request, with its descriptors.
    pub fn receive(&mut self) -> Outcome<(Reply, Vec<OwnedFd>)> {
        match recv_frame::<Reply>(&self.stream).map_err(broken)? {
            (Reply::Error(error), _) => Err(error.into()),
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

fn broken(error: FrameError) -> Failure {
    Failure::new("the connection to netd broke")
        .because(error.to_string())
        .hint("netd's log (`netd.log` in the run folder) may say why; the command can be repeated")
}

/// netd answered something else than was asked for: versions that don't fit.
pub fn unexpected(reply: &Reply) -> Failure {
    let name = format!("{reply:?}");
    let name = name.split(['(', ' ']).next().unwrap_or_default().to_owned();
    Failure::new("netd gave an unexpected answer")
        .because(format!("`{name}`"))
        .hint("rcr and netd must come from one build")
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Where a program of ours is: beside this one, else in `/usr/libexec/rcr`, `/usr/local/libexec/rcr`, else in `PATH` under its bare name.
pub fn sibling(name: &str) -> PathBuf {
    let own = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    let fixed = ["/usr/local/libexec/rcr", "/usr/libexec/rcr", "/usr/local/sbin", "/usr/sbin"].map(PathBuf::from);
    own.into_iter().chain(fixed).map(|dir| dir.join(name)).find(|path| path.is_file()).unwrap_or_else(|| name.into())
}

/// Starts netd and waits until its socket answers.
fn spawn(dirs: &Dirs, config: Option<&Path>) -> Outcome<()> {
    let program = sibling("netd");
    let mut command = Command::new(&program);
    command.arg("--daemon").arg("--root").arg(&dirs.root).arg("--run").arg(&dirs.run);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| {
        Failure::new("cannot start netd")
            .because(format!("execute `{}`: {}", program.display(), io_text(&error)))
            .hint("netd must lie beside rcr")
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(what_netd_said(&String::from_utf8_lossy(&output.stderr)))
}

/// netd's last words in our form: its `caused by:` and `hint:` lines are ours.
fn what_netd_said(text: &str) -> Failure {
    let mut failure = Failure::new("cannot start netd");
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        failure = match line.split_once(": ") {
            Some(("error", "cannot start netd")) => failure,
            Some(("error" | "caused by", why)) => failure.because(why),
            Some(("hint", way_out)) => failure.hint(way_out),
            _ => failure.because(line),
        };
    }
    failure
}
