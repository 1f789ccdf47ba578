//! The writer's state, and its loop.

use super::cluster::Membership;
use super::dhcp::{Settled, Wait};
use super::encryption::Encryption;
use super::log::Log;
use super::sandbox::Sandbox;
use super::server::ShimLink;
use super::silence::Silence;
use super::update::Designed;
use crate::dns::Dns;
use crate::ipam::Leases;
use crate::kernel::{Event, Journal, Kernel, KernelError, Netns, delete_marked};
use crate::model::{Facts, LanLease, Network};
use crate::ports::Registry;
use crate::store::Store;
use netd_api::{ApiError, Call, ContainerId, NetworkChange, NetworkCreate, NetworkId, Reply};
use rcr_base::Config;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// A reply with its descriptors.
pub type Answer = (Reply, Vec<OwnedFd>);
/// An answer, and what is to be waited for before it holds.
pub type Told = (Answer, Vec<Wait>);

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
    Settled(Box<Settled>, SyncSender<Told>),
    ConnectionClosed(u64),
    /// The shim that held this sandbox in this generation is gone.
    ShimGone(ContainerId, u64),
    Kernel(Event),
    /// The cluster looks like this.
    Cluster(std::sync::Arc<crate::cluster::Snapshot>),
    /// Checks a network of the cluster and chooses what is not said, before it is claimed.
    Design(Box<NetworkCreate>, SyncSender<Result<Box<Network>, ApiError>>),
    /// What a change would make of a network of the cluster, and what it would do here, before it is written into the store.
    DesignChange(NetworkId, Box<NetworkChange>, SyncSender<Result<Box<Designed>, ApiError>>),
    /// A LAN's DHCP server gave a running container another address.
    Leased(ContainerId, NetworkId, LanLease),
    /// A host whose lease has ended answers on the data path.
    Answered(netd_api::NodeId),
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
    /// Since when nothing is attached, for networks that don't keep their kernel objects.
    pub idle: Option<Instant>,
}

/// A veth whose namespace is going away and takes it along; if it doesn't, netd deletes it.
pub struct Dying {
    pub link: String,
    pub alias: String,
    pub of: ContainerId,
    pub due: Instant,
}

/// The single writer.
pub struct Daemon {
    pub(super) config: Config,
    pub(super) store: Box<dyn Store>,
    pub(super) kernel: Kernel,
    stock: Receiver<Result<Netns, KernelError>>,
    pub(super) dns: Dns,
    pub(super) runtime: Runtime,
    pub(super) sender: Sender<Input>,
    pub(super) log: Log,
    pub(super) networks: BTreeMap<NetworkId, NetworkState>,
    pub(super) sandboxes: BTreeMap<ContainerId, Sandbox>,
    pub(super) ports: Registry,
    /// What all bridges share, while there is one.
    pub(super) base: Option<Journal>,
    pub(super) facts: Facts,
    pub(super) dying: Vec<Dying>,
    pub(super) generation: u64,
    /// The address that somebody on a LAN turned out to have, in the last plan that failed for it.
    pub(super) duplicate: Option<std::net::IpAddr>,
    /// What containers had when they ended: they get it again if it is still free.
    pub(super) last_addresses: BTreeMap<ContainerId, Vec<(NetworkId, std::net::IpAddr)>>,
    /// What whoever called has to wait for.
    pub(super) waits: Vec<Wait>,
    /// Random bits of this host's IPv6 prefix.
    pub(super) host_bits: u64,
    pub(super) membership: Membership,
    pub(super) encryption: Encryption,
    pub(super) silence: Silence,
    ending: bool,
}

impl Daemon {
    /// A writer that has adopted nothing yet.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        config: Config,
        store: Box<dyn Store>,
        kernel: Kernel,
        stock: Receiver<Result<Netns, KernelError>>,
        dns: Dns,
        runtime: Runtime,
        sender: Sender<Input>,
        log: Log,
    ) -> Self {
        Self {
            config,
            store,
            kernel,
            stock,
            dns,
            runtime,
            sender,
            log,
            networks: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
            ports: Registry::default(),
            base: None,
            facts: Facts::default(),
            dying: Vec::new(),
            generation: 0,
            duplicate: None,
            last_addresses: BTreeMap::new(),
            waits: Vec::new(),
            host_bits: 0,
            membership: Membership::default(),
            encryption: Encryption::default(),
            silence: Silence::default(),
            ending: false,
        }
    }

    /// Works the queue off until a `Shutdown`.
    pub fn work(&mut self, inbox: &Receiver<Input>, tick: Duration) {
        let mut next = Instant::now() + tick;
        while !self.ending {
            match inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => {
                    self.tick();
                    next = Instant::now() + tick;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Call { call, fds, shim, connection, answer } => {
                let reply = self.call(*call, fds, shim, connection);
                let reply = reply.unwrap_or_else(|error| (Reply::Error(error), Vec::new()));
                let reply = (reply, std::mem::take(&mut self.waits));
                // Before the answer: whoever asked gives up the claims that no container has.
                self.publish_own();
                // The caller may have gone; its connection's end follows.
                let _ = answer.send(reply);
            }
            Input::Settled(settled, answer) => {
                let reply = self.settle_lease(*settled).unwrap_or_else(Reply::Error);
                let _ = answer.send(((reply, Vec::new()), Vec::new()));
            }
            Input::ConnectionClosed(connection) => self.connection_closed(connection),
            Input::ShimGone(id, generation) => self.shim_gone(&id, generation),
            Input::Kernel(event) => self.kernel_event(event),
            Input::Leased(id, network, lease) => self.leased_anew(&id, &network, lease),
            Input::Answered(id) => self.host_answered(&id),
            Input::Cluster(snapshot) => self.cluster_changed(snapshot),
            Input::Design(spec, answer) => drop(answer.send(self.design(*spec).map(Box::new))),
            Input::DesignChange(id, wanted, answer) => {
                drop(answer.send(self.design_change(&id, &wanted).map(Box::new)))
            }
        }
        self.publish_own();
    }

    fn call(
        &mut self,
        call: Call,
        fds: Vec<OwnedFd>,
        shim: Option<ShimLink>,
        connection: u64,
    ) -> Result<Answer, ApiError> {
        let plain = |reply| (reply, Vec::new());
        match call {
            Call::Version => {
                let mut version = self.version();
                version.obstacles = self.obstacles_of(|_| true);
                Ok(plain(Reply::Version(version)))
            }
            Call::NetworkCreate { spec, dry_run } => self.network_create(spec, dry_run).map(plain),
            Call::NetworkList => Ok(plain(Reply::Networks(self.network_list()))),
            Call::NetworkInspect { network } => {
                let id = self.find_network(&network)?;
                let mut info = self.network_info(&id)?;
                info.obstacles = self.obstacles_of(|network| network.id == id);
                Ok(plain(Reply::Network(info)))
            }
            Call::NetworkRemove { network } => self.network_remove(&network).map(|()| plain(Reply::Done)),
            Call::SandboxCreate { spec, dry_run } => {
                let (mut reply, fds) = self.sandbox_create(spec, dry_run, fds, connection)?;
                if let Reply::Sandbox(info) = &mut reply {
                    let on: Vec<_> = info.attachments.iter().map(|a| a.network_id.clone()).collect();
                    info.obstacles = self.obstacles_of(|network| on.contains(&network.id));
                }
                Ok((reply, fds))
            }
            Call::SandboxHold { id, .. } if shim.is_none() => Err(self.no_sandbox(&id)),
            Call::SandboxHold { id, socket } => self.sandbox_hold(&id, socket, shim).map(|()| plain(Reply::Done)),
            Call::SandboxRelease { id } => self.sandbox_release(&id).map(|()| plain(Reply::Done)),
            Call::SandboxInspect { id } => Ok(plain(Reply::Sandbox(self.sandbox_info(&id)?))),
            Call::SandboxList => Ok(plain(Reply::Sandboxes(self.sandbox_list()))),
            Call::SandboxRename { id, name } => self.sandbox_rename(&id, name).map(|()| plain(Reply::Done)),
            Call::Connect { id, attachment } => self.connect(&id, attachment).map(|info| plain(Reply::Sandbox(info))),
            Call::Disconnect { id, network } => self.disconnect(&id, &network).map(|info| plain(Reply::Sandbox(info))),
            Call::NodeRekey => self.rekey().map(|key| plain(Reply::Key(key))),
            // Of the connection's own (see `shared_calls`), where there is a cluster.
            Call::NodeList | Call::NodeRemove { .. } => Err(super::shared_calls::no_cluster()),
            Call::NetworkUpdate { network, change, dry_run } => {
                self.network_update(&network, &change, dry_run).map(plain)
            }
            Call::Shutdown => {
                self.ending = true;
                self.log.line("asked to end; the data path stays");
                Ok(plain(Reply::Done))
            }
        }
    }

    /// A namespace from the stock.
    pub(super) fn ready_netns(&mut self) -> Result<Netns, KernelError> {
        match self.stock.recv() {
            Ok(netns) => netns,
            // The thread that refills has gone, which it does only with netd.
            Err(_) => Netns::new(),
        }
    }

    fn kernel_event(&mut self, event: Event) {
        match event {
            Event::TableChanged(port) if port == self.kernel.nft.port() || !self.kernel.nft.wanted() => {}
            Event::TableChanged(port) => {
                if port == 0 && self.kernel.nft.exists().unwrap_or(false) {
                    return;
                }
                self.log.line("somebody deleted from table `inet rcr`: writing it again");
                if let Err(error) = self.kernel.nft.restore() {
                    self.log.line(format!("cannot write table `inet rcr` again: {error}"));
                }
            }
            Event::LinkGone(name) => self.link_gone(&name),
            Event::LinksLost => self.links_lost(),
            Event::WaysChanged => self.follow_mtu(),
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let (due, rest) = std::mem::take(&mut self.dying).into_iter().partition(|d: &Dying| d.due <= now);
        self.dying = rest;
        for Dying { link, alias, .. } in due {
            match delete_marked(&mut self.kernel.route, &link, &alias, None) {
                Ok(false) => {}
                Ok(true) => self.log.line(format!("deleted link `{link}`: somebody keeps its container's namespace")),
                Err(error) => self.log.line(format!("cannot delete link `{link}`: {error}")),
            }
        }
        if self.kernel.nft.wanted() && !self.kernel.nft.exists().unwrap_or(true) {
            self.kernel_event(Event::TableChanged(0));
        }
        if let Ok(true) = self.store.settle() {
            self.log.line("the store can be written again");
        }
        self.rest_idle_networks(now);
        self.retire_key(now);
        self.ask_silent_hosts(now);
        self.publish_own();
    }

    /// All elements that should be in the table: what the journals say is up.
    pub(super) fn elements(&self) -> BTreeSet<crate::firewall::Element> {
        let networks = self.networks.values().filter_map(|n| n.journal.as_ref());
        let attached = self.sandboxes.values().flat_map(|s| s.attached.iter().map(|a| &a.journal));
        let peers = self
            .networks
            .values()
            .filter_map(|n| n.peers.as_ref())
            .chain(&self.membership.guard)
            .chain(&self.encryption.links);
        self.base.iter().chain(peers).chain(networks).chain(attached).flat_map(|j| j.plan.elements().cloned()).collect()
    }
}
