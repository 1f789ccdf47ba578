//! The writer's state. `work` is its loop.

use super::host::Host;
use super::records::Sandboxes;
use crate::kernel::{KernelError, Netns};
use crate::ledger::elements;
use netd_core::firewall::Element;
use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;

/// The single writer.
pub struct Daemon {
    pub(super) host: Host,
    pub(super) sandboxes: Sandboxes,
    /// Namespaces that are made before anybody asks.
    stock: Receiver<Result<Netns, KernelError>>,
    pub(super) ending: bool,
    /// Ticks since something came in.
    pub(super) quiet: u32,
}

impl Daemon {
    /// A writer that has adopted nothing yet.
    pub fn new(host: Host, stock: Receiver<Result<Netns, KernelError>>) -> Self {
        Self { host, sandboxes: Sandboxes::default(), stock, ending: false, quiet: 0 }
    }

    /// A namespace from the stock.
    pub(super) fn ready_netns(&mut self) -> Result<Netns, KernelError> {
        match self.stock.recv() {
            Ok(netns) => netns,
            // The thread that fills the stock ends only with netd.
            Err(_) => Netns::new(),
        }
    }

    /// All elements that should be in the table: what the journals say is up.
    pub(super) fn elements(&self) -> BTreeSet<Element> {
        let networks = self.host.networks.values().filter_map(|n| n.journal.as_ref());
        let attached = self.sandboxes.values().flat_map(|s| s.attached.iter().map(|a| &a.journal));
        let host = &self.host;
        let peers = host
            .networks
            .values()
            .filter_map(|n| n.peers.as_ref())
            .chain(&host.membership.guard)
            .chain(&host.encryption.links);
        elements(host.base.iter().chain(peers).chain(networks).chain(attached))
    }
}
