//! What the host looks like.

use super::netlink::Netlink;
use super::{KernelError, addr, link, route, sysctl};
use ipnet::IpNet;
use netd_api::IfName;
use netd_core::model::Facts;
use netd_core::plan::Observed;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The way between a cluster's hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Underlay {
    /// This host's address among them.
    pub address: Option<IpAddr>,
    /// The other hosts'.
    pub peers: BTreeSet<IpAddr>,
}

/// The facts that plans depend on.
pub fn facts(socket: &mut Netlink, underlay: &Underlay) -> Result<Facts, KernelError> {
    let on = |key: &str| sysctl::read(key).is_ok_and(|value| value == "1");
    let ipv6 = sysctl::read("net/ipv6/conf/all/forwarding").is_ok();
    let defaults: Vec<u32> =
        route::list(socket)?.into_iter().filter(|r| r.to.prefix_len() == 0).filter_map(|r| r.link).collect();
    let links = link::list(socket)?;
    let takes_ra = |name: &IfName| on(&format!("net/ipv6/conf/{name}/accept_ra"));
    let foreign = links.iter().filter(|(name, seen)| name.as_str() != "lo" && !link::bears_mark(seen.alias.as_deref()));
    Ok(Facts {
        uplink_mtu: defaults
            .first()
            .and_then(|index| links.iter().find(|(_, l)| l.index == *index))
            .map(|(_, l)| l.mtu),
        uplinks: links.iter().filter(|(_, l)| defaults.contains(&l.index)).map(|(name, _)| name.clone()).collect(),
        forward4: on("net/ipv4/ip_forward"),
        forward6: on("net/ipv6/conf/all/forwarding"),
        accept_ra: foreign.map(|(name, _)| name.clone()).filter(takes_ra).collect(),
        ipv6,
        underlay: underlay.address,
        underlay_mtu: underlay_mtu(socket, underlay)?,
    })
}

/// The largest packet, in bytes, that the routes to all other hosts take; while there are none, that the link with this host's address takes.
pub fn underlay_mtu(socket: &mut Netlink, underlay: &Underlay) -> Result<Option<u32>, KernelError> {
    let Some(own) = underlay.address else { return Ok(None) };
    let mut links: BTreeMap<u32, Option<u32>> = BTreeMap::new();
    let mut least: Option<u32> = None;
    for peer in underlay.peers.iter().filter(|peer| **peer != own && peer.is_ipv4() == own.is_ipv4()) {
        let Some(way) = route::towards(socket, own, *peer)? else { continue };
        let mut of_links = Vec::new();
        for index in way.links {
            let known = match links.get(&index) {
                Some(known) => *known,
                None => link_mtu(socket, index, own.is_ipv6())?,
            };
            links.insert(index, known);
            of_links.extend(known);
        }
        least = least.into_iter().chain(way.mtu).chain(of_links).min();
    }
    if least.is_some() {
        return Ok(least);
    }
    let carrier = addr::list(socket)?.into_iter().find(|(_, net)| net.addr() == own);
    carrier.map_or(Ok(None), |(index, _)| link_mtu(socket, index, own.is_ipv6()))
}

/// A link's MTU for a family: a router may have announced a smaller one for IPv6 (RFC 4861, section 4.6.4).
fn link_mtu(socket: &mut Netlink, index: u32, v6: bool) -> Result<Option<u32>, KernelError> {
    let Some((name, seen)) = link::by_index(socket, index)? else { return Ok(None) };
    let announced = sysctl::read(&format!("net/ipv6/conf/{name}/mtu")).ok().filter(|_| v6);
    Ok(announced.and_then(|mtu| mtu.parse().ok()).into_iter().chain([seen.mtu]).min())
}

/// Networks that the host has a route to or an address in, but not through links of ours, each with its link's name.
pub fn host_networks(socket: &mut Netlink) -> Result<Vec<(IpNet, String)>, KernelError> {
    let links: BTreeMap<u32, (String, bool)> = link::list(socket)?
        .into_iter()
        .map(|(name, seen)| (seen.index, (name.to_string(), link::bears_mark(seen.alias.as_deref()))))
        .collect();
    let routes = route::list(socket)?.into_iter().map(|r| (r.link, r.to));
    let addresses = addr::list(socket)?.into_iter().map(|(index, net)| (Some(index), net.trunc()));
    let mut all: Vec<(IpNet, String)> = Vec::new();
    for (index, net) in routes.chain(addresses) {
        let known = index.and_then(|i| links.get(&i));
        let (name, ours) = known.cloned().unwrap_or_else(|| ("none".into(), false));
        let multicast = net.addr().is_multicast();
        if !ours && !multicast && net.prefix_len() > 0 && !all.iter().any(|(n, _)| *n == net) {
            all.push((net, name));
        }
    }
    Ok(all)
}

/// Links, addresses and the table, for comparing with plans.
pub fn observe(socket: &mut Netlink, table: bool) -> Result<Observed, KernelError> {
    let links: BTreeMap<_, _> = link::list(socket)?.into_iter().collect();
    let names: BTreeMap<u32, IfName> = links.iter().map(|(name, seen)| (seen.index, name.clone())).collect();
    let addresses = addr::list(socket)?.into_iter();
    let addresses = addresses.filter_map(|(index, net)| Some((names.get(&index)?.clone(), net))).collect();
    Ok(Observed { links, addresses, table })
}
