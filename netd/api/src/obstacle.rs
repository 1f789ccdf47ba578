//! What stands in a network's way on its host.

use crate::NetworkName;
use serde::{Deserialize, Serialize};

/// A chain of somebody else's table that stops a network's packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// The network that it blocks.
    pub network: NetworkName,
    /// As nft(8) writes it: `ip`, `ip6`, `inet`.
    pub family: String,
    /// The nftables table.
    pub table: String,
    /// The base chain in it.
    pub chain: String,
    /// What lets the network through.
    pub command: String,
}
