//! Ports of bridges: the hosts' ends of containers' links.

use super::effect::{Effect, Row};
use super::lan::list;
use netd_api::{IfName, Mac};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Does something with a bridge's port. It goes when the port goes, unless an inverse is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum PortOp {
    /// Puts a link onto a bridge again, when the bridge had gone under it.
    Join { link: IfName, bridge: IfName },
    /// Flags: an `isolated` port talks to the bridge only, not to other isolated ports; one with `hairpin` gets frames back that it
    /// sent (`IFLA_BRPORT_ISOLATED`, `IFLA_BRPORT_MODE`).
    #[serde(rename = "port")]
    Flags { link: IfName, isolated: bool, hairpin: bool },
    /// Frames that come out of the container go into the links of its neighbours on `bridge`, and theirs for `mac` into its
    /// own, past the bridge (bpf-helpers(7), `bpf_redirect_peer`), where the kernel can do that. Inverse: neither does.
    Redirect { link: IfName, mac: Mac, bridge: IfName },
    /// Tells a container's neighbours on a bridge which addresses its `link` has, as soon as this port forwards.
    Announce { link: IfName, addresses: Vec<IpAddr>, port: IfName },
}

impl PortOp {
    /// All names.
    pub const NAMES: [&str; 4] = ["join", "port", "redirect", "announce"];
}

impl Effect for PortOp {
    fn name(&self) -> &'static str {
        match self {
            PortOp::Join { .. } => "join",
            PortOp::Flags { .. } => "port",
            PortOp::Redirect { .. } => "redirect",
            PortOp::Announce { .. } => "announce",
        }
    }

    fn link(&self) -> Option<&IfName> {
        match self {
            PortOp::Join { link, .. } | PortOp::Flags { link, .. } | PortOp::Redirect { link, .. } => Some(link),
            // Its link is the container's.
            PortOp::Announce { .. } => None,
        }
    }

    fn describe(&self) -> String {
        match self {
            PortOp::Join { link, bridge } => format!("put `{link}` onto bridge `{bridge}`"),
            PortOp::Flags { link, .. } => format!("set the flags of bridge port `{link}`"),
            PortOp::Redirect { link, bridge, .. } => format!("let frames of `{link}` bypass bridge `{bridge}`"),
            PortOp::Announce { link, .. } => format!("announce the addresses of `{link}`"),
        }
    }

    fn rows(&self) -> Vec<Row> {
        match self {
            PortOp::Join { link, bridge } => Row::one('~', "port", link, format!("of {bridge}")),
            PortOp::Flags { link, isolated, hairpin } => {
                let flags = [(isolated, "isolated"), (hairpin, "hairpin")];
                let on: Vec<&str> = flags.into_iter().filter(|(on, _)| **on).map(|(_, name)| name).collect();
                Row::one('~', "port", link, on.join(", "))
            }
            PortOp::Redirect { link, mac, bridge } => {
                Row::one('~', "port", link, format!("frames to and from {mac} bypass {bridge}"))
            }
            PortOp::Announce { link, addresses, .. } => Row::one('!', "addr", link, list(addresses)),
        }
    }
}
