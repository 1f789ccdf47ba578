//! The writer's state. `work` is its loop.

use super::input::Input;
use super::parts::{Encryption, Membership};
use super::records::{NetworkState, Sandbox};
use super::silence::Silence;
use crate::dns::Dns;
use crate::kernel::{Journal, KernelError, Netns};
use crate::ledger::{Ledger, elements};
use crate::log::Log;
use netd_api::{ContainerId, NetworkId};
use netd_core::model::Facts;
use netd_core::ports::Registry;
use rcr_base::Config;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender};
use tokio::runtime::Runtime;

/// The single writer.
pub struct Daemon {
    pub(super) config: Config,
    pub(super) ledger: Ledger,
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
    pub(super) generation: u64,
    /// What containers had when they ended: they get it again if it is still free.
    pub(super) last_addresses: BTreeMap<ContainerId, Vec<(NetworkId, std::net::IpAddr)>>,
    /// Random bits of this host's IPv6 prefix.
    pub(super) host_bits: u64,
    pub(super) membership: Membership,
    pub(super) encryption: Encryption,
    pub(super) silence: Silence,
    pub(super) ending: bool,
}

impl Daemon {
    /// A writer that has adopted nothing yet.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        config: Config,
        ledger: Ledger,
        stock: Receiver<Result<Netns, KernelError>>,
        dns: Dns,
        runtime: Runtime,
        sender: Sender<Input>,
        log: Log,
    ) -> Self {
        Self {
            config,
            ledger,
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
            generation: 0,
            last_addresses: BTreeMap::new(),
            host_bits: 0,
            membership: Membership::default(),
            encryption: Encryption::default(),
            silence: Silence::default(),
            ending: false,
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

    /// All elements that should be in the table: what the journals say is up.
    pub(super) fn elements(&self) -> BTreeSet<netd_core::firewall::Element> {
        let networks = self.networks.values().filter_map(|n| n.journal.as_ref());
        let attached = self.sandboxes.values().flat_map(|s| s.attached.iter().map(|a| &a.journal));
        let peers = self
            .networks
            .values()
            .filter_map(|n| n.peers.as_ref())
            .chain(&self.membership.guard)
            .chain(&self.encryption.links);
        elements(self.base.iter().chain(peers).chain(networks).chain(attached))
    }
}
