//! WireGuard between the hosts, for encrypted overlay networks. Not a driver of its own: what it needs is each host's, whatever networks it has.
//!
//! ```text
//!   host A                                                                   host B
//!   vx-… ── to fd72:6372:7767:KEY OF B ── rcr-wg1 ══ UDP 51890 ══ rcr-wg1 ── vx-…
//!                                          │   by key 1 of A to key 1 of B │
//!                                          └── route to each key of B      └── peer: key 1 of A, from which only its own address is taken
//! ```
//!
//! Each key of each host has an inner address, which follows from the key: who has the key is who sends from the address, and WireGuard
//! (allowed-ips) drops what claims to come from another one. VXLAN sends to inner addresses, from whichever one the route's link has. So a
//! host that changes its key has two links for a while, each with all peers. It takes frames by both; another host goes over to the new
//! address by replacing one forwarding entry, it goes over to the new link by replacing one route, and neither waits for the other.

use crate::firewall::{Element, Set};
use crate::keys::by_which;
use crate::marks::WIREGUARD;
use crate::model::Facts;
use crate::plan::{AddressOp, FirewallOp, Plan, Purpose, RouteOp, SetOp, SysctlOp, WireGuardOp};
use ipnet::{IpNet, Ipv6Net};
use netd_api::{IfName, KeyInfo, PublicKey};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
/// What all inner addresses begin with: `fd`, and "rcrwg" in ASCII (RFC 4193). They are on no wire; each has a route of its own.
const PREFIX: [u8; 6] = [0xfd, 0x72, 0x63, 0x72, 0x77, 0x67];

/// What WireGuard adds to a packet, in bytes: its header and tag (32), UDP (8), and the outer IP header.
pub fn overhead(underlay: IpAddr) -> u32 {
    let ip = if underlay.is_ipv4() { 20 } else { 40 };
    32 + 8 + ip
}

/// Where frames for the host with this key go: 80 bits of the key, behind the prefix.
pub fn inner(key: &PublicKey) -> Ipv6Addr {
    let mut octets = [0; 16];
    let (prefix, rest) = octets.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(&PREFIX);
    rest.iter_mut().zip(key.0).for_each(|(to, from)| *to = from);
    Ipv6Addr::from(octets)
}

/// The link of this host's key.
pub fn link_name(generation: u32) -> Option<IfName> {
    format!("rcr-wg{generation}").parse().ok()
}

/// Another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub address: IpAddr,
    pub keys: Vec<KeyInfo>,
    /// The newest of our keys that it has said it knows.
    pub knows: Option<u32>,
}

/// The links of this host's keys, and the other hosts on each of them.
pub fn links(own: &[KeyInfo], peers: &[Peer], facts: &Facts) -> Plan {
    let mut plan = Plan::default();
    let Some(underlay) = facts.underlay else { return plan };
    let mtu = facts.underlay_mtu.or(facts.uplink_mtu).unwrap_or(1500).saturating_sub(overhead(underlay));
    let reachable: Vec<&Peer> = peers.iter().filter(|p| p.address.is_ipv4() == underlay.is_ipv4()).collect();
    for key in own {
        let Some(name) = link_name(key.generation) else { continue };
        let (generation, port, alias) = (key.generation, key.port, WIREGUARD.to_owned());
        plan.host(
            Purpose::Link,
            WireGuardOp::Link { name: name.clone(), generation, port, mtu, alias },
            "one per key of this host",
        );
        plan.host(Purpose::Link, SysctlOp::of_link("ipv6", &name, "disable_ipv6", "0"), "inner addresses are IPv6");
        let known = Element::link(Set::WireGuard, &name);
        plan.host(
            Purpose::Firewall,
            FirewallOp::element(known),
            "encrypted networks' frames pass by these links alone",
        );
        let address = host_net(inner(&key.public));
        plan.host(
            Purpose::Addresses,
            AddressOp::Add { link: name.clone(), address },
            "where frames of encrypted networks come to",
        );
        plan.host(Purpose::Link, SetOp::Up { link: name.clone() }, "");
        for peer in &reachable {
            for theirs in peer.keys.iter().filter(|theirs| own.iter().all(|o| o.public != theirs.public)) {
                let endpoint = SocketAddr::new(peer.address, theirs.port);
                let (link, key, address) = (name.clone(), theirs.public, inner(&theirs.public));
                plan.host(Purpose::Peers, WireGuardOp::Peer { link, key, endpoint, address }, "a host of the cluster");
            }
        }
    }
    for peer in &reachable {
        let Some(link) = by_which(own, peer.knows).and_then(|key| link_name(key.generation)) else { continue };
        for theirs in peer.keys.iter().filter(|theirs| own.iter().all(|o| o.public != theirs.public)) {
            let route = RouteOp::Add { to: host_net(inner(&theirs.public)), via: None, link: link.clone() };
            plan.host(Purpose::Peers, route, "by the newest key of ours that it knows");
        }
    }
    plan
}

fn host_net(address: Ipv6Addr) -> IpNet {
    IpNet::V6(Ipv6Net::from(address))
}
