//! Networks and sandboxes as the writer has them, and where they are written down.

use crate::dns::Service;
use crate::kernel::{DhcpClient, Held, Journal};
use crate::relay::Relay;
use netd_api::{ContainerId, DnsRequest, NetnsSource, NetworkId, PublishedPort};
use netd_core::ipam::Leases;
use netd_core::model::{Attachment, Network};
use netd_core::plan::{HostOp, LinkOp, Op, Plan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Instant;

/// The journal of what all bridges share.
pub const BASE: &str = "journal/host";

/// The store's key of a network's journal.
pub fn network_key(id: &NetworkId) -> String {
    format!("journal/network/{id}")
}

/// A network with what changes about it.
pub struct NetworkState {
    pub network: Network,
    /// By subnet, in the order of `network.subnets`.
    pub leases: Vec<Leases>,
    /// Present while its kernel objects are.
    pub journal: Option<Journal>,
    /// Entries for other hosts' containers, while there are any.
    pub peers: Option<Journal>,
    /// When the last container left, for networks that don't keep their kernel objects.
    pub idle: Option<Instant>,
}

impl NetworkState {
    /// A network without containers and kernel objects.
    pub fn new(network: Network, leases: Vec<Leases>) -> Self {
        Self { network, leases, journal: None, peers: None, idle: None }
    }

    /// The MTU that its bridge has, in bytes.
    pub fn mtu(&self) -> Option<u32> {
        let bridge = self.journal.iter().flat_map(|j| &j.plan.steps).find_map(|step| match &step.op {
            Op::Host(HostOp::Link(LinkOp::Bridge { mtu, .. })) => Some(*mtu),
            _ => None,
        });
        bridge.or_else(|| self.network.asked_mtu())
    }
}

/// All networks of this host, and what can be asked of them.
#[derive(Default)]
pub struct Networks(BTreeMap<NetworkId, NetworkState>);

impl Deref for Networks {
    type Target = BTreeMap<NetworkId, NetworkState>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Networks {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// What keeps a container's ports while it runs.
#[derive(Debug, Default)]
pub struct Kept {
    pub held: Vec<Held>,
    pub relays: Vec<Relay>,
}

/// What is written down about a sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: ContainerId,
    pub name: String,
    pub source: NetnsSource,
    pub attachments: Vec<Attachment>,
    pub ports: Vec<PublishedPort>,
    pub dns: DnsRequest,
    pub host_gateway: bool,
    /// The shim's socket, once it holds the sandbox.
    pub socket: Option<PathBuf>,
}

/// An attachment with what was done for it.
pub struct Attached {
    pub attachment: Attachment,
    pub journal: Journal,
    /// Who keeps the lease, where the LAN gives the addresses.
    pub client: Option<DhcpClient>,
}

impl Attached {
    /// An attachment of which nothing is done yet.
    pub fn planned(attachment: Attachment) -> Self {
        Self { attachment, journal: Journal::intend(Plan::default()), client: None }
    }
}

/// The namespace of a sandbox.
#[derive(Debug)]
pub enum Namespace {
    /// The host's.
    Host,
    /// This one.
    Kept(OwnedFd),
    /// The one that its resolver's sockets are in.
    Resolver,
}

impl Namespace {
    /// One of the container's own, if there is one.
    pub fn own(fd: Option<OwnedFd>) -> Self {
        fd.map_or(Self::Host, Self::Kept)
    }
}

/// A sandbox as it lives.
pub struct Sandbox {
    /// Its `attachments` are written from `attached` (see [`Sandbox::record`]).
    pub record: Record,
    pub attached: Vec<Attached>,
    /// The container's network namespace.
    pub namespace: Namespace,
    /// The connection that it belongs to until a shim holds it.
    pub owner: Option<u64>,
    /// Tells this sandbox from an earlier one of the same container.
    pub generation: u64,
    pub service: Option<Service>,
    pub kept: Kept,
}

impl Sandbox {
    /// The record as it should be on the disk.
    pub fn record(&self) -> Record {
        let attachments = self.attached.iter().map(|a| a.attachment.clone()).collect();
        Record { attachments, ..self.record.clone() }
    }
}

/// All sandboxes of this host.
#[derive(Default)]
pub struct Sandboxes {
    all: BTreeMap<ContainerId, Sandbox>,
    /// Of the sandbox that came last.
    pub generation: u64,
    /// What containers had when they ended: they get it again if it is still free.
    pub last_addresses: BTreeMap<ContainerId, Vec<(NetworkId, IpAddr)>>,
}

impl Deref for Sandboxes {
    type Target = BTreeMap<ContainerId, Sandbox>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl DerefMut for Sandboxes {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.all
    }
}

impl Sandboxes {
    /// Those that are on a network.
    pub fn on(&self, network: &NetworkId) -> impl Iterator<Item = &Sandbox> {
        self.all.values().filter(move |s| s.attached.iter().any(|a| a.attachment.network == *network))
    }

    /// Remembers addresses for the container's next start. If very many never come back, some are forgotten.
    pub fn remember_addresses(&mut self, record: &Record) {
        const MOST: usize = 8192;
        let had = record.attachments.iter().flat_map(|a| a.addresses.iter().map(|net| (a.network.clone(), net.addr())));
        let had: Vec<_> = had.collect();
        if self.last_addresses.len() >= MOST {
            self.last_addresses.pop_first();
        }
        if !had.is_empty() {
            self.last_addresses.insert(record.id.clone(), had);
        }
    }
}

/// The store's key of an attachment's journal.
pub fn journal_key(id: &ContainerId, network: &NetworkId) -> String {
    format!("journal/attach/{id}/{network}")
}
