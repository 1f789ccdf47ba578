//! Links: bridges and veth pairs (rtnetlink(7), include/uapi/linux/if_link.h).

use super::KernelError;
use super::netlink::{NLM_F_CREATE, NLM_F_EXCL, Netlink, emit};
use netd_api::{IfName, Mac};
use netd_core::plan::LinkSeen;
use netlink_packet_core::{DefaultNla, Parseable};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgePortState, In6AddrGenMode, InfoBridgePort, InfoData, InfoKind, InfoPortData,
    InfoPortKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkProtoInfoBridge,
};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
/// include/uapi/linux/if_link.h and if_bridge.h.
const IFLA_BRPORT_STATE: u16 = 1;
const IFLA_BRPORT_FLUSH: u16 = 24;
const BR_STATE_DISABLED: u8 = 0;

/// Every link of ours has an alias that starts so.
const MARK: &str = "rcr:";

/// Whether a link with this alias is one of ours.
pub fn bears_mark(alias: Option<&str>) -> bool {
    alias.is_some_and(|alias| alias.starts_with(MARK))
}

/// A link by name.
pub fn find(socket: &mut Netlink, name: &str) -> Result<LinkSeen, KernelError> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::IfName(name.to_owned()));
    let mut seen = None;
    let answer = socket.get(RTM_GETLINK, &emit(&request), |_, body| seen = parse(body));
    match (answer, seen) {
        (Ok(()), Some((_, link))) => Ok(link),
        (Err(error), _) if !error.is_gone() => Err(error),
        _ => Err(KernelError::NoLink(name.to_owned())),
    }
}

/// A link by its index, with its name. Absent where there is none.
pub fn by_index(socket: &mut Netlink, index: u32) -> Result<Option<(String, LinkSeen)>, KernelError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    let mut seen = None;
    match socket.get(RTM_GETLINK, &emit(&request), |_, body| seen = parse(body)) {
        Err(error) if !error.is_gone() => Err(error),
        _ => Ok(seen),
    }
}

/// All links.
pub fn list(socket: &mut Netlink) -> Result<Vec<(IfName, LinkSeen)>, KernelError> {
    socket.dump(RTM_GETLINK, &emit(&LinkMessage::default()), |_, body| {
        let (name, link) = parse(body)?;
        Some((name.parse().ok()?, link))
    })
}

fn parse(body: &[u8]) -> Option<(String, LinkSeen)> {
    let message = LinkMessage::parse(body).ok()?;
    let mut link = LinkSeen { index: message.header.index, ..LinkSeen::default() };
    link.up = message.header.flags.contains(LinkFlags::Up);
    let mut name = None;
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(n) => name = Some(n),
            LinkAttribute::IfAlias(a) => link.alias = Some(a),
            LinkAttribute::Group(g) => link.group = g,
            LinkAttribute::Mtu(m) => link.mtu = m,
            LinkAttribute::Address(a) => link.mac = <[u8; 6]>::try_from(a).ok().map(Mac),
            LinkAttribute::Controller(c) => link.controller = Some(c),
            LinkAttribute::LinkInfo(all) => {
                let state = InfoBridgePort::State(BridgePortState::Forwarding);
                link.forwards = all.iter().any(
                    |one| matches!(one, LinkInfo::PortData(InfoPortData::BridgePort(port)) if port.contains(&state)),
                );
            }
            _ => {}
        }
    }
    Some((name?, link))
}

/// Creates a bridge, down. `EEXIST` when the name is taken.
pub fn add_bridge(socket: &mut Netlink, name: &IfName, mac: Mac, mtu: u32, alias: &str) -> Result<(), KernelError> {
    let mut request = LinkMessage::default();
    request.attributes = vec![
        LinkAttribute::IfName(name.to_string()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
        LinkAttribute::Address(mac.0.to_vec()),
        LinkAttribute::Mtu(mtu),
    ];
    socket.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &emit(&request))?;
    mark(socket, name, alias, false)
}

/// Gives a link its alias, which the kernel ignores in the message that creates it. Until then its MAC tells that it is ours.
pub(super) fn mark(socket: &mut Netlink, name: &IfName, alias: &str, port: bool) -> Result<(), KernelError> {
    let mut request = LinkMessage::default();
    request.attributes = vec![LinkAttribute::IfName(name.to_string()), LinkAttribute::IfAlias(alias.to_owned())];
    if port {
        // A port forwards frames; it needs no address of its own.
        let quiet = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        request.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![quiet])]));
        return match socket.request(RTM_NEWLINK, 0, &emit(&request)) {
            // Without IPv6 in the kernel there is nothing to keep quiet.
            Err(error) if error.errno() == Some(Errno::EAFNOSUPPORT) => {
                request.attributes.pop();
                socket.request(RTM_NEWLINK, 0, &emit(&request))
            }
            other => other,
        };
    }
    socket.request(RTM_NEWLINK, 0, &emit(&request))
}

/// What a veth pair is made of.
pub struct VethSpec<'a> {
    pub host: &'a IfName,
    pub host_mac: Mac,
    pub peer: &'a IfName,
    pub mac: Mac,
    pub mtu: u32,
    pub bridge: u32,
    pub alias: &'a str,
}

/// Creates a veth pair in one message: the host end on the bridge, the peer in `netns`. Both are down: the peer can't be
/// set up here, its other end does not exist yet (`ENOTCONN` from drivers/net/veth.c).
pub fn add_veth(socket: &mut Netlink, veth: &VethSpec<'_>, netns: BorrowedFd<'_>) -> Result<(), KernelError> {
    let mut peer = LinkMessage::default();
    peer.attributes = vec![
        LinkAttribute::IfName(veth.peer.to_string()),
        LinkAttribute::Address(veth.mac.0.to_vec()),
        LinkAttribute::Mtu(veth.mtu),
        LinkAttribute::NetNsFd(netns.as_raw_fd()),
    ];
    let mut request = LinkMessage::default();
    request.attributes = vec![
        LinkAttribute::IfName(veth.host.to_string()),
        LinkAttribute::Address(veth.host_mac.0.to_vec()),
        LinkAttribute::Mtu(veth.mtu),
        LinkAttribute::Controller(veth.bridge),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ];
    socket.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &emit(&request))?;
    mark(socket, veth.host, veth.alias, true)
}

/// Sets a link up.
pub fn set_up(socket: &mut Netlink, index: u32) -> Result<(), KernelError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    request.header.flags = LinkFlags::Up;
    request.header.change_mask = LinkFlags::Up;
    socket.request(RTM_NEWLINK, 0, &emit(&request))
}

/// Changes a link's MTU.
pub fn set_mtu(socket: &mut Netlink, index: u32, mtu: u32) -> Result<(), KernelError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    request.attributes = vec![LinkAttribute::Mtu(mtu)];
    socket.request(RTM_NEWLINK, 0, &emit(&request))
}

/// Puts a link onto a bridge.
pub fn join(socket: &mut Netlink, index: u32, bridge: u32) -> Result<(), KernelError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    request.attributes = vec![LinkAttribute::Controller(bridge)];
    socket.request(RTM_NEWLINK, 0, &emit(&request))
}

/// Sets the flags of a bridge port.
pub fn set_port(socket: &mut Netlink, index: u32, isolated: bool, hairpin: bool) -> Result<(), KernelError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    let flags =
        InfoPortData::BridgePort(vec![InfoBridgePort::Isolated(isolated), InfoBridgePort::HairpinMode(hairpin)]);
    request.attributes =
        vec![LinkAttribute::LinkInfo(vec![LinkInfo::PortKind(InfoPortKind::Bridge), LinkInfo::PortData(flags)])];
    socket.request(RTM_NEWLINK, 0, &emit(&request))
}

/// Closes a bridge port of ours for good: nothing passes in or out, at once, where deleting the link would wait for readers
/// (`br_set_port_state`, net/bridge/br_stp_if.c). A port that is gone is closed. RTM_SETLINK to the bridge's own family: after
/// an RTM_NEWLINK the kernel looks at the port anew and opens it again.
pub fn close_port(socket: &mut Netlink, name: &str, alias: &str) -> Result<(), KernelError> {
    let link = match find(socket, name) {
        Ok(link) if link.alias.as_deref() == Some(alias) => link,
        Ok(_) => return Ok(()),
        Err(error) if error.is_gone() => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut request = LinkMessage::default();
    request.header.interface_family = AddressFamily::Bridge;
    request.header.index = link.index;
    let state = DefaultNla::new(IFLA_BRPORT_STATE, vec![BR_STATE_DISABLED]);
    // What the bridge has learned goes with it: a MAC that comes back is elsewhere.
    let flush = DefaultNla::new(IFLA_BRPORT_FLUSH, Vec::new());
    request.attributes =
        vec![LinkAttribute::ProtoInfoBridge([state, flush].into_iter().map(LinkProtoInfoBridge::Other).collect())];
    match socket.request(RTM_SETLINK, 0, &emit(&request)) {
        Err(error) if error.is_gone() => Ok(()),
        other => other,
    }
}

/// Whether a link is ours: by its alias, or by its MAC where a crash came before the alias was set.
pub fn is_ours(link: &LinkSeen, alias: &str, mac: Mac) -> bool {
    link.alias.as_deref() == Some(alias) || (link.alias.is_none() && link.mac == Some(mac))
}

/// Deletes a link, if there is one of that name and it carries our mark. Says whether it deleted one.
pub fn delete_marked(socket: &mut Netlink, name: &str, alias: &str, mac: Option<Mac>) -> Result<bool, KernelError> {
    let link = match find(socket, name) {
        Ok(link) => link,
        Err(error) if error.is_gone() => return Ok(false),
        Err(error) => return Err(error),
    };
    if !mac.map_or(link.alias.as_deref() == Some(alias), |mac| is_ours(&link, alias, mac)) {
        return Ok(false);
    }
    let mut request = LinkMessage::default();
    request.header.index = link.index;
    match socket.request(RTM_DELLINK, 0, &emit(&request)) {
        Err(error) if error.is_gone() => Ok(false),
        other => other.map(|()| true),
    }
}
