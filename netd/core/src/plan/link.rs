//! Links that are made: bridges, veth pairs, parents, and what sits on them. Tunnels are in `vxlan` and `wireguard`.

use super::effect::{Effect, End, Mtu, Object, Row};
use netd_api::{IfName, IpvlanFlag, IpvlanMode, Mac, MacvlanMode};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Makes a link. It is down. Inverse: delete it, if it carries `alias`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum LinkOp {
    /// A bridge with its own fixed MAC.
    Bridge { name: IfName, mac: Mac, mtu: u32, alias: String },
    /// A veth pair in one message: host end on `bridge`, peer in the container.
    Veth { host: IfName, host_mac: Mac, peer: IfName, mac: Mac, mtu: u32, bridge: IfName, alias: String },
    /// A VLAN link on `parent`, which networks share.
    Vlan { name: IfName, parent: IfName, id: u16, alias: String },
    /// A dummy link.
    Dummy { name: IfName, mac: Mac, mtu: u32, alias: String },
    /// A macvlan or ipvlan link on `parent`, made in the container's namespace at once as `born`, since the kernel looks a new
    /// link's name up among the host's, and renamed there. Its MTU is the parent's unless one is given. Inverse: delete it there.
    Child { name: IfName, born: IfName, parent: IfName, kind: Child, mac: Option<Mac>, mtu: Option<u32> },
    /// A macvlan or ipvlan link on `parent` for the host itself. Journals of before call it `shim`.
    #[serde(rename = "own_link", alias = "shim")]
    Own { name: IfName, parent: IfName, kind: Child, mac: Option<Mac>, mtu: Option<u32>, alias: String },
}

impl LinkOp {
    /// All names.
    pub const NAMES: [&str; 6] = ["bridge", "veth", "vlan", "dummy", "child", "own_link"];

    /// The link that it is called by: of a pair the host's end.
    pub fn called(&self) -> &IfName {
        match self {
            LinkOp::Bridge { name, .. } | LinkOp::Veth { host: name, .. } | LinkOp::Vlan { name, .. } => name,
            LinkOp::Dummy { name, .. } | LinkOp::Child { name, .. } | LinkOp::Own { name, .. } => name,
        }
    }
}

impl Effect for LinkOp {
    fn name(&self) -> &'static str {
        match self {
            LinkOp::Bridge { .. } => "bridge",
            LinkOp::Veth { .. } => "veth",
            LinkOp::Vlan { .. } => "vlan",
            LinkOp::Dummy { .. } => "dummy",
            LinkOp::Child { .. } => "child",
            LinkOp::Own { .. } => "own_link",
        }
    }

    fn makes(&self) -> Option<&IfName> {
        // The container's link is the container's.
        Some(self.called()).filter(|_| !matches!(self, LinkOp::Child { .. }))
    }

    fn object(&self) -> Option<Object<'_>> {
        Some(Object::Link(self.name(), self.called()))
    }

    fn ends(&self) -> Vec<End<'_>> {
        let end = |inside, link, mtu| End { inside, link, mtu };
        match self {
            LinkOp::Bridge { name, mtu, .. } | LinkOp::Dummy { name, mtu, .. } => vec![end(false, name, Mtu::Of(*mtu))],
            LinkOp::Veth { host, peer, mtu, .. } => {
                vec![end(false, host, Mtu::Of(*mtu)), end(true, peer, Mtu::Of(*mtu))]
            }
            LinkOp::Child { name, parent, mtu, .. } => vec![end(true, name, mtu.map_or(Mtu::Like(parent), Mtu::Of))],
            LinkOp::Own { name, parent, mtu, .. } => vec![end(false, name, mtu.map_or(Mtu::Like(parent), Mtu::Of))],
            LinkOp::Vlan { .. } => Vec::new(),
        }
    }

    fn describe(&self) -> String {
        match self {
            LinkOp::Bridge { name, .. } => format!("create bridge `{name}`"),
            LinkOp::Veth { host, bridge, .. } => format!("create veth `{host}` on bridge `{bridge}`"),
            LinkOp::Vlan { name, parent, .. } => format!("create VLAN link `{name}` on `{parent}`"),
            LinkOp::Dummy { name, .. } => format!("create dummy link `{name}`"),
            LinkOp::Child { name, parent, kind, .. } => {
                format!("create {} `{name}` on parent `{parent}`", kind.name())
            }
            LinkOp::Own { name, parent, .. } => {
                format!("create the host's own link `{name}` on parent `{parent}`")
            }
        }
    }

    fn rows(&self) -> Vec<Row> {
        let what = match self {
            LinkOp::Bridge { mac, mtu, .. } => format!("bridge, mac {mac}, mtu {mtu}"),
            LinkOp::Veth { peer, mac, mtu, bridge, .. } => {
                format!("veth on {bridge}, peer {peer} in the container, mac {mac}, mtu {mtu}")
            }
            LinkOp::Vlan { parent, id, .. } => format!("vlan {id} on {parent}"),
            LinkOp::Dummy { mac, mtu, .. } => format!("dummy, mac {mac}, mtu {mtu}"),
            LinkOp::Child { parent, kind, mac, mtu, .. } => {
                let mac = mac.map(|mac| format!(", mac {mac}")).unwrap_or_default();
                let mtu = mtu.map(|mtu| format!(", mtu {mtu}")).unwrap_or_default();
                format!("{kind} on {parent}, in the container{mac}{mtu}")
            }
            LinkOp::Own { parent, kind, .. } => format!("{kind} on {parent}, for the host itself"),
        };
        Row::one('+', "link", self.called(), what)
    }
}

/// A link that sits on another one and shares its wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Child {
    Macvlan { mode: MacvlanMode },
    Ipvlan { mode: IpvlanMode, flag: IpvlanFlag },
}

impl Child {
    /// The kernel's name of the link kind (`IFLA_INFO_KIND`).
    pub fn name(&self) -> &'static str {
        match self {
            Child::Macvlan { .. } => "macvlan",
            Child::Ipvlan { .. } => "ipvlan",
        }
    }
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Child::Macvlan { mode } => write!(f, "macvlan {}", mode.name()),
            Child::Ipvlan { mode, flag: IpvlanFlag::Bridge } => write!(f, "ipvlan {}", mode.name()),
            Child::Ipvlan { mode, flag } => write!(f, "ipvlan {} {}", mode.name(), flag.name()),
        }
    }
}
