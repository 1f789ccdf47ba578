//! The bridge driver: a bridge on the host, a veth pair per container.
//!
//! ```text
//!   container              host
//!   eth0 ════ veth ════ ve3f2a91 ─┐
//!                                 ├─ br-… ── forward ── leave (masquerade) ── uplink ──▶ world
//!   eth0 ════ veth ════ ve77c0de ─┘   │         ▲
//!                                     │         └── publish (host port → container) ◀── uplink, 127.0.0.1
//!                                     └── input: closed, but for answers, pings and those let in
//! ```
//!
//! Containers of one network meet on the bridge (`icc=false`: isolated ports, no firewall rule involved). Everything else
//! crosses the table `inet rcr`, where a network and a port are elements of sets (see `firewall`).

use super::driver::{
    Driver, ETHERNET_MTU, Ground, IPV6_MIN_MTU, Refusal, check_mtu, default_routes, endpoint_sysctls, refusal,
    reply_routes,
};
use crate::firewall::{Datum, Element, Set};
use crate::model::{Attachment, Facts, Network, Subnet};
use crate::plan::{AddressOp, FirewallOp, LinkOp, Plan, PortOp, Purpose, SetOp, SysctlOp};
use ipnet::IpNet;
use netd_api::{BridgeOptions, DriverSpec, GatewayMode, IfName, NetworkCreate, Proto, PublishedPort};
use std::net::IpAddr;

/// See the file's head.
pub struct Bridge;

impl Driver for Bridge {
    fn ground(&self, _: &DriverSpec) -> Ground {
        Ground::Bridge
    }

    fn filtered(&self, _: &Network) -> bool {
        true
    }

    fn host_addresses(&self, network: &Network) -> Vec<IpAddr> {
        network.subnets.iter().filter(|s| network.is_gateway(s)).filter_map(|s| s.gateway).collect()
    }

    fn check(&self, spec: &NetworkCreate) -> Result<(), Refusal> {
        let Some(options) = spec.driver.bridge() else { return Ok(()) };
        let isolated = [options.gateway_mode_ipv4, options.gateway_mode_ipv6].contains(&GatewayMode::Isolated);
        if isolated && !spec.internal {
            return refusal("gateway mode `isolated` needs `--internal`", None);
        }
        if options.flowtable && spec.internal {
            return refusal("`flowtable` is for flows to and from the outside, and an internal network has none", None);
        }
        if options.redirect_peer && !options.icc {
            return refusal("`redirect_peer` is for frames between containers, and `icc=false` allows none", None);
        }
        check_mtu(options.mtu, spec.ipv6 || spec.subnets.iter().any(|s| s.subnet.addr().is_ipv6()))?;
        if spec.subnets.iter().any(|s| s.no_gateway) {
            return refusal("a bridge network always has a gateway; `--internal` leads nowhere", None);
        }
        let strange = spec.subnets.iter().find_map(|s| s.gateway.filter(|gateway| !s.subnet.contains(gateway)));
        strange.map_or(Ok(()), |gateway| refusal(format!("the gateway `{gateway}` lies in none of the subnets"), None))
    }

    fn mtu(&self, network: &Network, facts: &Facts) -> Option<u32> {
        network.asked_mtu().or(facts.uplink_mtu).or(Some(ETHERNET_MTU))
    }

    fn network(&self, network: &Network, mtu: Option<u32>, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let (Some(options), Some(name)) = (network.bridge(), network.interface.clone()) else {
            return plan;
        };
        let (mtu, alias) = (mtu.unwrap_or(ETHERNET_MTU), format!("rcr:{}", network.name));
        let bridge = LinkOp::Bridge { name: name.clone(), mac: network.mac, mtu, alias };
        plan.host(Purpose::Link, bridge, "its MAC is fixed, or it would follow the lowest port's");
        // Below that the kernel takes IPv6 off a link, its sysctls included.
        if facts.ipv6 && mtu >= IPV6_MIN_MTU {
            v6_sysctls(&mut plan, network, &name);
        }
        let v4 = |key, value| SysctlOp::of_link("ipv4", &name, key, value);
        plan.host(Purpose::Link, v4("rp_filter", "2"), "containers with several networks answer on any");
        plan.host(Purpose::Link, v4("route_localnet", "1"), "for ports published on 127.0.0.1");
        plan.host(
            Purpose::Firewall,
            FirewallOp::Elements { elements: network_elements(network, options, &name, facts) },
            "closed before it is up",
        );
        for subnet in network.subnets.iter().filter(|s| network.is_gateway(s)) {
            if let Some(address) = subnet.gateway.and_then(|g| IpNet::new(g, subnet.subnet.prefix_len()).ok()) {
                plan.host(
                    Purpose::Addresses,
                    AddressOp::Add { link: name.clone(), address },
                    "the containers' gateway",
                );
            }
        }
        plan.host(Purpose::Link, SetOp::Up { link: name }, "");
        plan
    }

    fn attach(&self, network: &Network, attachment: &Attachment, mtu: Option<u32>, facts: &Facts) -> Plan {
        let mut plan = Plan::default();
        let (Some(options), Some(bridge)) = (network.bridge(), network.interface.clone()) else {
            return plan;
        };
        let a = attachment;
        let veth = LinkOp::Veth {
            host: a.host_link.clone(),
            host_mac: a.host_mac,
            peer: a.ifname.clone(),
            mac: a.mac,
            mtu: mtu.unwrap_or(ETHERNET_MTU),
            bridge: bridge.clone(),
            alias: format!("rcr:{}:{}", network.name, a.container.short()),
        };
        plan.host(Purpose::Link, veth, "made in place: no rename, no move");
        port(&mut plan, a, options);
        inside(&mut plan, a, facts);
        if options.redirect_peer {
            let redirect = PortOp::Redirect { link: a.host_link.clone(), mac: a.mac, bridge: bridge.clone() };
            plan.host(Purpose::Link, redirect, "frames between neighbours bypass the bridge");
        }
        if !a.addresses.is_empty() {
            let addresses = a.addresses.iter().map(|net| net.addr()).collect();
            let announce = PortOp::Announce { link: a.ifname.clone(), addresses, port: a.host_link.clone() };
            plan.host(Purpose::Addresses, announce, "the kernel's own comes before the port forwards");
        }
        for address in &a.reused {
            plan.host(
                Purpose::Addresses,
                FirewallOp::ForgetFlows { address: *address, port: None },
                "they were another container's",
            );
        }
        let (mut of_host, of_ports) = (access_elements(a, &bridge), port_elements(network, a));
        if options.flowtable {
            of_host.push(Element::link(Set::FlowPorts, &a.host_link));
        }
        for (purpose, elements) in [(Purpose::Firewall, of_host), (Purpose::Ports, of_ports)] {
            if !elements.is_empty() {
                plan.host(purpose, FirewallOp::Elements { elements }, "published when everything else stands");
            }
        }
        forget_port_flows(&mut plan, a);
        plan
    }
}

/// The host's end.
fn port(plan: &mut Plan, attachment: &Attachment, options: &BridgeOptions) {
    let port = &attachment.host_link;
    // A container that reaches its own published port: with br_netfilter the frame turns round on the bridge.
    let (isolated, hairpin) = (!options.icc, !attachment.ports.is_empty());
    if isolated || hairpin {
        let purpose = if hairpin { Purpose::Ports } else { Purpose::Link };
        let flags = PortOp::Flags { link: port.clone(), isolated, hairpin };
        plan.host(purpose, flags, "isolated: icc=false; hairpin: its own published ports");
    }
    let up = SetOp::Up { link: port.clone() };
    plan.host(Purpose::Link, up, "before the container's end, so that its announcement gets out");
}

/// The container's end.
fn inside(plan: &mut Plan, attachment: &Attachment, facts: &Facts) {
    let link = &attachment.ifname;
    if facts.ipv6 && attachment.addresses.iter().any(|n| matches!(n, IpNet::V6(_))) {
        let on = SysctlOp::of_link("ipv6", link, "disable_ipv6", "0");
        plan.container(Purpose::Link, on, "off by default: a v4-only network has no IPv6");
    }
    endpoint_sysctls(plan, attachment);
    for address in &attachment.addresses {
        plan.container(Purpose::Addresses, AddressOp::Add { link: link.clone(), address: *address }, "");
    }
    plan.container(Purpose::Link, SetOp::Up { link: link.clone() }, "announces the addresses (arp_notify)");
    default_routes(plan, attachment);
    reply_routes(plan, attachment);
}

/// What all bridge networks of a host share.
pub fn base(facts: &Facts) -> Plan {
    let mut plan = Plan::default();
    plan.host(Purpose::Firewall, FirewallOp::UserTable, "");
    plan.host(Purpose::Firewall, FirewallOp::Table, "");
    if !facts.forward4 {
        let guard = Element { set: Set::Guard, key: vec![Datum::Family(2)], last: None, data: Vec::new() };
        plan.host(
            Purpose::Firewall,
            FirewallOp::element(guard),
            "before forwarding: the host must not become a router for others",
        );
        plan.host(
            Purpose::Forwarding,
            SysctlOp::borrowed("net/ipv4/ip_forward", "0", "1"),
            "containers reach the world",
        );
    }
    if facts.ipv6 && !facts.forward6 {
        let guard = Element { set: Set::Guard, key: vec![Datum::Family(10)], last: None, data: Vec::new() };
        plan.host(
            Purpose::Firewall,
            FirewallOp::element(guard),
            "before forwarding: the host must not become a router for others",
        );
        for link in &facts.accept_ra {
            let key = format!("net/ipv6/conf/{link}/accept_ra");
            plan.host(
                Purpose::Forwarding,
                SysctlOp::borrowed(&key, "1", "2"),
                "a forwarding host stops taking router advertisements unless told",
            );
        }
        plan.host(
            Purpose::Forwarding,
            SysctlOp::borrowed("net/ipv6/conf/all/forwarding", "0", "1"),
            "containers reach the world",
        );
    }
    plan
}

/// Flows of published ports without connections go on for minutes.
pub(super) fn forget_port_flows(plan: &mut Plan, attachment: &Attachment) {
    for port in attachment.ports.iter().filter(|p| p.proto != Proto::Tcp) {
        let ports = (proto_number(port.proto), port.host_port, port.host_port + (port.count - 1));
        plan.host(
            Purpose::Ports,
            FirewallOp::ForgetFlows { address: port.host_ip, port: Some(ports) },
            "old flows know another way",
        );
    }
}

fn v6_sysctls(plan: &mut Plan, network: &Network, name: &IfName) {
    let v6 = |key, value| SysctlOp::of_link("ipv6", name, key, value);
    let has_v6 = network.subnets.iter().any(|s| matches!(s.subnet, IpNet::V6(_)));
    if has_v6 {
        plan.host(Purpose::Link, v6("disable_ipv6", "0"), "");
        plan.host(Purpose::Link, v6("accept_ra", "0"), "containers don't tell the host its routes");
        plan.host(Purpose::Link, v6("accept_dad", "0"), "the gateway is usable at once");
    } else {
        plan.host(Purpose::Link, v6("disable_ipv6", "1"), "a v4-only network has no IPv6");
    }
}

fn network_elements(network: &Network, options: &BridgeOptions, name: &IfName, facts: &Facts) -> Vec<Element> {
    let mut elements = vec![Element::link(Set::Bridges, name)];
    elements.extend(network.subnets.iter().map(|s| Element::home(&s.subnet, name)));
    if options.icc {
        elements.push(Element::pair(Set::Icc, name));
        elements.push(Element::link(Set::Neighbours, name));
        elements.push(Element::own_mac(name, network.mac));
    }
    elements.push(Element::link(if network.internal { Set::Internal } else { Set::Outbound }, name));
    if options.host_access {
        elements.push(Element::link(Set::HostAccess, name));
    }
    for subnet in network.subnets.iter().filter(|s| network.gateway_mode(s) == GatewayMode::Nat && !network.internal) {
        let set = if is_v4(subnet) { Set::Nat4 } else { Set::Nat6 };
        let element = Element::link(set, name);
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    if options.flowtable {
        elements.extend(facts.uplinks.iter().map(|outside| Element::flow(name, outside)));
    }
    elements
}

fn is_v4(subnet: &Subnet) -> bool {
    matches!(subnet.subnet, IpNet::V4(_))
}

/// The container may open connections to the host.
fn access_elements(attachment: &Attachment, bridge: &IfName) -> Vec<Element> {
    let element = |address: &IpNet| {
        let set = if matches!(address, IpNet::V4(_)) { Set::HostPeers4 } else { Set::HostPeers6 };
        let key = vec![Datum::Link(bridge.clone()), address.addr().into()];
        Element { set, key, last: None, data: Vec::new() }
    };
    attachment.addresses.iter().filter(|_| attachment.host_access).map(element).collect()
}

/// What the container publishes.
fn port_elements(network: &Network, attachment: &Attachment) -> Vec<Element> {
    let (mut elements, mut relayed) = (Vec::new(), Vec::new());
    for port in &attachment.ports {
        // The first address of the port's family carries it; without one the relay does (see `relay`).
        let same = |n: &&IpNet| n.addr().is_ipv4() == port.host_ip.is_ipv4();
        let Some(target) = attachment.addresses.iter().find(same) else {
            relayed.push(port);
            continue;
        };
        let routed = network
            .subnets
            .iter()
            .any(|s| s.subnet.contains(&target.addr()) && network.gateway_mode(s) == GatewayMode::Routed);
        publish_elements(port, target.addr(), routed, &mut elements);
    }
    elements.extend(relayed_elements(relayed));
    elements
}

/// Published ports that netd's relay brings to a container without the ports' family. Those that follow each other are
/// one element: of intervals, the kernel takes the longer for each the more there are.
pub(super) fn relayed_elements(mut ports: Vec<&PublishedPort>) -> Vec<Element> {
    ports.sort_by_key(|port| (port.host_ip, proto_number(port.proto), port.host_port));
    let mut runs: Vec<(IpAddr, Proto, u16, u16)> = Vec::new();
    for port in ports {
        let last = port.host_port + (port.count - 1);
        match runs.last_mut() {
            Some((address, proto, _, end))
                if (*address, *proto) == (port.host_ip, port.proto) && end.checked_add(1) == Some(port.host_port) =>
            {
                *end = last;
            }
            _ => runs.push((port.host_ip, port.proto, port.host_port, last)),
        }
    }
    let element = |(address, proto, first, last): (IpAddr, Proto, u16, u16)| {
        let set = if address.is_ipv4() { Set::Relayed4 } else { Set::Relayed6 };
        Element::ports(set, address, proto_number(proto), (first, last), Vec::new())
    };
    runs.into_iter().map(element).collect()
}

/// The elements that bring a published port to `target`; `routed`: also for those who ask it by its own address.
pub(super) fn publish_elements(port: &PublishedPort, target: IpAddr, routed: bool, elements: &mut Vec<Element>) {
    let v4 = target.is_ipv4();
    let proto = proto_number(port.proto);
    let span = port.count - 1;
    if routed {
        let set = if v4 { Set::Open4 } else { Set::Open6 };
        let ports = (port.container_port, port.container_port + span);
        let element = Element::ports(set, target, proto, ports, Vec::new());
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    if port.host_port == port.container_port && port.count > 1 {
        let set = if v4 { Set::Range4 } else { Set::Range6 };
        let ports = (port.host_port, port.host_port + span);
        elements.push(Element::ports(set, port.host_ip, proto, ports, vec![target.into()]));
        return;
    }
    elements.extend((0..port.count).map(|i| {
        let data = vec![target.into(), Datum::Port(port.container_port + i)];
        Element::port(port.host_ip, proto, port.host_port + i, data)
    }));
}

/// The number of a transport protocol (IANA).
pub fn proto_number(proto: Proto) -> u8 {
    match proto {
        Proto::Tcp => 6,
        Proto::Udp => 17,
        Proto::Sctp => 132,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relayed_ports_that_follow_each_other_are_one_element() {
        let port = |proto, host_port, count| PublishedPort {
            host_ip: IpAddr::from([0; 16]),
            proto,
            host_port,
            container_port: 80,
            count,
        };
        let ports = [
            port(Proto::Tcp, 7, 3),
            port(Proto::Udp, 10, 1),
            port(Proto::Tcp, 10, 1),
            port(Proto::Tcp, 65535, 1),
            port(Proto::Tcp, 12, 1),
        ];
        let told: Vec<String> = relayed_elements(ports.iter().collect()).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["* . tcp . 7-10", "* . tcp . 12", "* . tcp . 65535", "* . udp . 10"]);
    }
}
