//! What the host looks like.

use super::netlink::Netlink;
use super::{KernelError, addr, link, route, sysctl};
use crate::model::Facts;
use crate::plan::Observed;
use ipnet::IpNet;
use netd_api::IfName;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The facts that plans depend on. `underlay`: this host's address among the cluster's hosts.
pub fn facts(socket: &mut Netlink, underlay: Option<IpAddr>) -> Result<Facts, KernelError> {
    let on = |key: &str| sysctl::read(key).is_ok_and(|value| value == "1");
    let ipv6 = sysctl::read("net/ipv6/conf/all/forwarding").is_ok();
    let uplink = route::list(socket)?.into_iter().find(|r| r.to.prefix_len() == 0).and_then(|r| r.link);
    let links = link::list(socket)?;
    let takes_ra = |name: &IfName| on(&format!("net/ipv6/conf/{name}/accept_ra"));
    let foreign = links.iter().filter(|(name, seen)| name.as_str() != "lo" && !is_ours(seen.alias.as_deref()));
    let carrier = match underlay {
        Some(address) => addr::list(socket)?.into_iter().find(|(_, net)| net.addr() == address).map(|(index, _)| index),
        None => None,
    };
    let mtu_of = |index: u32| links.iter().find(|(_, l)| l.index == index).map(|(_, l)| l.mtu);
    Ok(Facts {
        uplink_mtu: uplink.and_then(|index| links.iter().find(|(_, l)| l.index == index)).map(|(_, l)| l.mtu),
        forward4: on("net/ipv4/ip_forward"),
        forward6: on("net/ipv6/conf/all/forwarding"),
        accept_ra: foreign.map(|(name, _)| name.clone()).filter(takes_ra).collect(),
        ipv6,
        underlay,
        underlay_mtu: carrier.and_then(mtu_of),
    })
}

fn is_ours(alias: Option<&str>) -> bool {
    alias.is_some_and(|alias| alias.starts_with(link::MARK))
}

/// Networks that the host has a route to or an address in, but not through links of ours, each with its link's name.
pub fn host_networks(socket: &mut Netlink) -> Result<Vec<(IpNet, String)>, KernelError> {
    let links: BTreeMap<u32, (String, bool)> = link::list(socket)?
        .into_iter()
        .map(|(name, seen)| (seen.index, (name.to_string(), is_ours(seen.alias.as_deref()))))
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
