//! WireGuard links and their peers.

use super::effect::{Effect, End, Mtu, Object, Place, Row};
use netd_api::{IfName, PublicKey};
use serde::{Deserialize, Serialize};
use std::net::{Ipv6Addr, SocketAddr};

/// Makes a WireGuard link, or a peer of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op")]
pub enum WireGuardOp {
    /// A link with this host's private key of that generation, which the applier has: no plan and no journal knows it.
    /// Inverse: delete it, if it carries `alias`.
    #[serde(rename = "wireguard")]
    Link { name: IfName, generation: u32, port: u16, mtu: u32, alias: String },
    /// A host whose key this is takes and sends `address` by the link. Inverse: delete the peer.
    #[serde(rename = "wireguard_peer")]
    Peer { link: IfName, key: PublicKey, endpoint: SocketAddr, address: Ipv6Addr },
}

impl WireGuardOp {
    /// All names.
    pub const NAMES: [&str; 2] = ["wireguard", "wireguard_peer"];
}

impl Effect for WireGuardOp {
    fn name(&self) -> &'static str {
        match self {
            WireGuardOp::Link { .. } => "wireguard",
            WireGuardOp::Peer { .. } => "wireguard_peer",
        }
    }

    fn makes(&self) -> Option<&IfName> {
        if let WireGuardOp::Link { name, .. } = self { Some(name) } else { None }
    }

    fn link(&self) -> Option<&IfName> {
        if let WireGuardOp::Peer { link, .. } = self { Some(link) } else { None }
    }

    fn place(&self) -> Option<Place> {
        Some(match self {
            WireGuardOp::Link { name, .. } => Place::Link(name.clone()),
            WireGuardOp::Peer { link, key, .. } => Place::Peer(link.clone(), *key),
        })
    }

    fn object(&self) -> Option<Object<'_>> {
        match self {
            WireGuardOp::Link { name, port, .. } => Some(Object::Listener(name, *port)),
            WireGuardOp::Peer { .. } => None,
        }
    }

    fn ends(&self) -> Vec<End<'_>> {
        match self {
            WireGuardOp::Link { name, mtu, .. } => vec![End { inside: false, link: name, mtu: Mtu::Of(*mtu) }],
            WireGuardOp::Peer { .. } => Vec::new(),
        }
    }

    fn describe(&self) -> String {
        match self {
            WireGuardOp::Link { name, port, .. } => format!("create WireGuard link `{name}` (UDP port {port})"),
            WireGuardOp::Peer { link, endpoint, .. } => format!("let `{link}` speak to `{endpoint}`"),
        }
    }

    fn rows(&self) -> Vec<Row> {
        match self {
            WireGuardOp::Link { name, generation, port, mtu, .. } => {
                let what = format!("wireguard, key {generation} of this host, port {port}, mtu {mtu}");
                Row::one('+', "link", name, what)
            }
            WireGuardOp::Peer { link, key, endpoint, address } => {
                Row::one('+', "peer", link, format!("{key} at {endpoint}, for {address}"))
            }
        }
    }
}
