//! The socket: who may ask what, and a thread per connection that frames, waits and asks the writer.

use super::guests::{Guest, Guests};
use super::log::Log;
use super::shared_calls::Settled;
use super::state::{Answer, Input};
use crate::cluster::Cluster;
use crate::kernel::receive_fd;
use netd_api::{API_VERSION, ApiError, Call, ContainerId, ErrorKind, Reply, Request};
use rcr_base::{FrameError, READERS, open_to_readers, readers, recv_frame, send_frame, with_short_path};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, sync_channel};
use std::time::Duration;

/// How long a shim may take to answer.
const SHIM_PATIENCE: Duration = Duration::from_secs(5);

/// Whether a netd answers below `run`. A connection alone says nothing: the socket of one that is dying still takes some.
pub fn answers(run: &Path) -> bool {
    let socket = run.join(netd_api::SOCKET_NAME);
    let ask = || -> Result<Reply, FrameError> {
        let stream = rcr_base::connect(&socket, SHIM_PATIENCE)?;
        stream.set_read_timeout(Some(SHIM_PATIENCE))?;
        send_frame(&stream, &Request::new(Call::Version), &[])?;
        Ok(recv_frame(&stream)?.0)
    };
    matches!(ask(), Ok(Reply::Version(_)))
}

/// Binds the socket. Whoever holds the pid file's lock may replace a socket that was left.
pub fn bind(run: &Path) -> Result<UnixListener, String> {
    let path = run.join(netd_api::SOCKET_NAME);
    let _ = std::fs::remove_file(&path);
    let failed = |error: io::Error| format!("bind socket `{}`: {}", path.display(), super::options::why(&error));
    let old = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let bound = with_short_path(&path, |path| UnixListener::bind(path));
    nix::sys::stat::umask(old);
    let listener = bound.map_err(failed)?;
    if let Some(gid) = readers() {
        std::os::unix::fs::chown(&path, None, Some(gid)).map_err(failed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
        open_to_readers(run).map_err(failed)?;
    }
    Ok(listener)
}

/// Removes the socket.
pub fn unbind(run: &Path) {
    let _ = std::fs::remove_file(run.join(netd_api::SOCKET_NAME));
}

/// Accepts on a thread of its own.
pub fn accept_forever(listener: UnixListener, inbox: Sender<Input>, cluster: Option<Cluster>, log: Log) {
    let work = move || {
        let guests = Arc::new(Guests::default());
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Out of descriptors: what is open may close.
                std::thread::sleep(Duration::from_millis(50));
                continue;
            };
            let Some(guest) = guests.admit(stream) else { continue };
            let connection = Connection { guest, inbox: inbox.clone(), cluster: cluster.clone() };
            let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(move || connection.serve());
            if let Err(error) = thread {
                log.line(format!("a connection was turned away: {error}"));
            }
        }
    };
    // Without this thread netd is of no use; the first connection would show it.
    let _ = std::thread::Builder::new().name("accept".into()).stack_size(128 << 10).spawn(work);
}

pub struct Connection {
    guest: Guest,
    pub(super) inbox: Sender<Input>,
    pub(super) cluster: Option<Cluster>,
}

impl Connection {
    fn serve(self) {
        let (root, stream) = (self.guest.root(), self.guest.stream());
        // Whether something goes with this connection that no shim holds yet.
        let mut keeps = false;
        loop {
            let received = recv_frame::<Request>(stream);
            self.guest.busy();
            match received.as_ref().map(|(request, _)| &request.call) {
                Ok(Call::SandboxCreate { dry_run: false, .. }) if root => keeps = true,
                Ok(Call::SandboxHold { .. } | Call::SandboxRelease { .. }) => keeps = false,
                _ => {}
            }
            let (reply, fds) = match received {
                Ok((request, _)) if request.v != API_VERSION => (Reply::Error(other_version(request.v)), Vec::new()),
                Ok((request, _)) if !root && !reads_only(&request.call) => (Reply::Error(not_allowed()), Vec::new()),
                Ok((request, fds)) => self.ask(request.call, fds),
                Err(FrameError::Json(error)) => {
                    let refused = ApiError::new(ErrorKind::Invalid, "malformed request").caused_by(error.to_string());
                    (Reply::Error(refused), Vec::new())
                }
                Err(_) => break,
            };
            let beside: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
            if send_frame(stream, &reply, &beside).is_err() {
                break;
            }
            self.guest.idle(keeps);
        }
        // What this connection made and nobody holds is released.
        let _ = self.inbox.send(Input::ConnectionClosed(self.guest.number()));
    }

    /// What the cluster has a say in is settled with it first; the rest, and everything without one, is the writer's.
    fn ask(&self, mut call: Call, fds: Vec<OwnedFd>) -> Answer {
        match self.with_cluster(&mut call) {
            Ok(Settled::Answer(reply)) => (reply, Vec::new()),
            Ok(Settled::GoOn(claims)) => {
                let answer = self.ask_writer(call, fds);
                drop(claims);
                answer
            }
            Err(error) => (Reply::Error(error), Vec::new()),
        }
    }

    pub(super) fn ask_writer(&self, call: Call, fds: Vec<OwnedFd>) -> Answer {
        let held = match &call {
            Call::SandboxHold { id, socket } => match reach_shim(id, socket) {
                Ok(shim) => Some(shim),
                Err(error) => return (Reply::Error(error), Vec::new()),
            },
            _ => None,
        };
        let (sender, answer) = sync_channel(1);
        let input =
            Input::Call { call: Box::new(call), fds, shim: held, connection: self.guest.number(), answer: sender };
        let gone = || (Reply::Error(ApiError::new(ErrorKind::System, "netd is ending")), Vec::new());
        if self.inbox.send(input).is_err() {
            return gone();
        }
        let Ok((mut answer, waits)) = answer.recv() else {
            return gone();
        };
        for wait in waits {
            // Here, so that the writer goes on with everybody else's.
            let (sender, settled) = sync_channel(1);
            if self.inbox.send(Input::Settled(Box::new(wait.settle()), sender)).is_err() {
                return gone();
            }
            answer.0 = match settled.recv() {
                Ok(((Reply::Error(error), _), _)) => return (Reply::Error(error), Vec::new()),
                Ok(((reply, _), _)) => reply,
                Err(_) => return gone(),
            };
        }
        answer
    }
}

fn reads_only(call: &Call) -> bool {
    use Call::{NetworkInspect, NetworkList, NodeList, SandboxInspect, SandboxList, Version};
    matches!(call, Version | NodeList | NetworkList | NetworkInspect { .. } | SandboxList | SandboxInspect { .. })
}

fn not_allowed() -> ApiError {
    ApiError::new(ErrorKind::Permission, "only root may change networks")
        .hint(format!("members of the group `{READERS}` may list them"))
}

fn other_version(v: u16) -> ApiError {
    ApiError::new(ErrorKind::Version, format!("this netd speaks version {API_VERSION} of its protocol, the caller {v}"))
        .hint("rcr and netd must come from one build: end this netd (its pid is in `netd.pid` beside the socket), and the next command starts the other one")
}

/// A shim's connection, with the namespace that it keeps.
pub struct ShimLink {
    pub stream: UnixStream,
    /// Absent where the container has none of its own.
    pub netns: Option<OwnedFd>,
}

/// Connects to a shim and asks for its namespace.
pub fn reach_shim(id: &ContainerId, socket: &Path) -> Result<ShimLink, ApiError> {
    let talk = || -> io::Result<ShimLink> {
        let mut stream = rcr_base::connect(socket, SHIM_PATIENCE)?;
        stream.set_read_timeout(Some(SHIM_PATIENCE))?;
        stream.write_all(b"netns\n")?;
        let netns = receive_fd(&stream)?;
        stream.set_read_timeout(None)?;
        Ok(ShimLink { stream, netns })
    };
    talk().map_err(|error| {
        let what = format!("cannot reach the shim of container `{}` at `{}`", id.short(), socket.display());
        ApiError::new(ErrorKind::NotFound, what).caused_by(error.to_string())
    })
}
