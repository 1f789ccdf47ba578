//! One network namespace: links, addresses, routes to both ends, neighbours, settings, who listens.

use super::inside;
use crate::kernel::netlink::{Netlink, attributes, emit};
use crate::kernel::sockdiag::busy_ports;
use crate::kernel::{KernelError, addr, observe, sysctl};
use ipnet::IpNet;
use netd_api::Mac;
use netd_core::seen::{ForwardSeen, NeighbourSeen, NeighbourState, PlaceSeen, RouteSeen, WaySeen};
use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState as State};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

const RTM_GETNEIGH: u16 = 30;
const RTM_GETROUTE: u16 = 26;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
/// `sizeof(struct ndmsg)`.
const NDMSG: usize = 12;

/// What is looked at beyond links and addresses.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    /// Routes to these.
    pub to: Option<IpAddr>,
    pub back: Option<IpAddr>,
    /// Paths below `/proc/sys`.
    pub sysctls: Vec<String>,
}

/// A container's network namespace, or the calling thread's.
pub fn place(netns: Option<BorrowedFd<'_>>, wants: &Wants) -> Result<PlaceSeen, KernelError> {
    inside(netns, || {
        let mut socket = Netlink::route()?;
        let seen = observe(&mut socket, false)?;
        let name_of =
            |index: u32| seen.links.iter().find(|(_, link)| link.index == index).map(|(name, _)| name.to_string());
        let way = wants.to.map_or(Ok(RouteSeen::Unasked), |to| way(&mut socket, to, &name_of))?;
        let back = wants.back.map_or(Ok(RouteSeen::Unasked), |to| self::way(&mut socket, to, &name_of))?;
        let read = |key: &String| Some((key.clone(), sysctl::read(key).ok()?));
        Ok(PlaceSeen {
            way,
            back,
            neighbours: neighbours(&mut socket)?,
            sysctls: wants.sysctls.iter().filter_map(read).collect(),
            sockets: busy_ports()?,
            links: seen.links,
            addresses: seen.addresses,
        })
    })
}

/// The addresses of the calling thread's network namespace.
pub fn host_addresses() -> Result<Vec<IpAddr>, KernelError> {
    let all = addr::list(&mut Netlink::route()?)?;
    Ok(all.into_iter().map(|(_, net)| net.addr()).collect())
}

/// Flows that are tracked, and the most there can be. Nothing, where the kernel tracks none.
pub fn conntrack() -> Option<(u64, u64)> {
    let number = |name: &str| sysctl::read(&format!("net/netfilter/nf_conntrack_{name}")).ok()?.parse().ok();
    Some((number("count")?, number("max")?))
}

/// The route that a packet takes which is sent there.
fn way(socket: &mut Netlink, to: IpAddr, name_of: &impl Fn(u32) -> Option<String>) -> Result<RouteSeen, KernelError> {
    let mut request = RouteMessage::default();
    let net = IpNet::from(to);
    request.header.address_family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    request.header.destination_prefix_length = net.prefix_len();
    request.attributes = vec![RouteAttribute::Destination(to.into())];
    let mut found = None;
    match socket.get(RTM_GETROUTE, &emit(&request), |_, body| found = RouteMessage::parse(body).ok()) {
        Err(error) if error.is_no_route() => return Ok(RouteSeen::None),
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    let Some(message) = found else { return Ok(RouteSeen::None) };
    let refuses = [RouteType::BlackHole, RouteType::Unreachable, RouteType::Prohibit];
    if refuses.contains(&message.header.kind) {
        return Ok(RouteSeen::None);
    }
    let mut way = WaySeen { local: message.header.kind == RouteType::Local, ..WaySeen::default() };
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => way.link = name_of(index).unwrap_or_default(),
            RouteAttribute::Gateway(RouteAddress::Inet(a)) => way.via = Some(IpAddr::V4(a)),
            RouteAttribute::Gateway(RouteAddress::Inet6(a)) => way.via = Some(IpAddr::V6(a)),
            RouteAttribute::Metrics(all) => {
                way.mtu = all.iter().find_map(|one| if let RouteMetric::Mtu(mtu) = one { Some(*mtu) } else { None });
            }
            _ => {}
        }
    }
    Ok(RouteSeen::Way(way))
}

fn neighbours(socket: &mut Netlink) -> Result<Vec<NeighbourSeen>, KernelError> {
    socket.dump(RTM_GETNEIGH, &emit(&NeighbourMessage::default()), |_, body| {
        let message = NeighbourMessage::parse(body).ok()?;
        let state = match message.header.state {
            State::Permanent | State::Noarp => NeighbourState::Fixed,
            State::Incomplete | State::Failed => NeighbourState::Unanswered,
            _ => NeighbourState::Known,
        };
        let mut mac = None;
        for attribute in &message.attributes {
            if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute {
                mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac);
            }
        }
        let address =
            attributes(body.get(NDMSG..)?).find(|(kind, _)| *kind == NDA_DST).and_then(|(_, a)| address(a))?;
        Some(NeighbourSeen { link: message.header.ifindex, address, mac, state })
    })
}

/// The entries of a tunnel's forwarding table that name a host.
pub fn forwards(link: u32) -> Result<Vec<ForwardSeen>, KernelError> {
    let mut request = NeighbourMessage::default();
    request.header.family = AddressFamily::Bridge;
    Netlink::route()?.dump(RTM_GETNEIGH, &emit(&request), |_, body| {
        let index = i32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
        if u32::try_from(index).ok()? != link {
            return None;
        }
        let (mut mac, mut to) = (None, None);
        for (kind, value) in attributes(body.get(NDMSG..)?) {
            match kind {
                NDA_LLADDR => mac = <[u8; 6]>::try_from(value).ok().map(Mac),
                NDA_DST => to = address(value),
                _ => {}
            }
        }
        Some(ForwardSeen { mac: mac?, to: to? })
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
