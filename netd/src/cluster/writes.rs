//! PURE: what is written into the store for addresses and networks, and under which conditions.

use crate::store::shared::{Condition, Write};
use netd_api::{ContainerId, NetworkId, NodeId, Vni};
use netd_core::model::Network;
use netd_core::schema::{Claim, key};
use std::net::IpAddr;

/// Conditions and writes.
pub type Txn = (Vec<Condition>, Vec<Write>);

pub fn put(key: String, value: impl Into<Vec<u8>>) -> Write {
    Write::Put { key, value: value.into(), lease: None }
}

/// Where a network's record is.
pub fn network_key(id: &NetworkId) -> String {
    key(format_args!("network/{id}"))
}

/// Takes an address of a network that is there.
pub fn address(network: &NetworkId, address: IpAddr, node: &NodeId, container: &ContainerId) -> Txn {
    let claim = Claim { node: node.clone(), container: container.clone() };
    let at = key(format_args!("address/{network}/{address}"));
    let when = vec![Condition::Absent(at.clone()), Condition::Present(network_key(network))];
    let value = serde_json::to_vec(&claim).unwrap_or_default();
    (when, vec![put(at, value), put(key(format_args!("uses/{network}")), address.to_string())])
}

pub fn network_keys(network: &Network) -> [String; 3] {
    let vni = network.tunnel().and_then(|tunnel| tunnel.vni).map_or(0, Vni::number);
    [network_key(&network.id), key(format_args!("name/{}", network.name)), key(format_args!("vni/{vni}"))]
}

/// A network's record, the same whoever writes it.
pub fn written(network: &Network) -> Vec<u8> {
    serde_json::to_vec(&Network { shared: false, ..network.clone() }).unwrap_or_default()
}

pub fn network_writes(network: &Network) -> Vec<Write> {
    let [record, name, vni] = network_keys(network);
    let id = network.id.as_str();
    vec![put(record, written(network)), put(name, id), put(vni, id), put(key("epoch"), id)]
}

/// Writes a network that the store has lost and containers here are on.
pub fn network_again(network: &Network) -> Txn {
    (network_keys(network).into_iter().map(Condition::Absent).collect(), network_writes(network))
}

/// Writes a network in place of an older record of it, if that is still the one of this revision.
pub fn network_newer(network: &Network, revision: i64) -> Txn {
    let at = network_key(&network.id);
    (vec![Condition::Unchanged(at.clone(), revision)], vec![put(at, written(network))])
}
