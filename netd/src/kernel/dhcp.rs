//! A lease from the LAN's own DHCP server: got, kept, given back (RFC 2131). One thread per lease, inside the container's network
//! namespace, which ends with the lease; it works without the rest of netd, and without any address on the link.

use super::dhcp_message::{Answer, CLIENT_PORT, SERVER_PORT, Say, answer, broadcast, message};
use super::packet::{self, BROADCAST, ETH_P_IP, Packets};
use super::{KernelError, link, netlink::Netlink};
use netd_core::model::LanLease;
use nix::sched::{CloneFlags, setns};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use super::dhcp_message::Identity;

/// Between two questions, doubled up to the longest.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(16);
/// How long an end waits for the thread.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The keeper of a lease. A drop ends it and leaves the lease to its time.
pub struct Client {
    /// `r`: give the lease back; `d`: decline it; its end: stop.
    order: Option<UnixStream>,
    done: Receiver<()>,
    _thread: JoinHandle<()>,
}

impl Client {
    /// Gets a lease for the link `name` and keeps it; the first one comes by the receiver, which is dropped by whoever has waited long
    /// enough. `known`: the one that was had before. `tell` hears of every other one that comes later, and that there is none any more:
    /// who has an address beyond its lease has somebody else's (RFC 2131, 4.4.5).
    pub fn start(
        netns: &OwnedFd,
        name: &str,
        who: Identity,
        known: Option<LanLease>,
        tell: impl Fn(Option<LanLease>) + Send + 'static,
    ) -> Result<(Self, Receiver<LanLease>), KernelError> {
        let failed = |error: std::io::Error| KernelError::io("start a DHCP client", &error);
        let (order, orders) = UnixStream::pair().map_err(failed)?;
        let (first, is_first) = channel();
        let (ended, done) = channel();
        let (netns, name) = (netns.try_clone().map_err(failed)?, name.to_owned());
        let work = move || {
            let enter = setns(netns.as_fd(), CloneFlags::CLONE_NEWNET).is_ok();
            // Somebody who only waits must not keep the namespace.
            drop(netns);
            let report = move |lease: Option<LanLease>| {
                let waited_for = lease.clone().is_some_and(|lease| first.send(lease).is_ok());
                if !waited_for {
                    tell(lease);
                }
            };
            if let (true, Ok(index)) = (enter, index_of(&name)) {
                Keeper { who, index, orders, xid: fresh_xid() }.keep(known, report);
            }
            let _ = ended.send(());
        };
        let thread =
            std::thread::Builder::new().name("dhcp".into()).stack_size(192 << 10).spawn(work).map_err(failed)?;
        Ok((Self { order: Some(order), done, _thread: thread }, is_first))
    }

    /// Tells the server that somebody else has the address.
    pub fn decline(self) {
        self.end_by(b"d");
    }

    /// Gives the lease back.
    pub fn release(self) {
        self.end_by(b"r");
    }

    fn end_by(mut self, word: &[u8]) {
        if let Some(mut order) = self.order.take() {
            let _ = order.write_all(word);
        }
        let _ = self.done.recv_timeout(LAST_WORDS);
    }
}

fn index_of(name: &str) -> Result<u32, KernelError> {
    Ok(link::find(&mut Netlink::route()?, name)?.index)
}

fn fresh_xid() -> u32 {
    // The standard library seeds each of these anew from the kernel.
    RandomState::new().build_hasher().finish() as u32
}

/// Why a wait ended.
enum Woken {
    Answer(Answer),
    Time,
    Order,
}

struct Keeper {
    who: Identity,
    index: u32,
    orders: UnixStream,
    xid: u32,
}

impl Keeper {
    /// Until an order comes: a lease, its renewals, the next one.
    fn keep(mut self, known: Option<LanLease>, report: impl Fn(Option<LanLease>)) {
        let mut lease = match known {
            Some(lease) => self.again(lease),
            None => self.acquire(),
        };
        while let Some(held) = lease {
            report(Some(held.clone()));
            if !self.bound(held, &report) {
                return;
            }
            report(None);
            lease = self.acquire();
        }
    }

    /// The address that was had before a restart of netd; if nobody confirms it, any.
    fn again(&mut self, lease: LanLease) -> Option<LanLease> {
        let say = Say::Again { address: lease.address.addr() };
        match self.ask(say, Instant::now() + FIRST * 6) {
            Woken::Answer(Answer::Granted(lease)) => Some(lease),
            Woken::Order => self.obey(&lease),
            // Silence is no refusal: the lease holds as long as it was given for.
            Woken::Time => Some(lease),
            Woken::Answer(_) => self.acquire(),
        }
    }

    /// A new lease. `None`: an order came.
    fn acquire(&mut self) -> Option<LanLease> {
        loop {
            self.xid = fresh_xid();
            let offer = match self.ask(Say::Discover, Instant::now() + LONGEST * 2) {
                Woken::Answer(Answer::Offer(offer)) => offer,
                Woken::Order => return None,
                Woken::Answer(_) | Woken::Time => continue,
            };
            let take = Say::Take { address: offer.address.addr(), server: offer.server };
            match self.ask(take, Instant::now() + FIRST * 6) {
                Woken::Answer(Answer::Granted(lease)) => return Some(lease),
                Woken::Order => return self.obey(&offer),
                Woken::Answer(_) | Woken::Time => {}
            }
        }
    }

    /// Keeps a lease until it is lost (true), or an order comes (false).
    fn bound(&mut self, mut lease: LanLease, report: &impl Fn(Option<LanLease>)) -> bool {
        loop {
            let begin = Instant::now();
            let at = |seconds: u32| begin + Duration::from_secs(seconds.into());
            let end = at(lease.seconds);
            if self.sleep_until(at(lease.renew)) {
                self.obey(&lease);
                return false;
            }
            let renewed = match self.renew(&lease, at(lease.rebind)) {
                Woken::Time => self.ask(Say::Keep { address: lease.address.addr() }, end),
                other => other,
            };
            match renewed {
                Woken::Answer(Answer::Granted(next)) => {
                    if (next.address, next.router) != (lease.address, lease.router) {
                        report(Some(next.clone()));
                    }
                    lease = next;
                }
                Woken::Order => {
                    self.obey(&lease);
                    return false;
                }
                // Refused, or out of time.
                Woken::Answer(_) | Woken::Time => return true,
            }
        }
    }

    /// Asks the lease's own server, by its address.
    fn renew(&mut self, lease: &LanLease, until: Instant) -> Woken {
        self.xid = fresh_xid();
        let own = lease.address.addr();
        let Ok(socket) = UdpSocket::bind((own, CLIENT_PORT)) else { return Woken::Time };
        let bytes = message(&self.who, self.xid, Say::Keep { address: own });
        self.converse(until, || drop(socket.send_to(&bytes, (lease.server, SERVER_PORT))))
    }

    /// Asks everybody.
    fn ask(&mut self, say: Say, until: Instant) -> Woken {
        let bytes = broadcast(&message(&self.who, self.xid, say));
        let Ok(packets) = Packets::open(self.index, ETH_P_IP) else { return Woken::Time };
        self.converse_on(&packets, until, || drop(packets.send(BROADCAST, &bytes)))
    }

    fn converse(&mut self, until: Instant, say: impl Fn()) -> Woken {
        match Packets::open(self.index, ETH_P_IP) {
            Ok(packets) => self.converse_on(&packets, until, say),
            Err(_) => Woken::Time,
        }
    }

    /// Says something, again and again, until somebody answers.
    fn converse_on(&mut self, packets: &Packets, until: Instant, say: impl Fn()) -> Woken {
        let mut pause = FIRST;
        loop {
            say();
            let next = (Instant::now() + pause).min(until);
            pause = (pause * 2).min(LONGEST);
            while Instant::now() < next {
                let ready = packet::wait(packets, &self.orders, next.saturating_duration_since(Instant::now()));
                if ready[1] {
                    return Woken::Order;
                }
                while let Some((_, packet)) = packets.receive() {
                    if let Some(answer) = answer(&packet, &self.who, self.xid) {
                        return Woken::Answer(answer);
                    }
                }
            }
            if Instant::now() >= until {
                return Woken::Time;
            }
        }
    }

    /// Whether an order came meanwhile.
    fn sleep_until(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            if packet::wait(&self.orders, &self.orders, left)[0] {
                return true;
            }
        }
    }

    /// Gives the lease back or declines it, if that is the order.
    fn obey(&mut self, lease: &LanLease) -> Option<LanLease> {
        let mut order = [0; 1];
        let got = self.orders.read(&mut order);
        let (address, server) = (lease.address.addr(), lease.server);
        match order {
            _ if !got.is_ok_and(|got| got == 1) => {}
            [b'd'] => {
                let bytes = broadcast(&message(&self.who, fresh_xid(), Say::Decline { address, server }));
                let _ = Packets::open(self.index, ETH_P_IP).and_then(|packets| packets.send(BROADCAST, &bytes));
            }
            _ => {
                let bytes = message(&self.who, fresh_xid(), Say::Release { address, server });
                let any = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
                let socket = UdpSocket::bind((address, CLIENT_PORT)).or_else(|_| any());
                let _ = socket.and_then(|socket| socket.send_to(&bytes, (server, SERVER_PORT)));
            }
        }
        None
    }
}
