//! What the writer knows of its cluster, and of its keys there.

use crate::cluster::{Cluster, Identity, Snapshot};
use crate::dns::Endpoint;
use crate::kernel::{Journal, Underlay};
use netd_api::{ContainerId, NetworkId, NodeId};
use netd_core::keys::Keyring;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

/// Where the journal of the WireGuard links is kept.
pub const LINKS: &str = "journal/wireguard";

/// The writer's part of a cluster.
#[derive(Default)]
pub struct Membership {
    /// This host; absent without a store.
    pub identity: Option<Identity>,
    /// The client; absent until what the last netd left is adopted.
    pub cluster: Option<Cluster>,
    pub snapshot: Arc<Snapshot>,
    /// Names of other hosts' containers that are served here.
    pub names: BTreeMap<(NetworkId, ContainerId), Endpoint>,
    /// Which ports frames come in by, and from whom.
    pub guard: Option<Journal>,
    /// Questions of other hosts that are being answered.
    pub answering: Arc<AtomicUsize>,
    /// What was logged about networks that can't be taken over.
    pub strange: BTreeSet<NetworkId>,
}

impl Membership {
    /// This host's address among the cluster's, and the other hosts'.
    pub fn underlay(&self) -> Underlay {
        let address = self.identity.as_ref().map(|identity| identity.address);
        let peers = self.snapshot.nodes.values().map(|node| node.address);
        Underlay { address, peers: peers.filter(|peer| Some(*peer) != address).collect() }
    }
}

/// Where the guard's journal is kept.
pub const GUARD: &str = "journal/tunnels";

/// Where a network's entries of other hosts are kept.
pub fn peers_key(network: &NetworkId) -> String {
    format!("journal/peers/{network}")
}

/// The writer's part of what encrypted networks need.
#[derive(Default)]
pub struct Encryption {
    pub keys: Keyring,
    /// The links, while there are any.
    pub links: Option<Journal>,
    /// Of hosts that have several keys: the newest that is a peer here.
    pub knows: BTreeMap<NodeId, u32>,
    /// Whether the kernel has WireGuard; absent until somebody asks.
    pub able: Option<bool>,
    /// When the last host took over our newest key.
    pub taken_over: Option<Instant>,
}
