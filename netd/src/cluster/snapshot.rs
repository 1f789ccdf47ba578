//! What this host knows of the cluster: a fold over records and deletions. Pure.

use netd_api::{ContainerId, KeyInfo, NetworkId, NodeId, NodeInfo, NodeState};
use netd_core::drivers::wireguard;
use netd_core::model::{Network, Peers, Remote, Vtep};
use netd_core::schema::{Claim, Endpoint, Fact, Key, Node, parse, parse_key};
use rpds::RedBlackTreeMapSync as SharedMap;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Who is there, what networks there are, who is on them. A copy is made for every batch of changes: the two maps that
/// can be large share what did not change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub schema: Option<u32>,
    pub nodes: BTreeMap<NodeId, Node>,
    pub alive: BTreeSet<NodeId>,
    /// When hosts that are down were last heard of, as far as we were there. Seconds since the epoch.
    pub seen: BTreeMap<NodeId, i64>,
    pub networks: BTreeMap<NetworkId, Network>,
    /// Networks that somebody removed while we watched, in contrast to those that are just not there.
    pub removed: BTreeSet<NetworkId>,
    pub at: BTreeSet<(NetworkId, NodeId)>,
    pub addresses: SharedMap<(NetworkId, IpAddr), Claim>,
    pub endpoints: SharedMap<(NetworkId, NodeId, ContainerId), Endpoint>,
}

impl Snapshot {
    /// Takes in a change. A record that is not understood changes nothing and is an error.
    pub fn take(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), String> {
        let unclear = |why: String| format!("record `{key}` of the cluster's store is not understood: {why}");
        match value {
            Some(value) => {
                let fact = parse(key, value).map_err(unclear)?;
                self.belongs(&fact).map_err(unclear)?;
                self.put(fact);
            }
            None => self.delete(parse_key(key).map_err(unclear)?),
        }
        Ok(())
    }

    /// A key belongs to one host: whoever has it may send from the host's address.
    fn belongs(&self, fact: &Fact) -> Result<(), String> {
        let Fact::Node(id, node) = fact else { return Ok(()) };
        let address = |key: &KeyInfo| wireguard::inner(&key.public);
        let same =
            |other: &Node| other.keys.iter().any(|theirs| node.keys.iter().any(|k| address(k) == address(theirs)));
        match self.nodes.iter().find(|(other, record)| *other != id && same(record)) {
            Some((_, other)) => Err(format!("it has a key of host `{}`", other.name)),
            None => Ok(()),
        }
    }

    fn put(&mut self, fact: Fact) {
        match fact {
            Fact::Schema(version) => self.schema = Some(version),
            Fact::Node(id, node) => drop(self.nodes.insert(id, node)),
            Fact::Alive(id) => drop(self.alive.insert(id)),
            Fact::Network(network) => {
                self.removed.remove(&network.id);
                self.networks.insert(network.id.clone(), *network);
            }
            Fact::At(network, node) => drop(self.at.insert((network, node))),
            Fact::Address(network, address, claim) => self.addresses.insert_mut((network, address), claim),
            Fact::Endpoint(network, node, id, endpoint) => self.endpoints.insert_mut((network, node, id), endpoint),
            // They are passed on, and change nothing here.
            Fact::Index | Fact::Check(..) | Fact::Checked(..) => {}
        }
    }

    fn delete(&mut self, key: Key) {
        match key {
            Key::Schema | Key::Index | Key::Check(_) | Key::Checked(..) => {}
            Key::Node(id) => drop(self.nodes.remove(&id)),
            Key::Alive(id) => drop(self.alive.remove(&id)),
            Key::Network(id) => {
                self.networks.remove(&id);
                self.removed.insert(id);
            }
            Key::At(network, node) => drop(self.at.remove(&(network, node))),
            Key::Address(network, address) => drop(self.addresses.remove_mut(&(network, address))),
            Key::Endpoint(network, node, id) => drop(self.endpoints.remove_mut(&(network, node, id))),
        }
    }

    /// What the others have of a network. A host that lost only the store goes on talking: its entries stay.
    pub fn peers(&self, network: &NetworkId, own: &NodeId) -> Peers {
        let others = self.at.iter().filter(|(id, node)| id == network && node != own);
        let vteps = others.filter_map(|(_, node)| {
            let record = self.nodes.get(node)?;
            Some((node.clone(), Vtep { address: record.address, key: record.keys.last().map(|key| key.public) }))
        });
        let remotes = self.of(network).filter(|(node, _, _)| *node != own).map(|(node, container, endpoint)| Remote {
            node: node.clone(),
            container: container.clone(),
            name: endpoint.name.clone(),
            aliases: endpoint.aliases.clone(),
            addresses: endpoint.addresses.clone(),
            mac: endpoint.mac,
        });
        Peers { vteps: vteps.collect(), remotes: remotes.collect() }
    }

    /// The other hosts that have keys: also those that have no encrypted network yet, so that they are known when they
    /// come.
    pub fn keyed(&self, own: &NodeId, silent: &BTreeSet<NodeId>) -> BTreeMap<NodeId, wireguard::Peer> {
        let others = self.nodes.iter().filter(|(id, node)| *id != own && !silent.contains(id) && !node.keys.is_empty());
        let peer = |node: &Node| {
            let knows = node.knows.get(own).copied();
            wireguard::Peer { address: node.address, keys: node.keys.clone(), knows }
        };
        others.map(|(id, node)| (id.clone(), peer(node))).collect()
    }

    /// Hosts that have not taken the newest of this host's keys over, by name. `silent`: hosts that have not talked for
    /// so long that they are not waited for.
    pub fn behind(&self, own: &NodeId, silent: &BTreeSet<NodeId>) -> Vec<String> {
        let newest = self.nodes.get(own).filter(|node| node.keys.len() > 1).and_then(|node| node.keys.last());
        let Some(newest) = newest else { return Vec::new() };
        let encrypted = |id: &NetworkId| self.networks.get(id).is_some_and(Network::encrypted);
        // A host without an encrypted network sends nothing by any key.
        let sends = |node: &NodeId| self.at.iter().any(|(id, at)| at == node && encrypted(id));
        let behind = |peer: &wireguard::Peer| peer.knows.unwrap_or(0) < newest.generation;
        let nodes = self.keyed(own, silent).into_iter().filter(|(id, peer)| behind(peer) && sends(id));
        nodes.filter_map(|(id, _)| Some(self.nodes.get(&id)?.name.clone())).collect()
    }

    /// The containers on a network, of all hosts.
    pub fn of(&self, network: &NetworkId) -> impl Iterator<Item = (&NodeId, &ContainerId, &Endpoint)> {
        self.endpoints.iter().filter(move |((id, _, _), _)| id == network).map(|((_, node, id), e)| (node, id, e))
    }

    /// A network by its name, its id, or an unambiguous beginning of its id.
    pub fn find(&self, asked: &str) -> Option<&Network> {
        let exact = self.networks.values().find(|n| n.name.as_str() == asked || n.id.as_str() == asked);
        let mut starts = self.networks.values().filter(|n| !asked.is_empty() && n.id.as_str().starts_with(asked));
        exact.or_else(|| match (starts.next(), starts.next()) {
            (Some(one), None) => Some(one),
            _ => None,
        })
    }

    /// For `node ls`.
    pub fn listing(&self, own: &NodeId, now: i64) -> Vec<NodeInfo> {
        let mut all: Vec<NodeInfo> = self
            .nodes
            .iter()
            .map(|(id, node)| NodeInfo {
                id: id.clone(),
                name: node.name.clone(),
                address: node.address,
                state: if self.alive.contains(id) { NodeState::Ready } else { NodeState::Down },
                seen: if self.alive.contains(id) { now } else { *self.seen.get(id).unwrap_or(&node.since) },
                networks: self.at.iter().filter(|(_, at)| at == id).count() as u64,
                containers: self
                    .endpoints
                    .keys()
                    .filter(|(_, at, _)| at == id)
                    .map(|(_, _, container)| container)
                    .collect::<BTreeSet<_>>()
                    .len() as u64,
                own: id == own,
                keys: node.keys.clone(),
                behind: if id == own { self.behind(own, &BTreeSet::new()) } else { Vec::new() },
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

/// An address of a subnet that nobody has: one that the container had before, if it is free, else the first free one
/// behind a place chosen by chance, so that hosts that choose at once choose differently.
pub fn choose(
    subnet: &netd_core::model::Subnet,
    taken: impl Fn(&IpAddr) -> bool,
    prefer: &[IpAddr],
    chance: u64,
) -> Option<IpAddr> {
    let range = subnet.ip_range.unwrap_or(subnet.subnet);
    let (net, v4) = (subnet.subnet, subnet.subnet.addr().is_ipv4());
    let usable = |address: &IpAddr| {
        let edge = *address == net.network() || (v4 && *address == net.broadcast());
        !edge && subnet.gateway != Some(*address) && !subnet.aux_addresses.values().any(|a| a == address)
    };
    if let Some(had) = prefer.iter().find(|a| range.contains(*a) && usable(a) && !taken(a)) {
        return Some(*had);
    }
    let number = |address: IpAddr| match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    };
    let (first, last) = (number(range.network()), number(range.broadcast()));
    // Of a large range 65,536 addresses are enough; of a small one all are tried.
    let span = (last - first + 1).min(1 << 16);
    (0..span)
        .map(|i| first + (u128::from(chance) + i) % span)
        .map(|n| if v4 { IpAddr::V4((n as u32).into()) } else { IpAddr::V6(n.into()) })
        .find(|address| usable(address) && !taken(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netd_core::model::Subnet;

    #[test]
    fn addresses_are_chosen_by_chance_and_all_of_them_in_the_end() {
        let subnet = Subnet {
            subnet: "10.4.0.0/29".parse().unwrap(),
            gateway: "10.4.0.1".parse().ok(),
            ip_range: None,
            aux_addresses: [("x".to_owned(), "10.4.0.6".parse().unwrap())].into(),
        };
        let mut taken: BTreeSet<IpAddr> = BTreeSet::new();
        while let Some(address) = choose(&subnet, |a| taken.contains(a), &[], 0x1234_5678_9abc) {
            assert!(taken.insert(address));
        }
        let all: Vec<String> = taken.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["10.4.0.2", "10.4.0.3", "10.4.0.4", "10.4.0.5"]);
        let had = "10.4.0.4".parse().unwrap();
        assert_eq!(choose(&subnet, |_| false, &[had], 7), Some(had));
        let v6 =
            Subnet { subnet: "fd00::/64".parse().unwrap(), gateway: None, ip_range: None, aux_addresses: [].into() };
        assert!(choose(&v6, |_| false, &[], u64::MAX).is_some());
    }

    #[test]
    fn what_is_not_understood_changes_nothing() {
        let mut snapshot = Snapshot::default();
        let node = format!("/rcr/v1/node/{}", "b".repeat(32));
        snapshot.take(&node, Some(br#"{"name":"n1","address":"192.0.2.1","since":1,"said":7}"#)).unwrap();
        let before = snapshot.clone();
        assert!(snapshot.take(&node, Some(b"{{")).unwrap_err().contains(&node));
        assert!(snapshot.take("/rcr/v1/strange", None).is_err());
        assert_eq!(snapshot, before);
        snapshot.take(&node, None).unwrap();
        assert!(snapshot.nodes.is_empty());
    }

    #[test]
    fn a_key_is_one_hosts() {
        let mut snapshot = Snapshot::default();
        let node = |digit: &str| format!("/rcr/v1/node/{}", digit.repeat(32));
        let value = |name: &str, port: u16| {
            let public = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
            format!(
                r#"{{"name":"{name}","address":"192.0.2.1","since":1,"keys":[{{"generation":1,"public":"{public}","port":{port},"made":1}}]}}"#
            )
        };
        snapshot.take(&node("b"), Some(value("n1", 1).as_bytes())).unwrap();
        let before = snapshot.clone();
        let why = snapshot.take(&node("c"), Some(value("n2", 1).as_bytes())).unwrap_err();
        assert!(why.contains(&node("c")) && why.contains("host `n1`"), "{why}");
        assert_eq!(snapshot, before);
        snapshot.take(&node("b"), Some(value("n1", 2).as_bytes())).unwrap();
    }
}
