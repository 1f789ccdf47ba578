//! `rcr network show`: a network as it is in the kernel, for people.

use crate::{AttachmentInfo, ContainerId, IfName, Mac, NetworkInfo, PublishedPort};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A network with everything that was made for it, as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkView {
    /// What `inspect` knows.
    pub network: NetworkInfo,
    /// Where its MTU comes from.
    pub mtu_from: MtuOrigin,
    /// Its own links on the host: the bridge, the tunnel, the parent, the host's own link.
    pub links: Vec<LinkView>,
    /// The containers of this host.
    pub endpoints: Vec<EndpointView>,
    /// The containers of other hosts.
    pub remotes: Vec<RemoteView>,
    /// Rules of ours that look something of this network up, and those of the administrator's table.
    pub rules: Vec<RuleView>,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
}

/// Where an MTU comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MtuOrigin {
    /// `-o mtu=`.
    Asked,
    /// The link of the host's default route.
    Uplink,
    /// The routes to the cluster's other hosts, less what the tunnel adds.
    Hosts,
    /// The parent link.
    Parent,
    /// Nothing says it: what Ethernet has.
    Ethernet,
    /// The network has no links.
    None,
}

/// A link of the kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkView {
    /// Its name.
    pub name: IfName,
    /// How it is.
    pub state: LinkState,
    /// In bytes.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Its MAC address, if it has one.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// What came in by it.
    pub received: Traffic,
    /// What went out by it.
    pub sent: Traffic,
}

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It passes packets.
    Up,
    /// Somebody set it down.
    Down,
    /// It should be there, and is not.
    Missing,
    /// It could not be looked at.
    Unknown,
}

/// What passed a link in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// How many.
    pub packets: u64,
    /// How much.
    pub bytes: u64,
    /// How many were dropped.
    pub dropped: u64,
}

/// A container on the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Its place on the network.
    pub attachment: AttachmentInfo,
    /// What it is called there.
    pub names: Vec<String>,
    /// The host's end; absent where there is none.
    #[serde(default)]
    pub outside: Option<LinkView>,
    /// The container's end.
    #[serde(default)]
    pub inside: Option<LinkView>,
    /// What it publishes by this network.
    #[serde(default)]
    pub ports: Vec<PublishedPort>,
}

/// A container of another host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemoteView {
    /// Its name.
    pub name: String,
    /// Its addresses on this network.
    pub addresses: Vec<IpAddr>,
    /// Its MAC address.
    pub mac: Mac,
    /// The host's name, or the beginning of its id.
    pub host: String,
    /// Where that host takes the network's frames.
    #[serde(default)]
    pub address: Option<IpAddr>,
}

/// A rule of nftables that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// Family and name of the table.
    pub table: String,
    /// The chain in it.
    pub chain: String,
    /// What the kernel calls the rule there.
    pub handle: u64,
    /// Why it is there.
    pub comment: String,
    /// What it dropped, of all networks together.
    pub packets: u64,
    /// The same in bytes.
    pub bytes: u64,
}

/// A container's question for a name, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryView {
    /// Milliseconds since the epoch.
    pub at: i64,
    /// Who asked.
    pub container: ContainerId,
    /// Its name.
    pub container_name: String,
    /// What was asked for, printable; a long one is cut.
    pub name: String,
    /// The type of records: `A`, `AAAA`, …; empty: it was cut with the name.
    pub kind: String,
    /// The answer's code (RFC 1035, 4.1.1): 0 is an answer, 3 means that there is no such name.
    pub code: u8,
    /// How many records the answer had.
    pub records: u16,
    /// A resolver outside was asked.
    pub outside: bool,
}
