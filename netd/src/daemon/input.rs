//! What the writer works off, and what it answers.

use super::shim_link::ShimLink;
use super::standing::Standing;
use super::wait::{Wait, WaitOver};
use crate::dns::lately::Asked;
use crate::kernel::Event;
use netd_api::{ApiError, Call, ContainerId, NetworkChange, NetworkCreate, NetworkId, Reply};
use netd_core::model::{LanLease, Network};
use netd_core::picture::Picture;
use std::os::fd::OwnedFd;
use std::sync::mpsc::SyncSender;

/// A reply with its descriptors.
pub type Answer = (Reply, Vec<OwnedFd>);
/// An answer, and what the caller waits for before it is true.
pub type Told = (Answer, Vec<Wait>);

/// A reply that waits for nothing.
pub fn told(reply: Reply) -> Told {
    ((reply, Vec::new()), Vec::new())
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
    Cluster(std::sync::Arc<crate::cluster::Snapshot>),
    /// Checks a network of the cluster and fills in what the user left open, before it is claimed.
    Design(Box<NetworkCreate>, SyncSender<Result<Box<Network>, ApiError>>),
    /// What a change would make of a network of the cluster, and what it would do here, before it is written into the
    /// store.
    DesignChange(NetworkId, Box<NetworkChange>, SyncSender<Result<Box<Designed>, ApiError>>),
    /// A LAN's DHCP server gave a running container another address.
    Leased(ContainerId, NetworkId, LanLease),
    /// A host whose lease has ended answers on the data path.
    Answered(netd_api::NodeId),
    /// This host's networks as they are now, for who shows or explains them.
    Picture(SyncSender<Box<Picture>>),
    /// The namespaces of these containers, as far as they have one of their own.
    Netns(Vec<ContainerId>, SyncSender<Vec<Option<OwnedFd>>>),
    /// The last questions for names of these containers.
    Lately(Vec<ContainerId>, SyncSender<Vec<Vec<Asked>>>),
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
    pub plan: String,
}
