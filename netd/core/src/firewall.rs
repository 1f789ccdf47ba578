//! The host's firewall as data: one table, `inet rcr`. What it says lies in the elements of its sets and maps, and
//! which of its chains and rules there are follows from them (see [`needed`]).
//!
//! Every network and every published port is an element, so that a packet costs the same few look-ups however many
//! there are, and a change is one element. `docs/nftables.md` walks through it. No I/O here: `kernel::nft` speaks to
//! the kernel.

use ipnet::IpNet;
use netd_api::{IfName, Mac, Vni};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod dns;
pub mod foreign;
mod shape;
mod table;

pub use dns::{DNS_TABLE, dns_table, dns_table_without_ingress};
pub use shape::{ChainChange, changes, flow_links, needed};
pub use table::{
    ACCEPT_MARK, Chain, FLOW_TABLE, Hook, Load, Match, PortAt, Rule, Table, Verdict, host_table, user_table,
};

/// One value in a key or in a map's data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Datum {
    Link(IfName),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Mac(Mac),
    /// A transport protocol's number.
    Proto(u8),
    Port(u16),
    Vni(Vni),
    /// `NFPROTO_IPV4` (2) or `NFPROTO_IPV6` (10).
    Family(u8),
}

impl From<IpAddr> for Datum {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(a) => Datum::V4(a),
            IpAddr::V6(a) => Datum::V6(a),
        }
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Datum::Link(name) => write!(f, "{name}"),
            Datum::V4(a) => write!(f, "{a}"),
            Datum::V6(a) => write!(f, "{a}"),
            Datum::Mac(a) => write!(f, "{a}"),
            Datum::Proto(6) => f.write_str("tcp"),
            Datum::Proto(17) => f.write_str("udp"),
            Datum::Proto(132) => f.write_str("sctp"),
            Datum::Proto(n) => write!(f, "proto {n}"),
            Datum::Port(p) => write!(f, "{p}"),
            Datum::Vni(vni) => write!(f, "vni {vni}"),
            Datum::Family(2) => f.write_str("ipv4"),
            Datum::Family(_) => f.write_str("ipv6"),
        }
    }
}

/// The kind of a key's or value's field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Link,
    V4,
    V6,
    Mac,
    Proto,
    Port,
    Vni,
    Family,
}

/// The sets and maps of `inet rcr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Set {
    /// Our bridges.
    Bridges,
    /// Bridges whose containers may open connections to the outside.
    Outbound,
    /// `bridge . bridge`: containers of it reach each other.
    Icc,
    /// Bridges on which neighbours speak to each other without the kernel remembering it.
    Neighbours,
    /// `bridge . its own MAC`: what is sent there is for the host, or goes through it.
    OwnMacs,
    /// `subnet . bridge`: a published port reached from its own network is masqueraded, so that the answer comes back.
    /// By address: where br_netfilter turns the frame round on the bridge, the incoming link is not known any more.
    Home4,
    Home6,
    /// Bridges that are masqueraded.
    Nat4,
    Nat6,
    /// Bridges whose containers may open connections to the host.
    HostAccess,
    /// `bridge . address` of single containers that may.
    HostPeers4,
    HostPeers6,
    /// `host address . protocol . host port : container address . container port`. No intervals here: a port more or less
    /// costs the kernel the same however many there are.
    Publish4,
    Publish6,
    /// The same for all addresses of the host: `protocol . host port : container address . container port`.
    PublishAny4,
    PublishAny6,
    /// The same for ranges whose numbers stay: `host address . protocol . host port : container address`.
    Range4,
    Range6,
    /// `container address . protocol . container port`, reachable as it is (routed networks).
    Open4,
    Open6,
    /// `host address . protocol . host port` of published ports that netd itself takes, and brings to a container that
    /// lacks the family.
    Relayed4,
    Relayed6,
    /// Bridges of overlay networks.
    Overlays,
    /// `bridge . address` of this host's own containers on them: the others are not for the host itself to reach, since
    /// its gateway address is on every host.
    Local4,
    Local6,
    /// Links by which containers of internal networks speak to the host.
    Internal,
    /// All UDP ports that hosts of the cluster take tunnelled frames by, also those of networks that this host has not:
    /// containers don't send there.
    ClusterPorts,
    /// UDP ports that VXLAN frames come in by.
    Tunnels,
    /// Hosts that they may come from.
    Vteps4,
    Vteps6,
    /// VNIs whose frames come and go by WireGuard alone.
    Encrypted,
    /// Our WireGuard links.
    WireGuard,
    /// UDP ports that WireGuard's datagrams come in by.
    WireGuardPorts,
    /// Families for which we switched forwarding on: what is not ours is not forwarded.
    Guard,
    /// `bridge . link to the outside`: established flows between the two leave the rules for the flow table.
    Flows,
    /// Ports of such bridges: the flow table's, beside the links above. No rule looks here.
    FlowPorts,
}

impl Set {
    /// All of them, in the order of creation.
    pub const ALL: [Set; 36] = [
        Set::Bridges,
        Set::Outbound,
        Set::Icc,
        Set::Neighbours,
        Set::OwnMacs,
        Set::Home4,
        Set::Home6,
        Set::Nat4,
        Set::Nat6,
        Set::HostAccess,
        Set::HostPeers4,
        Set::HostPeers6,
        Set::Publish4,
        Set::Publish6,
        Set::PublishAny4,
        Set::PublishAny6,
        Set::Range4,
        Set::Range6,
        Set::Open4,
        Set::Open6,
        Set::Relayed4,
        Set::Relayed6,
        Set::Overlays,
        Set::Local4,
        Set::Local6,
        Set::Internal,
        Set::ClusterPorts,
        Set::Tunnels,
        Set::Vteps4,
        Set::Vteps6,
        Set::Encrypted,
        Set::WireGuard,
        Set::WireGuardPorts,
        Set::Guard,
        Set::Flows,
        Set::FlowPorts,
    ];

    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Set::Bridges => "bridges",
            Set::Outbound => "outbound",
            Set::Icc => "icc",
            Set::Neighbours => "neighbours",
            Set::OwnMacs => "own-macs",
            Set::Home4 => "home4",
            Set::Home6 => "home6",
            Set::Nat4 => "nat4",
            Set::Nat6 => "nat6",
            Set::HostAccess => "host-access",
            Set::HostPeers4 => "host-peers4",
            Set::HostPeers6 => "host-peers6",
            Set::Publish4 => "publish4",
            Set::Publish6 => "publish6",
            Set::PublishAny4 => "publish-any4",
            Set::PublishAny6 => "publish-any6",
            Set::Range4 => "range4",
            Set::Range6 => "range6",
            Set::Open4 => "open4",
            Set::Open6 => "open6",
            Set::Relayed4 => "relayed4",
            Set::Relayed6 => "relayed6",
            Set::Overlays => "overlays",
            Set::Local4 => "local4",
            Set::Local6 => "local6",
            Set::Internal => "internal",
            Set::ClusterPorts => "cluster-ports",
            Set::Tunnels => "tunnels",
            Set::Vteps4 => "vteps4",
            Set::Vteps6 => "vteps6",
            Set::Encrypted => "encrypted",
            Set::WireGuard => "wireguard",
            Set::WireGuardPorts => "wireguard-ports",
            Set::Guard => "guard",
            Set::Flows => "flows",
            Set::FlowPorts => "flow-ports",
        }
    }

    /// The fields of a key.
    pub fn key(self) -> &'static [Field] {
        use Field::{Family, Link, Mac, Port, Proto, V4, V6, Vni};
        match self {
            Set::Bridges | Set::Outbound | Set::Nat4 | Set::Nat6 | Set::HostAccess | Set::Overlays => &[Link],
            Set::WireGuard | Set::Internal | Set::Neighbours | Set::FlowPorts => &[Link],
            Set::Encrypted => &[Vni],
            Set::Icc | Set::Flows => &[Link, Link],
            Set::OwnMacs => &[Link, Mac],
            Set::Home4 => &[V4, Link],
            Set::Home6 => &[V6, Link],
            Set::HostPeers4 | Set::Local4 => &[Link, V4],
            Set::HostPeers6 | Set::Local6 => &[Link, V6],
            Set::Tunnels | Set::WireGuardPorts | Set::ClusterPorts => &[Port],
            Set::Vteps4 => &[V4],
            Set::Vteps6 => &[V6],
            Set::Publish4 | Set::Range4 | Set::Open4 | Set::Relayed4 => &[V4, Proto, Port],
            Set::Publish6 | Set::Range6 | Set::Open6 | Set::Relayed6 => &[V6, Proto, Port],
            Set::PublishAny4 | Set::PublishAny6 => &[Proto, Port],
            Set::Guard => &[Family],
        }
    }

    /// The fields of a map's value; empty for a set.
    pub fn data(self) -> &'static [Field] {
        use Field::{Port, V4, V6};
        match self {
            Set::Publish4 | Set::PublishAny4 => &[V4, Port],
            Set::Publish6 | Set::PublishAny6 => &[V6, Port],
            Set::Range4 => &[V4],
            Set::Range6 => &[V6],
            _ => &[],
        }
    }

    /// Whether keys are intervals.
    pub fn interval(self) -> bool {
        matches!(
            self,
            Set::Home4
                | Set::Home6
                | Set::Range4
                | Set::Range6
                | Set::Open4
                | Set::Open6
                | Set::Relayed4
                | Set::Relayed6
        )
    }
}

/// One element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Element {
    pub set: Set,
    pub key: Vec<Datum>,
    /// The last key of an interval, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Vec<Datum>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<Datum>,
}

/// An element in a journal.
#[derive(Deserialize)]
struct Written {
    set: Set,
    key: Vec<Datum>,
    #[serde(default)]
    last: Option<Vec<Datum>>,
    #[serde(default)]
    data: Vec<Datum>,
}

impl From<Written> for Element {
    /// Single ports were intervals once: all addresses of the host were the one from the first to the last.
    fn from(Written { set, key, last, data }: Written) -> Self {
        let address = match (set, &key[..]) {
            (Set::Publish4, [Datum::V4(address), ..]) => Some(IpAddr::V4(*address)),
            (Set::Publish6, [Datum::V6(address), ..]) => Some(IpAddr::V6(*address)),
            _ => None,
        };
        match (address, &key[..]) {
            (Some(address), [_, Datum::Proto(proto), Datum::Port(port)]) => Self::port(address, *proto, *port, data),
            _ => Self { set, key, last, data },
        }
    }
}

impl Element {
    /// Whether it is the same entry of the same set, whatever it holds.
    pub fn is_same_key(&self, other: &Self) -> bool {
        (self.set, &self.key, &self.last) == (other.set, &other.key, &other.last)
    }

    /// A link by itself.
    pub fn link(set: Set, link: &IfName) -> Self {
        Self { set, key: vec![Datum::Link(link.clone())], last: None, data: Vec::new() }
    }

    /// A bridge beside itself.
    pub fn pair(set: Set, link: &IfName) -> Self {
        Self { set, key: vec![Datum::Link(link.clone()), Datum::Link(link.clone())], last: None, data: Vec::new() }
    }

    /// A bridge beside a link to the outside.
    pub fn flow(bridge: &IfName, outside: &IfName) -> Self {
        let key = vec![Datum::Link(bridge.clone()), Datum::Link(outside.clone())];
        Self { set: Set::Flows, key, last: None, data: Vec::new() }
    }

    /// A bridge beside its own MAC.
    pub fn own_mac(link: &IfName, mac: Mac) -> Self {
        let key = vec![Datum::Link(link.clone()), Datum::Mac(mac)];
        Self { set: Set::OwnMacs, key, last: None, data: Vec::new() }
    }

    /// A subnet beside its bridge.
    pub fn home(subnet: &IpNet, link: &IfName) -> Self {
        let set = if matches!(subnet, IpNet::V4(_)) { Set::Home4 } else { Set::Home6 };
        let key = |address: IpAddr| vec![address.into(), Datum::Link(link.clone())];
        Self { set, key: key(subnet.network()), last: Some(key(subnet.broadcast())), data: Vec::new() }
    }

    /// A published port of an address, and what it leads to: an unspecified one stands for all of its family.
    pub fn port(address: IpAddr, proto: u8, port: u16, data: Vec<Datum>) -> Self {
        let set = match (address.is_unspecified(), address) {
            (false, IpAddr::V4(_)) => Set::Publish4,
            (false, IpAddr::V6(_)) => Set::Publish6,
            (true, IpAddr::V4(_)) => Set::PublishAny4,
            (true, IpAddr::V6(_)) => Set::PublishAny6,
        };
        let address = (!address.is_unspecified()).then(|| address.into());
        let key = address.into_iter().chain([Datum::Proto(proto), Datum::Port(port)]).collect();
        Self { set, key, last: None, data }
    }

    /// Ports of an address: an unspecified one stands for all of its family.
    pub fn ports(set: Set, address: IpAddr, proto: u8, ports: (u16, u16), data: Vec<Datum>) -> Self {
        let last_address = match address {
            IpAddr::V4(a) if a.is_unspecified() => IpAddr::V4(Ipv4Addr::BROADCAST),
            IpAddr::V6(a) if a.is_unspecified() => IpAddr::V6(Ipv6Addr::from(u128::MAX)),
            one => one,
        };
        let key = |a: IpAddr, port| vec![a.into(), Datum::Proto(proto), Datum::Port(port)];
        Self { set, key: key(address, ports.0), last: Some(key(last_address, ports.1)), data }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, datum) in self.key.iter().enumerate() {
            let last = self.last.as_ref().and_then(|l| l.get(i)).filter(|l| *l != datum);
            let dot = if i > 0 { " . " } else { "" };
            match (datum, last) {
                (Datum::V4(a), Some(_)) if a.is_unspecified() => write!(f, "{dot}*")?,
                (Datum::V6(a), Some(_)) if a.is_unspecified() => write!(f, "{dot}*")?,
                (_, Some(last)) => write!(f, "{dot}{datum}-{last}")?,
                (_, None) => write!(f, "{dot}{datum}")?,
            }
        }
        for (i, datum) in self.data.iter().enumerate() {
            write!(f, "{}{datum}", if i > 0 { " . " } else { " -> " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ports_of_an_older_journal_are_no_intervals_any_more() {
        let read = |text: &str| serde_json::from_str::<Element>(text).unwrap();
        let to = vec![Datum::V4(Ipv4Addr::new(10, 4, 0, 2)), Datum::Port(80)];
        let of = |first: &str, last: &str| {
            let key = |address: &str| format!(r#"[{{"v4":"{address}"}},{{"proto":6}},{{"port":8080}}]"#);
            let data = r#"[{"v4":"10.4.0.2"},{"port":80}]"#;
            format!(r#"{{"set":"publish4","key":{},"last":{},"data":{data}}}"#, key(first), key(last))
        };
        let any = Element::port(Ipv4Addr::UNSPECIFIED.into(), 6, 8080, to.clone());
        assert_eq!((any.set, any.key.len()), (Set::PublishAny4, 2));
        assert_eq!(read(&of("0.0.0.0", "255.255.255.255")), any);
        let one = Element::port(Ipv4Addr::LOCALHOST.into(), 6, 8080, to);
        assert_eq!((one.set, one.key.len()), (Set::Publish4, 3));
        assert_eq!(read(&of("127.0.0.1", "127.0.0.1")), one);
        // Others are as they were, and what is written is read as it is.
        let range = Element::ports(Set::Range6, Ipv6Addr::UNSPECIFIED.into(), 17, (1, 9), Vec::new());
        for element in [any, one, range] {
            assert_eq!(read(&serde_json::to_string(&element).unwrap()), element);
        }
    }
}
