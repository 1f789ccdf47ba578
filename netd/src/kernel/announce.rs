//! Announcements of containers on bridges: sent when the bridge's port forwards, which is a moment after the link is up.
//!
//! The kernel's own (`arp_notify`) comes before that, and nobody hears it: neighbours go on asking a MAC that is gone, and the bridge sends what is
//! for a MAC that came back to the port where it was. Nobody who starts a container waits for this: one thread does it for all.

use super::netlink::Netlink;
use super::netns::within;
use super::{KernelError, link, probe};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long a port may take to forward, and how often it is looked at.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(2);

/// What is to be announced.
pub struct Announcement {
    /// The container's, with the link that has the addresses.
    pub netns: OwnedFd,
    pub link: String,
    pub addresses: Vec<IpAddr>,
    /// The host's end.
    pub port: String,
}

/// The thread that announces; it ends with this.
pub struct Announcer(Sender<Announcement>);

impl Announcer {
    /// Starts it in the calling thread's network namespace.
    pub fn start() -> Result<Self, KernelError> {
        let (sender, queue) = channel();
        let mut socket = Netlink::route()?;
        let thread = std::thread::Builder::new().name("announce".into()).stack_size(128 << 10);
        thread.spawn(move || work(&queue, &mut socket)).map_err(|error| KernelError::io("start a thread", &error))?;
        Ok(Self(sender))
    }

    /// Takes one on. Best effort, like the kernel's own.
    pub fn add(&self, announcement: Announcement) {
        let _ = self.0.send(announcement);
    }
}

fn work(queue: &Receiver<Announcement>, socket: &mut Netlink) {
    let mut waiting: Vec<(Announcement, Instant)> = Vec::new();
    loop {
        let next = match waiting.is_empty() {
            true => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => queue.recv_timeout(LOOK),
        };
        match next {
            Ok(announcement) => waiting.push((announcement, Instant::now() + PATIENCE)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        waiting.retain(|(one, until)| match link::find(socket, &one.port) {
            Ok(port) if port.forwards => {
                tell(one);
                false
            }
            Ok(_) => Instant::now() < *until,
            Err(_) => false,
        });
    }
}

fn tell(one: &Announcement) {
    // A container that ended meanwhile has nothing to announce.
    let _ = within(one.netns.as_fd(), || probe::announce(&mut Netlink::route()?, &one.link, &one.addresses));
}
