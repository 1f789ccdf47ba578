//! Hosts of a cluster.

use crate::{NodeId, PublicKey};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A host as `node ls` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// The host's id.
    pub id: NodeId,
    /// The host's name in the cluster.
    pub name: String,
    /// Its address on the network between the hosts.
    pub address: IpAddr,
    /// Whether it is there.
    pub state: NodeState,
    /// Seconds since the epoch: when it last gave a sign of life, as far as the host that answers knows.
    pub seen: i64,
    /// Networks that have containers on it.
    pub networks: u64,
    /// Its containers on overlay networks.
    pub containers: u64,
    /// It is the one that answers.
    pub own: bool,
    /// The WireGuard keys that it takes frames of encrypted networks by, while the cluster has any; the last one is
    /// what it is sent by.
    #[serde(default)]
    pub keys: Vec<KeyInfo>,
    /// Hosts that do not know the last of several keys yet, by name. Of the one that answers alone.
    #[serde(default)]
    pub behind: Vec<String>,
}

/// A host's public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// Counts the host's keys.
    pub generation: u32,
    /// The public key (RFC 7748).
    pub public: PublicKey,
    /// Where it takes WireGuard's datagrams.
    pub port: u16,
    /// Seconds since the epoch, by the host's clock, when it was made.
    pub made: i64,
}

/// Whether a host speaks to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Its lease in the store is alive.
    Ready,
    /// Its lease has ended: its names are gone, its containers may go on talking.
    Down,
}
