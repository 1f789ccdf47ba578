//! Routes (rtnetlink(7), RTM_NEWROUTE).

use super::KernelError;
use super::netlink::{NLM_F_CREATE, NLM_F_REPLACE, Netlink, emit};
use ipnet::IpNet;
use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};
use std::net::IpAddr;

pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
/// `RT_TABLE_MAIN`.
const MAIN: u8 = 254;
/// `RT_TABLE_LOCAL`: the host's own addresses, no networks.
const LOCAL: u32 = 255;

/// A route as it was seen.
pub struct RouteSeen {
    pub to: IpNet,
    pub link: Option<u32>,
}

/// The way to an address.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The links that packets leave by: several, where several next hops share the load.
    pub links: Vec<u32>,
    /// The MTU that the route itself names, in bytes.
    pub mtu: Option<u32>,
}

/// The route that packets from one address to another take: as it was configured (`RTM_F_FIB_MATCH`), without what was learned about the path
/// since, which the kernel forgets again after minutes. Absent where there is none.
pub fn towards(socket: &mut Netlink, from: IpAddr, to: IpAddr) -> Result<Option<Way>, KernelError> {
    let host = IpNet::from(to);
    let mut request = RouteMessage::default();
    request.header.address_family = family(&host);
    request.header.destination_prefix_length = host.prefix_len();
    request.header.source_prefix_length = host.prefix_len();
    request.header.flags = RouteFlags::FibMatch;
    request.attributes = vec![RouteAttribute::Destination(to.into()), RouteAttribute::Source(from.into())];
    let mut way = None;
    match socket.get(RTM_GETROUTE, &emit(&request), |_, body| way = RouteMessage::parse(body).ok().map(way_of)) {
        Err(error) if error.is_no_route() => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(way),
    }
}

fn way_of(message: RouteMessage) -> Way {
    let mut way = Way::default();
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => way.links.push(index),
            RouteAttribute::MultiPath(hops) => way.links.extend(hops.iter().map(|hop| hop.interface_index)),
            RouteAttribute::Metrics(metrics) => {
                way.mtu = metrics.iter().find_map(|m| if let RouteMetric::Mtu(mtu) = m { Some(*mtu) } else { None });
            }
            _ => {}
        }
    }
    way
}

/// Adds a route, in place of another one to the same destination.
pub fn replace(socket: &mut Netlink, index: u32, to: IpNet, via: Option<IpAddr>) -> Result<(), KernelError> {
    socket.request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &emit(&message(index, to, via)))
}

/// Deletes a route; one that isn't there is deleted.
pub fn delete(socket: &mut Netlink, index: u32, to: IpNet, via: Option<IpAddr>) -> Result<(), KernelError> {
    match socket.request(RTM_DELROUTE, 0, &emit(&message(index, to, via))) {
        Err(error) if error.is_gone() => Ok(()),
        other => other,
    }
}

pub(super) fn message(index: u32, to: IpNet, via: Option<IpAddr>) -> RouteMessage {
    let mut request = RouteMessage::default();
    request.header.address_family = family(&to);
    request.header.destination_prefix_length = to.prefix_len();
    request.header.table = MAIN;
    request.header.protocol = RouteProtocol::Static;
    // A gateway is looked up among routes of a narrower scope (net/ipv4/fib_semantics.c, fib_check_nh): one to the link has it.
    request.header.scope = if via.is_none() && to.addr().is_ipv4() { RouteScope::Link } else { RouteScope::Universe };
    request.header.kind = RouteType::Unicast;
    if to.prefix_len() > 0 {
        request.attributes.push(RouteAttribute::Destination(to.network().into()));
    }
    if let Some(via) = via {
        request.attributes.push(RouteAttribute::Gateway(via.into()));
    }
    request.attributes.push(RouteAttribute::Oif(index));
    request
}

fn family(net: &IpNet) -> AddressFamily {
    match net {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    }
}

/// The networks that any routing table of the host knows, of both families.
pub fn list(socket: &mut Netlink) -> Result<Vec<RouteSeen>, KernelError> {
    let mut all = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        all.extend(socket.dump(RTM_GETROUTE, &emit(&request), |_, body| parse(body))?);
    }
    Ok(all)
}

fn parse(body: &[u8]) -> Option<RouteSeen> {
    let message = RouteMessage::parse(body).ok()?;
    let mut table = u32::from(message.header.table);
    let (mut to, mut link) = (None, None);
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(a)) => to = Some(IpAddr::V4(a)),
            RouteAttribute::Destination(RouteAddress::Inet6(a)) => to = Some(IpAddr::V6(a)),
            RouteAttribute::Table(t) => table = t,
            RouteAttribute::Oif(index) => link = Some(index),
            _ => {}
        }
    }
    if table == LOCAL {
        return None;
    }
    let any = match message.header.address_family {
        AddressFamily::Inet => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let to = IpNet::new(to.unwrap_or(any), message.header.destination_prefix_length).ok()?;
    Some(RouteSeen { to, link })
}
