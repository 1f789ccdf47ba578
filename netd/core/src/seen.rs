//! What was seen of a kernel, as values. Nothing here looks.

use crate::firewall::foreign::ForeignChain;
use crate::plan::LinkSeen;
use crate::ports::Busy;
use ipnet::IpNet;
use netd_api::{IfName, Mac};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A network namespace, as it was seen on the way from one address to another.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlaceSeen {
    pub links: BTreeMap<IfName, LinkSeen>,
    pub addresses: BTreeSet<(IfName, IpNet)>,
    /// The route to the other end.
    pub way: RouteSeen,
    /// The route to the end that asks.
    pub back: RouteSeen,
    pub neighbours: Vec<NeighbourSeen>,
    /// By their paths below `/proc/sys`.
    pub sysctls: BTreeMap<String, String>,
    /// Ports that somebody waits on.
    pub sockets: Vec<Busy>,
}

/// What a look-up of a route said.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum RouteSeen {
    /// Nobody asked.
    #[default]
    Unasked,
    /// There is none, or one that refuses.
    None,
    Way(WaySeen),
}

/// A route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WaySeen {
    pub link: String,
    pub via: Option<IpAddr>,
    /// It leads to this namespace itself.
    pub local: bool,
    /// What it says a packet may have, in bytes.
    pub mtu: Option<u32>,
}

/// An entry of a neighbour table.
#[derive(Debug, Clone, PartialEq)]
pub struct NeighbourSeen {
    pub link: u32,
    pub address: IpAddr,
    pub mac: Option<Mac>,
    pub state: NeighbourState,
}

/// How much an entry is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeighbourState {
    /// Somebody wrote it down.
    Fixed,
    /// The neighbour has said so.
    Known,
    /// It is being asked, or does not answer.
    Unanswered,
}

/// An entry of a tunnel's forwarding table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardSeen {
    pub mac: Mac,
    pub to: IpAddr,
}

/// What came of a name that the source asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NameSeen {
    pub name: String,
    pub outcome: NameOutcome,
    /// Servers for names outside, and whether they answered when they were asked.
    pub servers: Vec<(IpAddr, bool)>,
    /// Domains that it was looked for in.
    pub domains: Vec<String>,
}

/// How a question for a name ended.
#[derive(Debug, Clone, PartialEq)]
pub enum NameOutcome {
    Addresses(Vec<IpAddr>),
    NoSuchName,
    /// With this code of the protocol.
    Failed(String),
    Silent,
}

/// A probe.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeSeen {
    pub outcome: ProbeOutcome,
    /// How long was waited, in milliseconds.
    pub waited: u64,
}

/// How a probe ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeOutcome {
    /// The other end answered.
    Answered,
    /// The other end, or somebody on the way, refused.
    Refused,
    /// The kernel or a router said that there is no way.
    Unreachable(String),
    /// Nothing came back.
    Silent,
}

/// A packet as large as the first link takes, beside a small one.
#[derive(Debug, Clone, PartialEq)]
pub struct FullSizeSeen {
    /// In bytes.
    pub size: u32,
    pub small_answered: bool,
    pub answered: bool,
    /// What somebody on the way said it may be.
    pub told: Option<u32>,
}

/// Where a probe was seen in the host's firewall.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TraceSeen {
    /// It came to the host at all.
    pub arrived: bool,
    /// Who dropped it, in the order of the packets.
    pub drops: Vec<DropSeen>,
}

/// A verdict that ended a packet.
#[derive(Debug, Clone, PartialEq)]
pub struct DropSeen {
    pub family: u8,
    pub table: String,
    pub chain: String,
    /// Absent: the chain's policy.
    pub rule: Option<RuleSeen>,
    /// It was an answer that was dropped.
    pub answer: bool,
}

/// A rule of nftables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSeen {
    /// `NFPROTO_*`: 1 inet, 2 ip, 5 netdev, 7 bridge, 10 ip6.
    pub family: u8,
    pub table: String,
    pub chain: String,
    /// What the kernel calls it in its chain.
    pub handle: u64,
    pub comment: Option<String>,
    /// As nft(8) writes it, as far as it is understood.
    pub text: String,
    /// The sets that it looks up.
    pub sets: Vec<String>,
    /// Packets and bytes, if it counts them.
    pub counted: Option<(u64, u64)>,
}

/// A tunnel to another host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TunnelSeen {
    pub forwards: Vec<ForwardSeen>,
    /// The route to the other host.
    pub way: RouteSeen,
    /// Whether the other host answers at all.
    pub host_answers: Option<bool>,
    /// How long ago WireGuard has last agreed on a session with it, in seconds: of encrypted networks.
    pub session: SessionSeen,
}

/// A session of WireGuard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionSeen {
    /// Nobody looked.
    #[default]
    Unasked,
    /// No link has this peer.
    Stranger,
    Never,
    /// In seconds.
    Ago(u64),
}

/// Everything that was seen. What is absent was not looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    pub source: Option<PlaceSeen>,
    pub host: Option<PlaceSeen>,
    pub target: Option<PlaceSeen>,
    pub name: Option<NameSeen>,
    pub probe: Option<ProbeSeen>,
    pub full_size: Option<FullSizeSeen>,
    pub trace: Option<TraceSeen>,
    /// Chains of others that stop such packets, as far as that is certain without a probe.
    pub stopping: Vec<ForeignChain>,
    /// Flows that are tracked, and the most there can be.
    pub conntrack: Option<(u64, u64)>,
    pub tunnel: Option<TunnelSeen>,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
}

impl PlaceSeen {
    /// The link of this index.
    pub fn link_at(&self, index: u32) -> Option<(&IfName, &LinkSeen)> {
        self.links.iter().find(|(_, link)| link.index == index)
    }

    /// The entry for an address.
    pub fn neighbour(&self, address: IpAddr) -> Option<&NeighbourSeen> {
        self.neighbours.iter().find(|one| one.address == address)
    }

    /// Whether an address is one of its own.
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|(_, net)| net.addr() == address)
    }

    /// A sysctl as a number.
    pub fn number(&self, key: &str) -> Option<i64> {
        self.sysctls.get(key)?.parse().ok()
    }
}

/// A family of tables as nft(8) writes it.
pub fn family_name(family: u8) -> &'static str {
    match family {
        2 => "ip",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "inet",
    }
}
