//! `host_access` of macvlan and ipvlan: the host gets a link of its own beside the containers', since the kernel passes nothing
//! between a parent and its children.
//!
//! ```text
//!   container                            host
//!   eth0 (macvlan, 192.168.77.128) ══╦══ sh-… (macvlan, 192.168.77.254/32) ◀── route 192.168.77.128/32 dev sh-…
//!      route HOST/32 via 192.168.77.254╚══ parent eth0 (HOST) ──▶ LAN
//! ```
//!
//! With it ports can be published: to the table this link is one more bridge. All published flows leave by it with its own
//! address, or the container would answer the client over the LAN and past the translation.

use super::bridge::{forget_port_flows, publish_elements, relayed_elements};
use crate::firewall::{Element, Set};
use crate::model::{Attachment, Facts, Network};
use crate::plan::{AddressOp, Child, FirewallOp, LinkOp, Plan, Purpose, RouteOp, SetOp, SysctlOp};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Makes the host's own link.
pub fn network(network: &Network, kind: Option<Child>, mtu: Option<u32>, facts: &Facts) -> Plan {
    let mut plan = Plan::default();
    let (Some(own), Some(parent), Some(kind)) = (&network.own_link, &network.parent, kind) else {
        return plan;
    };
    let name = &own.name;
    let mac = matches!(kind, Child::Macvlan { .. }).then_some(network.mac);
    let alias = format!("rcr:{}", network.name);
    let link = LinkOp::Own { name: name.clone(), parent: parent.name().clone(), kind, mac, mtu, alias };
    plan.host(Purpose::Link, link, "a parent and its children don't see each other");
    let has_v6 = own.addresses.iter().any(|a| a.is_ipv6());
    if facts.ipv6 {
        let v6 = |key, value| SysctlOp::of_link("ipv6", name, key, value);
        plan.host(Purpose::Link, v6("disable_ipv6", if has_v6 { "0" } else { "1" }), "");
        if has_v6 {
            plan.host(Purpose::Link, v6("accept_ra", "0"), "the parent hears the routers");
            plan.host(Purpose::Link, v6("accept_dad", "0"), "usable at once");
        }
    }
    let v4 = |key, value| SysctlOp::of_link("ipv4", name, key, value);
    plan.host(Purpose::Link, v4("arp_ignore", "1"), "or it would answer the LAN for the host's other addresses");
    plan.host(Purpose::Link, v4("rp_filter", "2"), "containers speak to the parent's address too");
    plan.host(Purpose::Link, v4("route_localnet", "1"), "for ports published on 127.0.0.1");
    let everywhere = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
    let mut elements = vec![Element::link(Set::Bridges, name), Element::link(Set::HostAccess, name)];
    if network.internal {
        elements.push(Element::link(Set::Internal, name));
    }
    elements.extend(everywhere.iter().map(|net| Element::home(net, name)));
    plan.host(
        Purpose::Firewall,
        FirewallOp::Elements { elements },
        "published flows get this link's address, wherever they come from",
    );
    for address in &own.addresses {
        // Not the subnet: the LAN is reached by the parent.
        plan.host(
            Purpose::Addresses,
            AddressOp::Add { link: name.clone(), address: IpNet::from(*address) },
            "the host, to its containers",
        );
    }
    plan.host(Purpose::Link, SetOp::Up { link: name.clone() }, "");
    plan
}

/// The ways between the host and a container, and what the container publishes.
pub fn attach(plan: &mut Plan, network: &Network, attachment: &Attachment) {
    let Some(own) = &network.own_link else {
        return;
    };
    let a = attachment;
    for address in &a.addresses {
        let to = IpNet::from(address.addr());
        plan.host(
            Purpose::Routes,
            RouteOp::Add { to, via: None, link: own.name.clone() },
            "the host's way to the container",
        );
    }
    // Where there are neighbours; else all leaves by the link itself, and the kernel finds the host's addresses.
    for host in own.of_host.iter().filter(|_| !network.routed_only()) {
        let via = own.addresses.iter().find(|via| {
            via.is_ipv4() == host.is_ipv4() && a.addresses.iter().any(|net| net.contains(*via) && net.contains(host))
        });
        if let Some(via) = via {
            let step = RouteOp::Add { to: IpNet::from(*host), via: Some(*via), link: a.ifname.clone() };
            plan.container(Purpose::Routes, step, "the parent itself hears nothing from its children");
        }
    }
    for address in &a.reused {
        plan.host(
            Purpose::Addresses,
            FirewallOp::ForgetFlows { address: *address, port: None },
            "they were another container's",
        );
    }
    let (mut elements, mut relayed) = (Vec::new(), Vec::new());
    for port in &a.ports {
        match a.addresses.iter().find(|n| n.addr().is_ipv4() == port.host_ip.is_ipv4()) {
            Some(target) => publish_elements(port, target.addr(), false, &mut elements),
            None => relayed.push(port),
        }
    }
    elements.extend(relayed_elements(relayed));
    if !elements.is_empty() {
        plan.host(Purpose::Ports, FirewallOp::Elements { elements }, "published when everything else stands");
    }
    forget_port_flows(plan, a);
}
