//! The overlay driver: one Ethernet segment over several hosts, by VXLAN (RFC 7348).
//!
//! ```text
//!   container          host A                                      host B
//!   eth0 ═ veth ═ ve… ─┐                                         ┌─ ve… ═ veth ═ eth0
//!                      ├─ br-… ─ vx-… ══ UDP 4789 over the ══ vx-… ─ br-… ─┤
//!   eth0 ═ veth ═ ve… ─┘    │      hosts' own network                   │  └─ ve… ═ veth ═ eth0
//!                           └─ gateway: the same address and MAC on every host; the way out and `-p` are each host's own
//! ```
//!
//! Nothing is learned and nothing asked over the tunnel: who is where is known, and written into the kernel beforehand. Per remote
//! container that is one entry in the VXLAN link's forwarding table (its MAC lies behind that host), one in the bridge's (that MAC
//! lies behind the VXLAN link), and one neighbour entry per address, from which the VXLAN link answers ARP and neighbour
//! solicitations itself (`proxy`, drivers/net/vxlan: arp_reduce, neigh_reduce). What has no entry is not asked for over the tunnel: so
//! the gateway, which every host has, is only ever found on one's own. Broadcast and multicast go to each host that has the
//! network, one copy each. The rest is the bridge driver's.
//!
//! An encrypted network's link sends to inner addresses ([`wireguard`]) from whatever address the route's link has, so that a new key of a host
//! changes no VXLAN link.

use super::bridge::Bridge;
use super::driver::{Driver, Ground, IPV6_MIN_MTU, Refusal, Tunnel};
use super::wireguard;
use crate::firewall::{Datum, Element, Set};
use crate::model::{Attachment, Facts, Network, Peers, Vtep};
use crate::plan::{FirewallOp, Plan, Purpose, SetOp, VxlanOp};
use netd_api::{DriverSpec, IfName, Mac, NetworkCreate, Vni};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

/// What VXLAN adds to a packet, in bytes: the inner Ethernet header (14), VXLAN (8), UDP (8), and the outer IP header.
pub fn overhead(underlay: IpAddr) -> u32 {
    let ip = if underlay.is_ipv4() { 20 } else { 40 };
    14 + 8 + 8 + ip
}

/// See the file's head.
pub struct Overlay;

/// The name of a network's VXLAN link.
pub fn link_name(network: &Network) -> Option<IfName> {
    format!("vx-{}", network.id.short()).parse().ok()
}

/// The alias of a network's VXLAN link.
pub fn alias(network: &Network) -> String {
    format!("rcr:{}", network.name)
}

/// A tunnel's MTU where nothing is known of the routes, in bytes: over Ethernet.
const TUNNEL_MTU: u32 = 1450;

/// What the tunnel leaves of the routes to the other hosts, in bytes; nothing without a tunnel, or where their MTU is not known.
fn room(network: &Network, facts: &Facts) -> Option<u32> {
    let (underlay, mtu) = (facts.underlay?, facts.underlay_mtu.or(facts.uplink_mtu)?);
    let around = match network.encrypted() {
        true => wireguard::overhead(underlay) + overhead(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        false => overhead(underlay),
    };
    let room = mtu.saturating_sub(around);
    Some(if network.ipv6 { room.max(IPV6_MIN_MTU) } else { room })
}

/// The MTU that a network with a tunnel gets, in bytes.
pub fn mtu(network: &Network, facts: &Facts) -> Option<u32> {
    network.asked_mtu().or_else(|| room(network, facts))
}

impl Driver for Overlay {
    fn ground(&self, driver: &DriverSpec) -> Ground {
        Bridge.ground(driver)
    }

    fn tunnel(&self, driver: &DriverSpec) -> Option<Tunnel> {
        driver.overlay().map(|o| Tunnel { port: o.port, vni: o.vni, encrypted: o.encrypted })
    }

    fn filtered(&self, network: &Network) -> bool {
        Bridge.filtered(network)
    }

    fn host_addresses(&self, network: &Network) -> Vec<IpAddr> {
        Bridge.host_addresses(network)
    }

    fn check(&self, spec: &NetworkCreate) -> Result<(), Refusal> {
        Bridge.check(spec)
    }

    fn mtu(&self, network: &Network, facts: &Facts) -> Option<u32> {
        let alone = || if facts.underlay.is_some() { Some(TUNNEL_MTU) } else { Bridge.mtu(network, facts) };
        mtu(network, facts).or_else(alone)
    }

    fn network(&self, network: &Network, mtu: Option<u32>, facts: &Facts) -> Plan {
        let mut plan = Bridge.network(network, mtu, facts);
        let (Some(options), Some(bridge), Some(name)) =
            (network.driver.overlay(), &network.interface, link_name(network))
        else {
            return plan;
        };
        let reach = Element::link(Set::Overlays, bridge);
        plan.host(
            Purpose::Firewall,
            FirewallOp::Elements { elements: vec![reach] },
            "the host speaks to its own containers only",
        );
        let (Some(underlay), Some(vni)) = (facts.underlay, options.vni) else {
            return plan;
        };
        let local = if options.encrypted { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { underlay };
        let mtu = mtu.unwrap_or(TUNNEL_MTU);
        let (port, mac, bridge) = (options.port, vtep_mac(network.mac), bridge.clone());
        let vxlan = VxlanOp::Link { name: name.clone(), vni, local, port, mtu, mac, bridge, alias: alias(network) };
        plan.host(Purpose::Link, vxlan, "learns nothing: every entry is written");
        plan.host(Purpose::Link, SetOp::Up { link: name }, "");
        plan
    }

    fn attach(&self, network: &Network, attachment: &Attachment, mtu: Option<u32>, facts: &Facts) -> Plan {
        let mut plan = Bridge.attach(network, attachment, mtu, facts);
        if let Some(bridge) = &network.interface {
            let own = |address: IpAddr| {
                let set = if address.is_ipv4() { Set::Local4 } else { Set::Local6 };
                Element { set, key: vec![Datum::Link(bridge.clone()), address.into()], last: None, data: Vec::new() }
            };
            let elements = attachment.addresses.iter().map(|net| own(net.addr())).collect();
            plan.host(Purpose::Firewall, FirewallOp::Elements { elements }, "one of this host's own");
        }
        plan
    }
}

/// A MAC for the VXLAN link itself that is not the bridge's: nothing is ever sent to it.
fn vtep_mac(mut mac: Mac) -> Mac {
    mac.0[5] ^= 1;
    mac
}

/// The MAC of a container's link, from its first address: neighbours on other hosts that know an address go on knowing its MAC when the container
/// is restarted, or when another one gets the address. Their own tables are out of our reach, and announcements don't cross the tunnel.
pub fn container_mac(address: IpAddr) -> Mac {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            Mac([0x02, 0x72, a, b, c, d])
        }
        IpAddr::V6(address) => {
            let [.., a, b, c, d, e] = address.octets();
            Mac([0x06, a, b, c, d, e])
        }
    }
}

/// The link-local address that the kernel gives a link with this MAC (RFC 4291, appendix A).
fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// What all overlay networks of a host share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// All ports that hosts of the cluster take frames and WireGuard's datagrams by: this host's containers don't send there.
    pub cluster: BTreeSet<u16>,
    /// The ports that frames come in by.
    pub ports: BTreeSet<u16>,
    /// The VNIs of encrypted networks.
    pub encrypted: BTreeSet<Vni>,
    /// The ports that WireGuard's datagrams come in by.
    pub wireguard: BTreeSet<u16>,
    /// The hosts that all of these may come from.
    pub hosts: BTreeSet<IpAddr>,
}

/// Its part of the firewall.
pub fn guard(guard: &Guard) -> Plan {
    let element = |set, key| Element { set, key: vec![key], last: None, data: Vec::new() };
    let cluster = guard.cluster.iter().map(|port| element(Set::ClusterPorts, Datum::Port(*port)));
    let mut elements: Vec<Element> = cluster.collect();
    elements.extend(guard.ports.iter().map(|port| element(Set::Tunnels, Datum::Port(*port))));
    elements.extend(guard.encrypted.iter().map(|vni| element(Set::Encrypted, Datum::Vni(*vni))));
    elements.extend(guard.wireguard.iter().map(|port| element(Set::WireGuardPorts, Datum::Port(*port))));
    for host in &guard.hosts {
        let set = if host.is_ipv4() { Set::Vteps4 } else { Set::Vteps6 };
        elements.push(element(set, (*host).into()));
    }
    let mut plan = Plan::default();
    for element in elements {
        plan.host(
            Purpose::Firewall,
            FirewallOp::element(element),
            "frames from strangers are refused before any can come",
        );
    }
    plan
}

/// The entries that make other hosts' containers reachable.
pub fn peers(network: &Network, peers: &Peers, underlay: Option<IpAddr>) -> Plan {
    let mut plan = Plan::default();
    let (Some(link), Some(local)) = (link_name(network), underlay) else {
        return plan;
    };
    let reachable = |address: &IpAddr| address.is_ipv4() == local.is_ipv4();
    // What another host says is checked like anything that comes from outside: the gateway is this host's own.
    let of_a_container = |address: &&IpAddr| {
        let subnet = network.subnets.iter().find(|s| s.subnet.contains(*address));
        subnet.is_some_and(|s| s.gateway.as_ref() != Some(*address))
    };
    // A host without a key is not reached on an encrypted network, rather than reached in the clear.
    let takes = |vtep: &Vtep| match network.encrypted() {
        true => vtep.key.map(|key| IpAddr::V6(wireguard::inner(&key))),
        false => Some(vtep.address),
    };
    let at = |vtep: &Vtep| takes(vtep).filter(|_| reachable(&vtep.address));
    for to in peers.vteps.values().filter_map(at) {
        plan.host(
            Purpose::Peers,
            VxlanOp::Flood { link: link.clone(), to },
            "it has the network: broadcast and multicast",
        );
    }
    for remote in &peers.remotes {
        let Some(to) = peers.vteps.get(&remote.node).and_then(at) else { continue };
        plan.host(Purpose::Peers, VxlanOp::Forward { link: link.clone(), mac: remote.mac, to }, "where it is");
        for address in remote.addresses.iter().filter(of_a_container) {
            let neighbour = VxlanOp::Neighbour { link: link.clone(), address: *address, mac: remote.mac };
            plan.host(Purpose::Peers, neighbour, "so that nobody has to ask");
        }
        if network.ipv6 {
            let address = IpAddr::V6(link_local(remote.mac));
            let neighbour = VxlanOp::Neighbour { link: link.clone(), address, mac: remote.mac };
            plan.host(Purpose::Peers, neighbour, "answers to multicast go to link-local addresses");
        }
    }
    plan
}
