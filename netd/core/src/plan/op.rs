//! Everything that can be done to a kernel.

use crate::firewall::Element;
use ipnet::IpNet;
use netd_api::{IfName, IpvlanFlag, IpvlanMode, Mac, MacvlanMode, PublicKey, Vni};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// One effect. Links are named, never numbered. Every `Op` that creates something has an inverse (see `kernel::apply`);
/// the others change an object that an earlier `Op` of the same plan created, and go when it goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// A bridge, down, with its own fixed MAC. Inverse: delete it, if it carries `alias`.
    Bridge { name: IfName, mac: Mac, mtu: u32, alias: String },
    /// A veth pair in one message: host end on `bridge`, peer in the container. Inverse: delete the host end, if it carries `alias`.
    Veth { host: IfName, host_mac: Mac, peer: IfName, mac: Mac, mtu: u32, bridge: IfName, alias: String },
    /// A VLAN link on `parent`, which networks share. Inverse: delete it, if it carries `alias`.
    Vlan { name: IfName, parent: IfName, id: u16, alias: String },
    /// A dummy link. Inverse: delete it, if it carries `alias`.
    Dummy { name: IfName, mac: Mac, mtu: u32, alias: String },
    /// A macvlan or ipvlan link on `parent`, made in the container's namespace at once as `born`, since the kernel looks a new
    /// link's name up among the host's, and renamed there. Its MTU is the parent's unless one is given. Inverse: delete it there.
    Child { name: IfName, born: IfName, parent: IfName, kind: Child, mac: Option<Mac>, mtu: Option<u32> },
    /// A macvlan or ipvlan link on `parent` for the host itself. Inverse: delete it, if it carries `alias`.
    Shim { name: IfName, parent: IfName, kind: Child, mac: Option<Mac>, mtu: Option<u32>, alias: String },
    /// Puts a link onto a bridge again, when the bridge had gone under it.
    Join { link: IfName, bridge: IfName },
    /// Flags of a bridge port: `isolated` talks to the bridge only, not to other isolated ports; `hairpin` gets frames back
    /// that it sent (`IFLA_BRPORT_ISOLATED`, `IFLA_BRPORT_MODE`).
    Port { link: IfName, isolated: bool, hairpin: bool },
    /// An address. Inverse: delete it, unless its link went before.
    Address { link: IfName, address: IpNet },
    /// Sets the link up.
    Up { link: IfName },
    /// A route; without `via` to the link itself. Inverse: delete it.
    Route { to: IpNet, via: Option<IpAddr>, link: IfName },
    /// A value below `/proc/sys`. Inverse: write `undo`, where it is set; else the value goes with its link.
    Sysctl { key: String, value: String, undo: Option<String> },
    /// The table `inet rcr` with its chains, sets and rules. Inverse: delete it.
    Table,
    /// The table `inet rcr-user` with two empty chains for the administrator. Inverse: delete it, if nobody put rules there.
    UserTable,
    /// Elements of the sets and maps of `inet rcr`. Inverse: delete them.
    Elements { elements: Vec<Element> },
    /// Forgets the conntrack entries of an address or of a published UDP/SCTP port, so that old flows don't outlive a change.
    /// Inverse: forget those of the port once more.
    ForgetFlows { address: IpAddr, port: Option<(u8, u16, u16)> },
    /// What comes from `address` leaves by `via`, whatever carries the default route. Inverse: delete the rule and its routes.
    ReplyRoute { address: IpNet, via: IpAddr, link: IfName },
    /// Changes the MTU of a link that stands, in bytes. Inverse: the old one.
    Mtu { link: IfName, from: u32, to: u32 },
    /// Asks the LAN whether anybody has one of these addresses, and fails if so.
    Probe { link: IfName, addresses: Vec<IpAddr> },
    /// Tells the LAN who has these addresses now. `port`: the container's neighbours on a bridge, as soon as this port of it forwards.
    Announce {
        link: IfName,
        addresses: Vec<IpAddr>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<IfName>,
    },
    /// A VXLAN link on `bridge`, which sends from `local` and learns nothing. Inverse: delete it, if it carries `alias`.
    Vxlan { name: IfName, vni: Vni, local: IpAddr, port: u16, mtu: u32, mac: Mac, bridge: IfName, alias: String },
    /// Frames to `mac` go out by the VXLAN link, to the host `to`: an entry of the link's own and one of its bridge. Inverse: delete both.
    Forward { link: IfName, mac: Mac, to: IpAddr },
    /// Broadcast and multicast go to the host `to`, too. Inverse: delete that destination.
    Flood { link: IfName, to: IpAddr },
    /// The VXLAN link answers for `address` itself. Inverse: delete it.
    Neighbour { link: IfName, address: IpAddr, mac: Mac },
    /// A WireGuard link with this host's private key of that generation, which the applier has: no plan and no journal knows it.
    /// Inverse: delete it, if it carries `alias`.
    #[serde(rename = "wireguard")]
    WireGuard { name: IfName, generation: u32, port: u16, mtu: u32, alias: String },
    /// A host whose key this is takes and sends `address` by the WireGuard link. Inverse: delete the peer.
    #[serde(rename = "wireguard_peer")]
    WireGuardPeer { link: IfName, key: PublicKey, endpoint: SocketAddr, address: Ipv6Addr },
}

impl Op {
    /// All names, for sweeps over every kind there is.
    pub const NAMES: [&str; 26] = [
        "bridge",
        "veth",
        "join",
        "port",
        "address",
        "up",
        "route",
        "sysctl",
        "table",
        "user_table",
        "elements",
        "forget_flows",
        "vlan",
        "dummy",
        "child",
        "shim",
        "reply_route",
        "mtu",
        "probe",
        "announce",
        "vxlan",
        "forward",
        "flood",
        "neighbour",
        "wireguard",
        "wireguard_peer",
    ];

    /// The op's name: what failpoints and journals call it.
    pub fn name(&self) -> &'static str {
        Self::NAMES[match self {
            Op::Bridge { .. } => 0,
            Op::Veth { .. } => 1,
            Op::Join { .. } => 2,
            Op::Port { .. } => 3,
            Op::Address { .. } => 4,
            Op::Up { .. } => 5,
            Op::Route { .. } => 6,
            Op::Sysctl { .. } => 7,
            Op::Table => 8,
            Op::UserTable => 9,
            Op::Elements { .. } => 10,
            Op::ForgetFlows { .. } => 11,
            Op::Vlan { .. } => 12,
            Op::Dummy { .. } => 13,
            Op::Child { .. } => 14,
            Op::Shim { .. } => 15,
            Op::ReplyRoute { .. } => 16,
            Op::Mtu { .. } => 17,
            Op::Probe { .. } => 18,
            Op::Announce { .. } => 19,
            Op::Vxlan { .. } => 20,
            Op::Forward { .. } => 21,
            Op::Flood { .. } => 22,
            Op::Neighbour { .. } => 23,
            Op::WireGuard { .. } => 24,
            Op::WireGuardPeer { .. } => 25,
        }]
    }

    /// The host's link that it makes, if it makes one.
    pub fn makes(&self) -> Option<&IfName> {
        match self {
            Op::Bridge { name, .. } | Op::Veth { host: name, .. } => Some(name),
            Op::Vlan { name, .. } | Op::Dummy { name, .. } | Op::Shim { name, .. } | Op::Vxlan { name, .. } => {
                Some(name)
            }
            Op::WireGuard { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The place in the kernel that it fills, if it takes it from whatever is there, with no moment in which there is nothing.
    pub fn place(&self) -> Option<String> {
        match self {
            Op::Forward { link, mac, .. } => Some(format!("fdb {link} {mac}")),
            Op::Neighbour { link, address, .. } => Some(format!("neigh {link} {address}")),
            Op::Route { to, .. } => Some(format!("route {to}")),
            Op::WireGuard { name, .. } => Some(format!("link {name}")),
            Op::WireGuardPeer { link, key, .. } => Some(format!("peer {link} {key}")),
            _ => None,
        }
    }

    /// The link that it changes, if it changes one.
    pub fn link(&self) -> Option<&IfName> {
        match self {
            Op::Join { link, .. } | Op::Port { link, .. } | Op::Address { link, .. } | Op::Up { link } => Some(link),
            Op::Route { link, .. } | Op::ReplyRoute { link, .. } | Op::Mtu { link, .. } => Some(link),
            Op::Probe { link, .. } | Op::Announce { link, port: None, .. } => Some(link),
            Op::Forward { link, .. } | Op::Flood { link, .. } | Op::Neighbour { link, .. } => Some(link),
            Op::WireGuardPeer { link, .. } => Some(link),
            _ => None,
        }
    }

    /// What it does, for errors: `create bridge `br-blue``.
    pub fn describe(&self) -> String {
        match self {
            Op::Bridge { name, .. } => format!("create bridge `{name}`"),
            Op::Veth { host, bridge, .. } => format!("create veth `{host}` on bridge `{bridge}`"),
            Op::Vlan { name, parent, .. } => format!("create VLAN link `{name}` on `{parent}`"),
            Op::Dummy { name, .. } => format!("create dummy link `{name}`"),
            Op::Child { name, parent, kind, .. } => format!("create {} `{name}` on parent `{parent}`", kind.name()),
            Op::Shim { name, parent, .. } => format!("create the host's own link `{name}` on parent `{parent}`"),
            Op::Join { link, bridge } => format!("put `{link}` onto bridge `{bridge}`"),
            Op::Port { link, .. } => format!("set the flags of bridge port `{link}`"),
            Op::Address { link, address } => format!("add address `{address}` to `{link}`"),
            Op::Up { link } => format!("set `{link}` up"),
            Op::Route { to, via: Some(via), link } => format!("add route `{to}` via `{via}` on `{link}`"),
            Op::Route { to, via: None, link } => format!("add route `{to}` on `{link}`"),
            Op::Sysctl { key, value, .. } => format!("set sysctl `{key}` to `{value}`"),
            Op::Table => "write nftables table `inet rcr`".to_owned(),
            Op::UserTable => "write nftables table `inet rcr-user`".to_owned(),
            Op::Elements { .. } => "add elements to nftables table `inet rcr`".to_owned(),
            Op::ForgetFlows { address, .. } => format!("forget the flows of `{address}`"),
            Op::Probe { link, .. } => format!("ask the LAN for the addresses of `{link}`"),
            Op::Announce { link, .. } => format!("announce the addresses of `{link}`"),
            Op::Mtu { link, to, .. } => format!("set the MTU of `{link}` to {to}"),
            Op::Vxlan { name, vni, port, .. } => format!("create VXLAN link `{name}` (VNI {vni}, UDP port {port})"),
            Op::Forward { mac, to, .. } => format!("forward `{mac}` to host `{to}`"),
            Op::Flood { link, to } => format!("let broadcast of `{link}` go to host `{to}`"),
            Op::Neighbour { link, address, .. } => format!("let `{link}` answer for `{address}`"),
            Op::WireGuard { name, port, .. } => format!("create WireGuard link `{name}` (UDP port {port})"),
            Op::WireGuardPeer { link, endpoint, .. } => format!("let `{link}` speak to `{endpoint}`"),
            Op::ReplyRoute { address, link, .. } => format!("route answers from `{}` by `{link}`", address.addr()),
        }
    }
}

/// A link that sits on another one and shares its wire.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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

/// Where a step happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// netd's own network namespace.
    Host,
    /// The container's.
    Container,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub scope: Scope,
    pub op: Op,
    /// Why it is there, or why it stands where it stands.
    #[serde(skip)]
    pub why: &'static str,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Written down, perhaps done: a crash came between.
    Intended,
    /// Not done.
    Skipped,
    Created,
    /// It was there before: undo leaves it.
    AlreadyThere,
    /// The old value: undo puts it back.
    Replaced(String),
}

/// Steps in the order in which they are applied.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub steps: Vec<Step>,
}

impl Plan {
    /// Adds a step on the host.
    pub fn host(&mut self, op: Op, why: &'static str) {
        self.steps.push(Step { scope: Scope::Host, op, why });
    }

    /// Adds a step in the container.
    pub fn container(&mut self, op: Op, why: &'static str) {
        self.steps.push(Step { scope: Scope::Container, op, why });
    }

    /// Whether it creates this link.
    pub fn makes(&self, link: &IfName) -> bool {
        self.steps.iter().any(|step| step.op.makes() == Some(link))
    }

    /// All elements that the plan puts into `inet rcr`.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.steps.iter().flat_map(|step| match &step.op {
            Op::Elements { elements } => elements.as_slice(),
            _ => &[],
        })
    }
}
