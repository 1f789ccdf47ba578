//! This host's networks as one value, for whoever shows or explains them: taken from the writer at once, so that
//! nothing changes while it is looked at.

use crate::drivers;
use crate::firewall::Set;
use crate::model::{Attachment, Facts, Network, Remote, Vtep};
use netd_api::{
    ContainerId, DnsRequest, IfName, MtuOrigin, NamedAddress, NetnsSource, NetworkId, NodeId, PublishedPort,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Where containers find their resolver.
const RESOLVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 11));

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

    /// Whose addresses are whose. Where networks have the same addresses, those in `first` come before the others.
    pub fn named_addresses(&self, first: &[NetworkId]) -> Vec<NamedAddress> {
        let mut all: BTreeMap<IpAddr, String> = BTreeMap::new();
        let (chosen, others): (Vec<_>, Vec<_>) = self.networks.values().partition(|n| first.contains(&n.network.id));
        for one in chosen.into_iter().chain(others) {
            let network = &one.network;
            for (id, container) in &self.containers {
                let on = container.attachments.iter().filter(|a| a.network == network.id);
                for address in on.flat_map(|a| &a.addresses) {
                    let name =
                        || if container.name.is_empty() { id.short().to_owned() } else { container.name.clone() };
                    all.entry(address.addr()).or_insert_with(name);
                }
            }
            for remote in &one.remotes {
                for address in &remote.addresses {
                    all.entry(*address).or_insert_with(|| remote.name.clone());
                }
            }
            for subnet in &network.subnets {
                let name = if network.parent.is_none() && network.is_gateway(subnet) { "host" } else { "gateway" };
                if let Some(address) = subnet.gateway {
                    all.entry(address).or_insert_with(|| name.to_owned());
                }
            }
            for address in network.own_link.iter().flat_map(|own| own.addresses.iter().chain(&own.of_host)) {
                all.entry(*address).or_insert_with(|| "host".to_owned());
            }
        }
        for node in self.nodes.values() {
            all.entry(node.address).or_insert_with(|| node.name.clone());
        }
        if let Some(address) = self.facts.underlay {
            all.entry(address).or_insert_with(|| "host".to_owned());
        }
        all.entry(RESOLVER).or_insert_with(|| "resolver".to_owned());
        all.into_iter().map(|(address, name)| NamedAddress { address, name }).collect()
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
