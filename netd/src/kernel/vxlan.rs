//! VXLAN links and the entries that tell them who is where (drivers/net/vxlan, include/uapi/linux/neighbour.h).

use super::fdb::{RTM_DELNEIGH, RTM_NEWNEIGH, destination, entry, pin};
use super::link::{RTM_GETLINK, RTM_NEWLINK, find, mark};
use super::netlink::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Netlink, emit};
use super::{KernelError, gone_is_fine};
use netd_api::{IfName, Mac, Vni};
use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};
use std::net::IpAddr;

const NLM_F_APPEND: u16 = 0x800;
/// Hops that a frame may take between hosts; the kernel's own default of 0 would copy the inner packet's.
const TTL: u8 = 64;
/// The entry for what has no other (`all_zeros_mac`, drivers/net/vxlan/vxlan_core.c).
const ANY: Mac = Mac([0; 6]);

/// What a VXLAN link is made of.
pub struct VxlanSpec<'a> {
    pub name: &'a IfName,
    pub vni: Vni,
    pub local: IpAddr,
    pub port: u16,
    pub mtu: u32,
    pub mac: Mac,
    /// Its bridge's index.
    pub bridge: u32,
    pub alias: &'a str,
}

/// All VXLAN links, with what they are made of.
fn tunnels(socket: &mut Netlink) -> Result<Vec<(String, Vec<InfoVxlan>)>, KernelError> {
    socket.dump(RTM_GETLINK, &emit(&LinkMessage::default()), |_, body| {
        let (mut name, mut vxlan) = (None, None);
        for attribute in LinkMessage::parse(body).ok()?.attributes {
            match attribute {
                LinkAttribute::IfName(n) => name = Some(n),
                LinkAttribute::LinkInfo(infos) => {
                    vxlan = infos.into_iter().find_map(|info| match info {
                        LinkInfo::Data(InfoData::Vxlan(data)) => Some(data),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        Some((name?, vxlan?))
    })
}

/// The UDP port of a VXLAN link, if it is one.
pub fn port_of(socket: &mut Netlink, link: &str) -> Option<u16> {
    let (_, data) = tunnels(socket).ok()?.into_iter().find(|(name, _)| name == link)?;
    data.into_iter().find_map(|d| if let InfoVxlan::Port(port) = d { Some(port) } else { None })
}

/// A tunnel of somebody else that ours can't be beside, and what it has of ours: one of the same VNI on the port, or one that takes all frames
/// of the port (`external`, drivers/net/vxlan/vxlan_core.c, vxlan_find_sock).
fn rival(socket: &mut Netlink, spec: &VxlanSpec<'_>) -> Result<Option<(String, String)>, KernelError> {
    let (port, vni) = (spec.port, spec.vni.number());
    for (name, data) in tunnels(socket)? {
        if name == spec.name.as_str() || !data.contains(&InfoVxlan::Port(port)) {
            continue;
        }
        if data.contains(&InfoVxlan::CollectMetadata(true)) {
            return Ok(Some((name, format!("all VXLAN frames of UDP port {port} (it is `external`)"))));
        }
        let v6 = data.iter().any(|d| matches!(d, InfoVxlan::Local6(_) | InfoVxlan::Group6(_)));
        if data.contains(&InfoVxlan::Id(vni)) && v6 == spec.local.is_ipv6() {
            return Ok(Some((name, format!("VNI {vni} on UDP port {port}"))));
        }
    }
    Ok(None)
}

/// Creates a VXLAN link on a bridge, down. `EEXIST` when the name is taken.
pub fn add(socket: &mut Netlink, spec: &VxlanSpec<'_>) -> Result<(), KernelError> {
    if let Some((link, what)) = rival(socket, spec)? {
        return Err(KernelError::TunnelTaken { link, what });
    }
    let local = match spec.local {
        IpAddr::V4(address) => InfoVxlan::Local(address),
        IpAddr::V6(address) => InfoVxlan::Local6(address),
    };
    let data = vec![
        InfoVxlan::Id(spec.vni.number()),
        local,
        InfoVxlan::Ttl(TTL),
        InfoVxlan::Port(spec.port),
        InfoVxlan::Learning(false),
        InfoVxlan::Proxy(true),
        InfoVxlan::UDPCsum(true),
    ];
    let mut request = LinkMessage::default();
    request.attributes = vec![
        LinkAttribute::IfName(spec.name.to_string()),
        LinkAttribute::Address(spec.mac.0.to_vec()),
        LinkAttribute::Mtu(spec.mtu),
        LinkAttribute::Controller(spec.bridge),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vxlan), LinkInfo::Data(InfoData::Vxlan(data))]),
    ];
    socket.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &emit(&request))?;
    mark(socket, spec.name, spec.alias, true)
}

/// Frames to `mac` go to the host `to`: for the VXLAN link, and for its bridge. In place of another host.
pub fn forward(socket: &mut Netlink, link: &IfName, mac: Mac, to: IpAddr) -> Result<(), KernelError> {
    let index = find(socket, link.as_str())?.index;
    let own = entry(index, mac, Some(to), NeighbourFlags::Own);
    socket.request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &emit(&own))?;
    pin(socket, index, mac)
}

/// Undoes [`forward`], unless the MAC has gone to another host since.
pub fn stop_forward(socket: &mut Netlink, link: &IfName, mac: Mac, to: IpAddr) -> Result<(), KernelError> {
    let index = find(socket, link.as_str())?.index;
    gone_is_fine(socket.request(RTM_DELNEIGH, 0, &emit(&entry(index, mac, Some(to), NeighbourFlags::Own))))?;
    gone_is_fine(socket.request(RTM_DELNEIGH, 0, &emit(&entry(index, mac, None, NeighbourFlags::Controller))))
}

/// Broadcast and multicast go to the host `to`, too.
pub fn flood(socket: &mut Netlink, link: &IfName, to: IpAddr) -> Result<(), KernelError> {
    let index = find(socket, link.as_str())?.index;
    let request = entry(index, ANY, Some(to), NeighbourFlags::Own);
    match socket.request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND, &emit(&request)) {
        Err(error) if error.errno() == Some(nix::errno::Errno::EEXIST) => Ok(()),
        other => other,
    }
}

/// Undoes [`flood`].
pub fn stop_flood(socket: &mut Netlink, link: &IfName, to: IpAddr) -> Result<(), KernelError> {
    let index = find(socket, link.as_str())?.index;
    gone_is_fine(socket.request(RTM_DELNEIGH, 0, &emit(&entry(index, ANY, Some(to), NeighbourFlags::Own))))
}

/// The link answers for `address` with `mac`.
pub fn neighbour(socket: &mut Netlink, link: &IfName, address: IpAddr, mac: Mac) -> Result<(), KernelError> {
    let index = find(socket, link.as_str())?.index;
    let request = known(index, address, Some(mac));
    socket.request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &emit(&request))
}

/// Undoes [`neighbour`].
pub fn stop_neighbour(socket: &mut Netlink, link: &IfName, address: IpAddr) -> Result<(), KernelError> {
    let index = find(socket, link.as_str())?.index;
    gone_is_fine(socket.request(RTM_DELNEIGH, 0, &emit(&known(index, address, None))))
}

fn known(index: u32, address: IpAddr, mac: Option<Mac>) -> NeighbourMessage {
    let mut request = NeighbourMessage::default();
    request.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    request.header.ifindex = index;
    request.header.state = NeighbourState::Permanent;
    request.attributes.push(destination(address));
    request.attributes.extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.0.to_vec())));
    request
}
