//! Listening to what crosses a container's or a network's links. netd opens the sockets; what comes by them is read
//! here.
//!
//! | file | what |
//! |---|---|
//! | `names` | who has which address |
//! | `decode` | what is in a packet, and whether a filter lets it through |
//! | `pcapng` | files for Wireshark |

mod decode;
mod names;
mod pcapng;

use crate::config::NetworkMode;
use crate::explain::not_ours;
use crate::instance::Instance;
use crate::net::unexpected;
use crate::parse::packets::Filter;
use crate::sys;
use decode::decode;
use names::Names;
use netd_api::{Call, CaptureAt, CaptureView, ContainerId, Reply, TapView};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::time::TimeSpec;
use rcr_base::{Doing, Error, Kind, Outcome, command};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The most bytes of a packet that are kept: more than the kernel puts together on its way.
const LONGEST: usize = 256 << 10;

/// What to listen to, and how long.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// A container or a network, by name, id, or the beginning of an id. A container comes first.
    pub at: String,
    /// Of a container's links only the one on this network.
    pub network: Option<String>,
    /// Of an overlay network the frames on their way between hosts.
    pub tunnel: bool,
    /// Which packets.
    pub filter: Filter,
    /// So many packets and no more; absent: any number.
    pub count: Option<u64>,
    /// So long and no longer; absent: for ever.
    pub time: Option<Duration>,
    /// Addresses are not named.
    pub numeric: bool,
}

/// A packet that was heard.
#[derive(Debug)]
pub struct Packet {
    /// When, since the epoch.
    pub time: Duration,
    /// Where, as [`Capture::view`] counts.
    pub tap: usize,
    /// Who sends, with the port.
    pub from: String,
    /// To whom, with the port.
    pub to: String,
    /// What it is.
    pub about: String,
    /// How long it was on the link, in bytes.
    pub length: usize,
    /// The same as a block of a pcapng file.
    pub block: Vec<u8>,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// A packet.
    Packet(Box<Packet>),
    /// As many as were wanted have come.
    Count,
    /// The time is over.
    Time,
    /// The caller's descriptor can be read.
    Asked,
    /// Nobody reads what the caller writes.
    Unread,
    /// A link is down, or gone.
    Gone(TapView),
}

/// Links that are listened to.
pub struct Capture {
    view: CaptureView,
    sockets: Vec<OwnedFd>,
    names: Names,
    filter: Filter,
    left: Option<u64>,
    until: Option<Instant>,
    lost: u64,
    buffer: Vec<u8>,
    /// The link that is looked at first: each has its turn, so that a busy one does not keep the others from being read.
    first: usize,
}

/// Begins to listen.
pub fn open(instance: &Instance, wanted: Wanted) -> Outcome<Capture> {
    let at = place(instance, &wanted)?;
    let mut netd = instance.netd()?;
    netd.send(Call::NetworkCapture { at }, &[])?;
    let (view, sockets) = match netd.receive()? {
        (Reply::Capture(view), sockets) if sockets.len() == view.taps.len() => (*view, sockets),
        (other, _) => return Err(unexpected(&other)),
    };
    let names = Names::new(view.names.clone(), wanted.numeric);
    let mut filter = wanted.filter;
    names.resolve(&mut filter)?;
    let until = wanted.time.and_then(|time| Instant::now().checked_add(time));
    Ok(Capture { view, sockets, names, filter, left: wanted.count, until, lost: 0, buffer: vec![0; LONGEST], first: 0 })
}

fn network(instance: &Instance, wanted: &Wanted) -> Outcome<CaptureAt> {
    let network = crate::networks::inspect(instance, &wanted.at).map_err(|error| match error.kind {
        Kind::NotFound => Error::new(Kind::NotFound, format!("cannot listen at `{}`", wanted.at))
            .caused_by("no container and no network is called so"),
        _ => error,
    })?;
    let id = network.id.to_string();
    Ok(if wanted.tunnel { CaptureAt::Tunnel(id) } else { CaptureAt::Network(id) })
}

/// Where netd is to listen.
fn place(instance: &Instance, wanted: &Wanted) -> Outcome<CaptureAt> {
    let container = match instance.containers().find(&wanted.at) {
        Ok(container)
            if wanted.network.is_some()
                || container.config.name == wanted.at
                || crate::networks::is_container(instance, &wanted.at) =>
        {
            container
        }
        Ok(_) => return network(instance, wanted),
        Err(error) if error.kind == Kind::NotFound && wanted.network.is_none() => return network(instance, wanted),
        Err(error) => return Err(error),
    };
    let name = &container.config.name;
    if wanted.tunnel {
        return Err(Error::new(Kind::Invalid, format!("cannot listen at a tunnel of container `{name}`"))
            .caused_by("tunnels are a network's")
            .hint("name the network"));
    }
    if !container.state.status.is_alive() {
        return Err(Error::new(Kind::Conflict, format!("cannot listen in container `{name}`"))
            .caused_by("it is not running")
            .hint(format!("start it with {}", command::start(name))));
    }
    let id: ContainerId = match &container.config.network.mode {
        NetworkMode::Container(id) => instance.containers().find(id.as_str())?.config.id,
        NetworkMode::Path(path) => return Err(not_ours(name, path)),
        _ => container.config.id.clone(),
    };
    Ok(CaptureAt::Container(id, wanted.network.clone()))
}

impl Capture {
    /// Where it listens.
    pub fn view(&self) -> &CaptureView {
        &self.view
    }

    /// The beginning of a pcapng file: the links, and whose addresses are whose.
    pub fn header(&self) -> Vec<u8> {
        let mut all = pcapng::section(concat!("rcr ", env!("CARGO_PKG_VERSION")));
        for tap in &self.view.taps {
            let on = format!("network {}", tap.network);
            let about = tap.container.as_ref().map_or_else(|| on.clone(), |name| format!("{name} on {on}"));
            all.extend(pcapng::interface(tap.link.as_str(), &about, LONGEST as u32));
        }
        all.extend(pcapng::names(&self.view.names));
        all
    }

    /// The end of a pcapng file: what was lost, by link. Asked once.
    pub fn footer(&mut self) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut all = Vec::new();
        for (i, socket) in self.sockets.iter().enumerate() {
            let lost = sys::packet::lost(socket.as_fd()).unwrap_or_default();
            self.lost += lost;
            all.extend(pcapng::statistics(i as u32, now, lost));
        }
        all
    }

    /// How many packets came too fast to be read; known after [`Capture::footer`].
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Waits for what comes next. `stop`: ends the wait when it can be read; `reader`: where the caller writes.
    pub fn next(&mut self, stop: BorrowedFd, reader: BorrowedFd) -> Outcome<Next> {
        loop {
            if self.left == Some(0) {
                return Ok(Next::Count);
            }
            let ready = match self.wait(stop, reader)? {
                Ok(ready) => ready,
                Err(end) => return Ok(end),
            };
            self.first = ready + 1;
            match self.receive(ready) {
                Ok(Some(packet)) => {
                    self.left = self.left.map(|left| left - 1);
                    return Ok(Next::Packet(Box::new(packet)));
                }
                Ok(None) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(Errno::ENETDOWN | Errno::ENODEV) => return Ok(Next::Gone(self.view.taps[ready].clone())),
                Err(errno) => return Err(io::Error::from(errno)).doing(|| "cannot read packets"),
            }
        }
    }

    /// The socket that something can be read from, or why there is none.
    fn wait(&self, stop: BorrowedFd, reader: BorrowedFd) -> Outcome<Result<usize, Next>> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(Err(Next::Time));
        }
        let limit = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        let mut fds: Vec<PollFd<'_>> = self.sockets.iter().map(|s| PollFd::new(s, PollFlags::IN)).collect();
        fds.push(PollFd::from_borrowed_fd(stop, PollFlags::IN));
        // An error and a hang-up come without being asked for.
        fds.push(PollFd::from_borrowed_fd(reader, PollFlags::empty()));
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(io::Error::from(errno)).doing(|| "cannot wait for packets"),
        }
        let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let (taps, others) = fds.split_at(self.sockets.len());
        Ok(match (others.first().is_some_and(ready), others.last().is_some_and(ready)) {
            (true, _) => Err(Next::Asked),
            (_, true) => Err(Next::Unread),
            // The time is over; the next look says so. An empty socket answers EAGAIN.
            _ => Ok(next_ready(taps.len(), self.first, |at| ready(&taps[at]))),
        })
    }

    /// One packet, if the filter lets it through.
    fn receive(&mut self, tap: usize) -> Result<Option<Packet>, Errno> {
        let mut space = nix::cmsg_space!(libc::timespec);
        let mut time = None;
        let length = {
            let mut iov = [IoSliceMut::new(&mut self.buffer)];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
            let message = recvmsg::<()>(self.sockets[tap].as_raw_fd(), &mut iov, Some(&mut space), flags)?;
            for control in message.cmsgs()? {
                if let ControlMessageOwned::ScmTimestampns(at) = control {
                    time = Some(since_epoch(at));
                }
            }
            message.bytes
        };
        let frame = &self.buffer[..length.min(LONGEST)];
        let mut decoded = decode(frame, &self.names);
        if let Some(tunnel) = self.view.tunnel {
            let Some(inner) = decoded.unwrap(tunnel, frame, &self.names) else { return Ok(None) };
            if !inner.fits(&self.filter) {
                return Ok(None);
            }
        } else if !decoded.fits(&self.filter) {
            return Ok(None);
        }
        let time = time.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let (from, to) = decoded.who(&self.names);
        let comment = format!("{from} → {to}  {}", decoded.about);
        let block = pcapng::packet(tap as u32, time, length as u32, frame, &comment);
        Ok(Some(Packet { time, tap, from, to, about: decoded.about, length, block }))
    }
}

/// The first of `count` that is ready, from `first` on and around.
fn next_ready(count: usize, first: usize, ready: impl Fn(usize) -> bool) -> usize {
    (0..count).map(|at| (first + at) % count).find(|at| ready(*at)).unwrap_or_default()
}

fn since_epoch(at: TimeSpec) -> Duration {
    Duration::new(u64::try_from(at.tv_sec()).unwrap_or_default(), u32::try_from(at.tv_nsec()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_link_has_its_turn() {
        assert_eq!(next_ready(3, 0, |_| true), 0);
        assert_eq!(next_ready(3, 1, |_| true), 1);
        assert_eq!(next_ready(3, 3, |_| true), 0);
        assert_eq!(next_ready(3, 2, |at| at == 1), 1);
        assert_eq!(next_ready(3, 2, |_| false), 0);
    }
}
