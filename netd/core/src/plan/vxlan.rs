//! VXLAN links, and the entries that tell them who is where.

use super::effect::{Effect, End, Mtu, Object, Place, Row};
use netd_api::{IfName, Mac, Vni};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Makes a tunnel, or an entry of one. Inverse of an entry: delete it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum VxlanOp {
    /// A VXLAN link on `bridge`, which sends from `local` and learns nothing. Inverse: delete it, if it carries `alias`.
    #[serde(rename = "vxlan")]
    Link { name: IfName, vni: Vni, local: IpAddr, port: u16, mtu: u32, mac: Mac, bridge: IfName, alias: String },
    /// Frames to `mac` go out by the link, to the host `to`: an entry of the link's own and one of its bridge.
    Forward { link: IfName, mac: Mac, to: IpAddr },
    /// Broadcast and multicast go to the host `to`, too.
    Flood { link: IfName, to: IpAddr },
    /// The link answers for `address` itself.
    Neighbour { link: IfName, address: IpAddr, mac: Mac },
}

impl VxlanOp {
    /// All names.
    pub const NAMES: [&str; 4] = ["vxlan", "forward", "flood", "neighbour"];
}

impl Effect for VxlanOp {
    fn name(&self) -> &'static str {
        match self {
            VxlanOp::Link { .. } => "vxlan",
            VxlanOp::Forward { .. } => "forward",
            VxlanOp::Flood { .. } => "flood",
            VxlanOp::Neighbour { .. } => "neighbour",
        }
    }

    fn makes(&self) -> Option<&IfName> {
        if let VxlanOp::Link { name, .. } = self { Some(name) } else { None }
    }

    fn link(&self) -> Option<&IfName> {
        match self {
            VxlanOp::Link { .. } => None,
            VxlanOp::Forward { link, .. } | VxlanOp::Flood { link, .. } | VxlanOp::Neighbour { link, .. } => Some(link),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            VxlanOp::Forward { link, mac, .. } => Some(Place::Forward(link.clone(), *mac)),
            VxlanOp::Neighbour { link, address, .. } => Some(Place::Neighbour(link.clone(), *address)),
            VxlanOp::Link { .. } | VxlanOp::Flood { .. } => None,
        }
    }

    fn object(&self) -> Option<Object<'_>> {
        self.makes().map(|link| Object::Link(self.name(), link))
    }

    fn ends(&self) -> Vec<End<'_>> {
        match self {
            VxlanOp::Link { name, mtu, .. } => vec![End { inside: false, link: name, mtu: Mtu::Of(*mtu) }],
            _ => Vec::new(),
        }
    }

    fn describe(&self) -> String {
        match self {
            VxlanOp::Link { name, vni, port, .. } => format!("create VXLAN link `{name}` (VNI {vni}, UDP port {port})"),
            VxlanOp::Forward { mac, to, .. } => format!("forward `{mac}` to host `{to}`"),
            VxlanOp::Flood { link, to } => format!("let broadcast of `{link}` go to host `{to}`"),
            VxlanOp::Neighbour { link, address, .. } => format!("let `{link}` answer for `{address}`"),
        }
    }

    fn rows(&self) -> Vec<Row> {
        match self {
            VxlanOp::Link { name, vni, local, port, mtu, bridge, .. } => {
                let what = format!("vxlan {vni} on {bridge}, from {local} port {port}, mtu {mtu}");
                Row::one('+', "link", name, what)
            }
            VxlanOp::Forward { link, mac, to } => Row::one('+', "fdb", link, format!("{mac} at {to}")),
            VxlanOp::Flood { link, to } => Row::one('+', "fdb", link, format!("broadcast to {to}")),
            VxlanOp::Neighbour { link, address, mac } => Row::one('+', "neigh", link, format!("{address} is {mac}")),
        }
    }
}
