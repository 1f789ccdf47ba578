//! The keys of the shared store and what is in them. Pure.
//!
//! ```text
//! /rcr/v1/schema                                the version of all this; a newer one is refused
//! /rcr/v1/epoch                                 changed with every network made or removed, for comparing subnets
//! /rcr/v1/node/<node>                           Node: name, address, when it came, how often it has said something
//! /rcr/v1/nodename/<name>                       the node that has the name
//! /rcr/v1/nodeaddress/<address>                 the node that has the address
//! /rcr/v1/alive/<node>                          under the node's lease
//! /rcr/v1/network/<network>                     model::Network
//! /rcr/v1/name/<network name>                   the network that has the name
//! /rcr/v1/vni/<number>                          the network that has the VNI
//! /rcr/v1/uses/<network>                        changed with every address claimed: a network in use stays
//! /rcr/v1/at/<network>/<node>                   the node has the network's kernel objects
//! /rcr/v1/address/<network>/<address>           Claim: node, container
//! /rcr/v1/endpoint/<network>/<node>/<container> Endpoint: names, addresses, MAC
//! /rcr/v1/check/<question>                      Question: who asks all hosts to check themselves; under a short lease
//! /rcr/v1/checked/<question>/<node>             HostFindings: what the node answers; under a short lease, too
//! ```

use crate::findings;
use crate::model::Network;
use netd_api::{ContainerId, HostFindings, KeyInfo, Mac, NetworkId, NodeId, QuestionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Everything of ours lies below.
pub const PREFIX: &str = "/rcr/v1/";
/// The version that this netd writes.
pub const SCHEMA: u32 = 1;
/// The longest value, in bytes. rcr writes none that is longer.
pub const LONGEST: usize = 256 << 10;

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    pub address: IpAddr,
    /// Seconds since the epoch, by its own clock, when it last came.
    pub since: i64,
    /// Grows with everything that the host writes, across restarts: it gives a restored backup away.
    #[serde(default)]
    pub said: u64,
    /// The WireGuard keys that it accepts frames by, while the cluster has encrypted networks. Others send to it by the
    /// last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyInfo>,
    /// Of hosts that have several keys: the newest one that this host takes frames by, and sends to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub knows: BTreeMap<NodeId, u32>,
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub node: NodeId,
    pub container: ContainerId,
}

/// A container on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub name: String,
    #[serde(default)]
    pub aliases: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub mac: Mac,
    /// Its names are not answered: it is not healthy, and they depend on that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
}

/// A question to all hosts: what of theirs is not as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Who asks. It has looked at itself already.
    pub node: NodeId,
    /// Each host makes its own again.
    pub repair: bool,
}

/// What a key and its value say.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    Schema(u32),
    Node(NodeId, Node),
    Alive(NodeId),
    Network(Box<Network>),
    At(NetworkId, NodeId),
    Address(NetworkId, IpAddr, Claim),
    Endpoint(NetworkId, NodeId, ContainerId, Endpoint),
    Check(QuestionId, Question),
    Checked(QuestionId, NodeId, Box<HostFindings>),
    /// Indexes: their only use is that they are there.
    Index,
}

/// A key, without its value: what a deletion says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Schema,
    Node(NodeId),
    Alive(NodeId),
    Network(NetworkId),
    At(NetworkId, NodeId),
    Address(NetworkId, IpAddr),
    Endpoint(NetworkId, NodeId, ContainerId),
    Check(QuestionId),
    Checked(QuestionId, NodeId),
    Index,
}

/// The whole key.
pub fn key(rest: impl std::fmt::Display) -> String {
    format!("{PREFIX}{rest}")
}

/// What a key is about, or why it is none of ours.
pub fn parse_key(key: &str) -> Result<Key, String> {
    let rest = key.strip_prefix(PREFIX).ok_or("it lies elsewhere")?;
    let parts: Vec<&str> = rest.split('/').collect();
    let text = |error: netd_api::NameError| error.to_string();
    Ok(match parts.as_slice() {
        ["schema"] => Key::Schema,
        ["epoch"] | ["uses" | "name" | "vni" | "nodename" | "nodeaddress", _] => Key::Index,
        ["node", node] => Key::Node(node.parse().map_err(text)?),
        ["alive", node] => Key::Alive(node.parse().map_err(text)?),
        ["network", network] => Key::Network(network.parse().map_err(text)?),
        ["at", network, node] => Key::At(network.parse().map_err(text)?, node.parse().map_err(text)?),
        ["address", network, address] => {
            Key::Address(network.parse().map_err(text)?, address.parse().map_err(|_| "no address")?)
        }
        ["endpoint", network, node, container] => {
            Key::Endpoint(network.parse().map_err(text)?, node.parse().map_err(text)?, container.parse().map_err(text)?)
        }
        ["check", question] => Key::Check(question.parse().map_err(text)?),
        ["checked", question, node] => Key::Checked(question.parse().map_err(text)?, node.parse().map_err(text)?),
        _ => return Err("no key of this version".into()),
    })
}

/// What a record says, or why it is not understood.
pub fn parse(key: &str, value: &[u8]) -> Result<Fact, String> {
    fn json<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T, String> {
        serde_json::from_slice(value).map_err(|error| error.to_string())
    }
    if value.len() > LONGEST {
        return Err(format!("{} bytes are too many", value.len()));
    }
    Ok(match parse_key(key)? {
        Key::Schema => Fact::Schema(json(value)?),
        Key::Index => Fact::Index,
        Key::Node(id) => {
            let node: Node = json(value)?;
            usable(&node)?;
            Fact::Node(id, node)
        }
        Key::Alive(node) => Fact::Alive(node),
        Key::Network(id) => {
            let network: Network = json(value)?;
            checked(&id, &network)?;
            Fact::Network(Box::new(network))
        }
        Key::At(network, node) => Fact::At(network, node),
        Key::Address(network, address) => Fact::Address(network, address, json(value)?),
        Key::Check(question) => Fact::Check(question, json(value)?),
        Key::Checked(question, node) => {
            let found: HostFindings = json(value)?;
            findings::checked(&found)?;
            Fact::Checked(question, node, Box::new(found))
        }
        Key::Endpoint(network, node, container) => {
            let endpoint: Endpoint = json(value)?;
            if endpoint.mac.0[0] & 1 == 1 {
                return Err(format!("`{}` is a group address", endpoint.mac));
            }
            if endpoint.addresses.len() > 2 || endpoint.aliases.len() > 256 {
                return Err("more addresses or names than a container can have".into());
            }
            if let Some(name) = std::iter::once(&endpoint.name).chain(&endpoint.aliases).find(|name| !is_name(name)) {
                return Err(format!("`{}` is no name", name.escape_default()));
            }
            Fact::Endpoint(network, node, container, endpoint)
        }
    })
}

/// Whether this can be a container's name or alias, as the command line accepts them.
fn is_name(text: &str) -> bool {
    (1..=253).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// Checks that a netd could have written this record of a host.
fn usable(node: &Node) -> Result<(), String> {
    let rising = node.keys.windows(2).all(|pair| pair[0].generation < pair[1].generation);
    match () {
        () if node.address.is_unspecified() || node.address.is_multicast() => {
            Err(format!("`{}` is no host's address", node.address))
        }
        () if node.keys.len() > crate::keys::MOST => Err(format!("{} keys are too many", node.keys.len())),
        () if !rising => Err("its keys are not in their order".into()),
        () if node.keys.iter().any(|key| key.port == 0) => Err("a key has no port".into()),
        () => Ok(()),
    }
}

/// A network has no more subnets than this.
const MOST_SUBNETS: usize = 16;
/// No network is changed more often; counting on from less can't overflow.
const MOST_CHANGES: u64 = 1 << 40;

/// Checks that a netd could have written this record of a network: kernel objects are made from it.
pub fn checked(id: &NetworkId, network: &Network) -> Result<(), String> {
    let Some(options) = network.driver.overlay() else {
        return Err(format!("a {} network is nobody else's business", network.driver.name()));
    };
    let name = format!("br-{}", network.id.short());
    let fits = |subnet: &crate::model::Subnet| {
        let net = subnet.subnet;
        net.trunc() == net && subnet.gateway.is_some_and(|g| net.contains(&g)) && net.prefix_len() >= 8
    };
    match () {
        () if network.id != *id => Err("its id is another one".into()),
        () if network.interface.as_ref().is_none_or(|i| i.as_str() != name) => {
            Err("its bridge has a strange name".into())
        }
        () if options.vni.is_none() => Err("it has no VNI".into()),
        () if network.predefined || network.parent.is_some() || network.own_link.is_some() => {
            Err("no overlay has these".into())
        }
        () if network.subnets.is_empty() || network.subnets.len() > MOST_SUBNETS => {
            Err(format!("it has no subnets, or more than {MOST_SUBNETS}"))
        }
        () if options.bridge.mtu.is_some_and(|mtu| !crate::drivers::LINK_MTUS.contains(&mtu)) => {
            Err("no link has its MTU".into())
        }
        () if network.version > MOST_CHANGES => Err("nobody changed it so often".into()),
        () if !network.subnets.iter().all(fits) => Err("a subnet and its gateway don't go together".into()),
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_records_are_refused_by_name() {
        let (net, node, box_) = ("a".repeat(64), "b".repeat(32), "c".repeat(64));
        let endpoint = format!("{PREFIX}endpoint/{net}/{node}/{box_}");
        let good = br#"{"name":"c1","addresses":["10.4.0.2"],"mac":"02:00:00:00:00:01"}"#;
        assert!(matches!(parse(&endpoint, good), Ok(Fact::Endpoint(..))));
        for bad in [
            &b""[..],
            b"{",
            b"null",
            b"[]",
            br#"{"name":"c1"}"#,
            br#"{"name":"c1","addresses":[],"mac":"ff:ff:ff:ff:ff:ff"}"#,
            br#"{"name":"c 1","addresses":[],"mac":"02:00:00:00:00:01"}"#,
        ] {
            assert!(parse(&endpoint, bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(parse(&endpoint, &vec![b' '; LONGEST + 1]).is_err());
        for key in ["", "/rcr/v2/node/x", "/rcr/v1/", "/rcr/v1/node/xyz", "/rcr/v1/address/a/b", "/rcr/v1/endpoint/a"] {
            assert!(parse(key, b"{}").is_err(), "{key}");
        }
        let record = |rest: &str| format!(r#"{{"name":"n1","address":"192.0.2.1","since":1{rest}}}"#);
        let keyed = |keys: &[(u32, &str, u32)]| {
            let one = |(generation, public, port): &(u32, &str, u32)| {
                format!(r#"{{"generation":{generation},"public":"{public}","port":{port},"made":1}}"#)
            };
            record(&format!(r#","keys":[{}]"#, keys.iter().map(one).collect::<Vec<_>>().join(",")))
        };
        let of_node = |value: String| parse(&format!("{PREFIX}node/{node}"), value.as_bytes());
        let point = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        for good in [record(""), record(r#","new":[1]"#), keyed(&[(1, point, 51890)])] {
            assert!(matches!(of_node(good), Ok(Fact::Node(..))));
        }
        let many: Vec<_> = (1..5000).map(|generation| (generation, point, 51890)).collect();
        for bad in [
            keyed(&[(1, "AAAA", 51890)]),
            keyed(&[(1, &"A".repeat(44), 51890)]),
            keyed(&[(1, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 51890)]),
            keyed(&[(1, point, 0)]),
            keyed(&[(1, point, 65536)]),
            keyed(&[(2, point, 1), (1, point, 2)]),
            keyed(&many),
            record(r#","knows":{"x":1}"#),
            r#"{"name":"n1","address":"0.0.0.0","since":1}"#.to_owned(),
        ] {
            assert!(of_node(bad.clone()).is_err(), "{bad:.200}");
        }
        assert!(parse(&format!("{PREFIX}network/{net}"), b"{}").is_err());
        let (asked, told) = (format!("{PREFIX}check/{node}"), format!("{PREFIX}checked/{node}/{node}"));
        let question = format!(r#"{{"node":"{node}","repair":true}}"#);
        assert!(matches!(parse(&asked, question.as_bytes()), Ok(Fact::Check(_, Question { repair: true, .. }))));
        assert!(matches!(parse(&told, br#"{"looked":3}"#), Ok(Fact::Checked(..))));
        for (key, value) in [(&asked, r#"{"node":"x","repair":true}"#), (&asked, "{}"), (&told, "{}"), (&told, "[]")] {
            assert!(parse(key, value.as_bytes()).is_err(), "{key} {value}");
        }
        assert!(parse(&format!("{PREFIX}check/x"), question.as_bytes()).is_err());
        assert_eq!(parse(&format!("{PREFIX}schema"), b"1"), Ok(Fact::Schema(1)));
    }
}
