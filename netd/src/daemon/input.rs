//! What the writer works off, and what it answers.

use super::shim_link::ShimLink;
use super::standing::Standing;
use super::wait::{Wait, WaitOver};
use crate::cluster::Asked;
use crate::dns::lately;
use crate::kernel::Event;
use crate::metrics::Metrics;
use netd_api::{ApiError, Call, ContainerId, NetworkChange, NetworkCreate, NetworkId, PlanView, Reply};
use netd_core::model::{LanLease, Network};
use netd_core::picture::Picture;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::time::Duration;

/// A reply with its descriptors.
pub type Answer = (Reply, Vec<OwnedFd>);
/// An answer, and what the caller waits for before it is true.
pub type Told = (Answer, Vec<Wait>);

/// A reply that waits for nothing.
pub fn told(reply: Reply) -> Told {
    ((reply, Vec::new()), Vec::new())
}

/// The way to the writer. Clones share it.
#[derive(Clone)]
pub struct Inbox {
    sender: Sender<Input>,
    metrics: Arc<Metrics>,
}

/// What the writer works off, in order.
pub struct Queue {
    receiver: Receiver<Input>,
    metrics: Arc<Metrics>,
}

/// The writer is gone: netd is ending.
#[derive(Debug)]
pub struct Ended;

/// The writer's queue; how much is in it is counted.
pub fn queue(metrics: Arc<Metrics>) -> (Inbox, Queue) {
    let (sender, receiver) = channel();
    (Inbox { sender, metrics: metrics.clone() }, Queue { receiver, metrics })
}

impl Inbox {
    /// Puts something at the end.
    pub fn send(&self, input: Input) -> Result<(), Ended> {
        self.metrics.queue.up();
        self.sender.send(input).map_err(|_| Ended)
    }
}

impl Queue {
    /// What comes next, if it comes within the limit.
    pub fn next(&self, limit: Duration) -> Result<Input, RecvTimeoutError> {
        let next = self.receiver.recv_timeout(limit);
        if next.is_ok() {
            self.metrics.queue.down();
        }
        next
    }
}

/// What the writer works off.
pub enum Input {
    Call {
        call: Box<Call>,
        fds: Vec<OwnedFd>,
        shim: Option<ShimLink>,
        connection: u64,
        answer: SyncSender<Told>,
    },
    /// The end of a wait that an answer named.
    WaitOver(Box<WaitOver>, SyncSender<Told>),
    ConnectionClosed(u64),
    /// The shim that held this sandbox in this generation is gone.
    ShimGone(ContainerId, u64),
    /// The shim of this sandbox in this generation says whether its container is healthy.
    Health(ContainerId, u64, bool),
    Kernel(Event),
    /// The cluster looks like this.
    Cluster(Arc<crate::cluster::Snapshot>),
    /// Checks a network of the cluster and fills in what the user left open, before it is claimed.
    Design(Box<NetworkCreate>, SyncSender<Result<Box<Network>, ApiError>>),
    /// What a change would make of a network of the cluster, and what it would do here, before it is written into the
    /// store.
    DesignChange(NetworkId, Box<NetworkChange>, SyncSender<Result<Box<Designed>, ApiError>>),
    /// A LAN's DHCP server gave a running container another address, or the lease of the one it had has ended.
    Leased(ContainerId, NetworkId, Option<LanLease>),
    /// Another host asks what of ours is not as it was made.
    Question(Asked),
    /// A host whose lease has ended answers on the data path.
    Answered(netd_api::NodeId),
    /// This host's networks as they are now, for who shows or explains them.
    Picture(SyncSender<Box<Picture>>),
    /// The same beside the number of debts, for a scrape.
    Measured(SyncSender<(Box<Picture>, usize)>),
    /// The namespaces of these containers, as far as they have one of their own.
    Netns(Vec<ContainerId>, SyncSender<Vec<Option<OwnedFd>>>),
    /// The last questions for names of these containers.
    Lately(Vec<ContainerId>, SyncSender<Vec<Vec<lately::Asked>>>),
    /// Everything that stands in a journal.
    Standing(SyncSender<Vec<Standing>>),
    /// Does again what of these is missing; what could not be done comes back.
    Redo(Vec<Standing>, SyncSender<Vec<ApiError>>),
    /// netd is to end: SIGTERM or SIGINT.
    End,
}

/// A change that is yet to be made.
pub struct Designed {
    /// The network as it would be.
    pub network: Network,
    /// What would be done on this host.
    pub plan: PlanView,
}
