//! The socket: who may ask what, and a thread per connection that frames, waits and asks the writer.

use super::explain;
use super::guests::{Guest, Guests};
use super::input::{Answer, Inbox, Input};
use super::shared_calls::{SharedCalls, Verdict};
use super::shim_link::PATIENCE;
use super::writer::Writer;
use crate::cluster::Cluster;
use crate::log::Log;
use crate::metrics::Metrics;
use netd_api::{API_VERSION, ApiError, Call, ErrorKind, Reply, Request};
use rcr_base::{FrameError, READERS, open_to_readers, readers, recv_frame, send_frame, with_short_path};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whether a netd answers below `run`. A connection alone proves nothing: the socket of a dying netd still accepts
/// some.
pub fn answers(run: &Path) -> bool {
    let socket = run.join(netd_api::SOCKET_NAME);
    let ask = || -> Result<Reply, FrameError> {
        let stream = rcr_base::connect(&socket, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        send_frame(&stream, &Request::new(Call::Version), &[])?;
        Ok(recv_frame(&stream)?.0)
    };
    matches!(ask(), Ok(Reply::Version(_)))
}

/// Binds the socket. The holder of the pid file's lock may replace a socket that was left behind.
pub fn bind(run: &Path) -> Result<UnixListener, String> {
    let path = run.join(netd_api::SOCKET_NAME);
    let _ = std::fs::remove_file(&path);
    let failed = |error: io::Error| format!("bind socket `{}`: {}", path.display(), crate::errors::why(&error));
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
pub fn accept_forever(listener: UnixListener, inbox: Inbox, cluster: Option<Cluster>, log: Log, metrics: Arc<Metrics>) {
    let work = move || {
        let guests = Arc::new(Guests::default());
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Out of descriptors: some may be closed soon.
                std::thread::sleep(Duration::from_millis(50));
                continue;
            };
            let Some(guest) = guests.admit(stream) else { continue };
            let writer = Writer { inbox: inbox.clone(), connection: guest.number() };
            let calls = SharedCalls { writer, cluster: cluster.clone() };
            let connection = Connection { guest, calls, metrics: metrics.clone() };
            let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(move || connection.serve());
            if let Err(error) = thread {
                log.line(format!("a connection was turned away: {error}"));
            }
        }
    };
    // Without this thread netd is of no use; the first connection would show it.
    let _ = std::thread::Builder::new().name("accept".into()).stack_size(128 << 10).spawn(work);
}

struct Connection {
    guest: Guest,
    calls: SharedCalls,
    metrics: Arc<Metrics>,
}

impl Connection {
    fn serve(self) {
        let (root, stream) = (self.guest.root(), self.guest.stream());
        // Whether this connection has made a sandbox that no shim holds yet.
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
        let _ = self.calls.writer.inbox.send(Input::ConnectionClosed(self.guest.number()));
    }

    /// Answers a call. A container's start is measured from here: its waits for the cluster, for the writer and for a
    /// LAN's DHCP server are in it.
    fn ask(&self, call: Call, fds: Vec<OwnedFd>) -> Answer {
        let attaches = matches!(call, Call::SandboxCreate { dry_run: false, .. } | Call::Connect { .. });
        let began = Instant::now();
        let answer = self.answer(call, fds);
        match &answer.0 {
            _ if !attaches => {}
            Reply::Error(_) => self.metrics.attach_failed.add(1),
            _ => self.metrics.attach.add(began.elapsed()),
        }
        answer
    }

    /// Settles the cluster's part of a call first, where there is a cluster; the writer does the rest.
    fn answer(&self, mut call: Call, fds: Vec<OwnedFd>) -> Answer {
        if let Some(answer) = explain::answer(&self.calls.writer, self.calls.cluster.as_ref(), &call) {
            return answer.unwrap_or_else(|error| (Reply::Error(error), Vec::new()));
        }
        match self.calls.settle(&mut call) {
            Ok(Verdict::Answer(reply)) => (reply, Vec::new()),
            Ok(Verdict::GoOn(claims)) => {
                let answer = self.calls.writer.ask(call, fds);
                drop(claims);
                answer
            }
            Err(error) => (Reply::Error(error), Vec::new()),
        }
    }
}

fn reads_only(call: &Call) -> bool {
    use Call::{
        NetworkGraph, NetworkInspect, NetworkList, NetworkShow, NodeList, SandboxInspect, SandboxList, Version,
    };
    let listed = matches!(call, Version | NodeList | NetworkList | SandboxList);
    listed || matches!(call, NetworkGraph { .. } | NetworkInspect { .. } | NetworkShow { .. } | SandboxInspect { .. })
}

fn not_allowed() -> ApiError {
    ApiError::new(ErrorKind::Permission, "only root may change networks")
        .hint(format!("members of the group `{READERS}` may list them"))
}

fn other_version(v: u16) -> ApiError {
    ApiError::new(ErrorKind::Version, format!("this netd speaks version {API_VERSION} of its protocol, the caller {v}"))
        .hint("rcr and netd must come from one build: end this netd (its pid is in `netd.pid` beside the socket), and the next command starts the other one")
}
