//! This host's networks as one value, for whoever shows or explains them: taken from the writer at once, so that
//! nothing changes while it is looked at.

use crate::drivers;
use crate::firewall::Set;
use crate::model::{Attachment, Facts, Network, Remote, Vtep};
use netd_api::{ContainerId, DnsRequest, IfName, MtuOrigin, NetnsSource, NetworkId, NodeId, PublishedPort};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// All networks of this host, and who is on them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picture {
    pub networks: BTreeMap<NetworkId, NetworkPicture>,
    pub containers: BTreeMap<ContainerId, Inhabitant>,
    /// The other hosts of the cluster.
    pub nodes: BTreeMap<NodeId, NodePicture>,
    pub facts: Facts,
    /// Configured servers for names outside.
    pub upstreams: Vec<IpAddr>,
    /// Why the cluster's store does not answer, while it doesn't.
    pub store_away: Option<String>,
}

/// A network as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkPicture {
    pub network: Network,
    /// Its kernel objects are there, as far as netd knows.
    pub up: bool,
    /// What its links have, in bytes.
    pub mtu: Option<u32>,
    /// Addresses in use and still free, by subnet.
    pub pools: Vec<(u64, u64)>,
    /// Hosts that have it, and what is on it there.
    pub vteps: BTreeMap<NodeId, Vtep>,
    pub remotes: Vec<Remote>,
    /// The sets of the host's table in which something of it lies.
    pub sets: BTreeSet<Set>,
}

/// A container, or what uses the host's namespace under a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Inhabitant {
    pub name: String,
    pub source: NetnsSource,
    pub attachments: Vec<Attachment>,
    pub ports: Vec<PublishedPort>,
    pub dns: DnsRequest,
    pub host_gateway: bool,
    /// Nobody finds it by name: it is not healthy.
    pub withheld: bool,
}

/// Another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePicture {
    pub name: String,
    pub address: IpAddr,
    /// It says that it is there.
    pub alive: bool,
}

impl NetworkPicture {
    /// Where its MTU comes from.
    pub fn mtu_from(&self, facts: &Facts) -> MtuOrigin {
        let network = &self.network;
        match () {
            () if !network.linked() => MtuOrigin::None,
            () if network.asked_mtu().is_some() => MtuOrigin::Asked,
            () if network.parent.is_some() => MtuOrigin::Parent,
            () if network.tunnel().is_some() && network.shared => MtuOrigin::Hosts,
            () if facts.uplink_mtu.is_some() => MtuOrigin::Uplink,
            () => MtuOrigin::Ethernet,
        }
    }

    /// Its own links on the host.
    pub fn own_links(&self) -> Vec<IfName> {
        let network = &self.network;
        let tunnel = drivers::overlay::link_name(network).filter(|_| network.shared);
        let parent = network.parent.as_ref().map(|parent| parent.name().clone());
        let own = network.own_link.as_ref().map(|own| own.name.clone());
        let mut all: Vec<IfName> = network.interface.iter().cloned().chain(parent).chain(own).chain(tunnel).collect();
        all.dedup();
        all
    }
}

impl Picture {
    /// A network by its name.
    pub fn network_named(&self, name: &str) -> Option<&NetworkPicture> {
        self.networks.values().find(|one| one.network.name.as_str() == name)
    }

    /// How a host of the cluster is called.
    pub fn host_name(&self, node: &NodeId) -> String {
        self.nodes.get(node).map_or_else(|| node.short().to_owned(), |node| node.name.clone())
    }
}

impl Inhabitant {
    /// What it is called on a network, beside its name.
    pub fn names(&self, id: &ContainerId, attachment: &Attachment) -> Vec<String> {
        [self.name.clone(), id.short().to_owned()].into_iter().chain(attachment.aliases.iter().cloned()).collect()
    }
}
