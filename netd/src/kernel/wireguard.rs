//! WireGuard links and their peers, by generic netlink (include/uapi/linux/wireguard.h, genetlink.h).

use super::KernelError;
use super::link::{RTM_DELLINK, RTM_NEWLINK, find, set_mtu};
use super::netlink::{Attributes, NLM_F_CREATE, NLM_F_EXCL, Netlink, attributes, emit};
use netd_api::{IfName, PublicKey};
use netd_core::keys::Secret;
use netd_core::marks::{UNFINISHED, WIREGUARD};
use netd_core::plan::LinkSeen;
use netlink_packet_core::Emitable;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute, WireguardPeer,
    WireguardPeerAttribute, WireguardPeerFlags,
};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_FAMILY_ID`, `CTRL_ATTR_FAMILY_NAME`.
const CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// `WG_CMD_SET_DEVICE`, `WG_GENL_VERSION`.
const SET_DEVICE: u8 = 1;
/// `WG_CMD_GET_DEVICE`, and of its answer `WGDEVICE_A_IFNAME`, `WGDEVICE_A_PEERS`, `WGPEER_A_PUBLIC_KEY`,
/// `WGPEER_A_LAST_HANDSHAKE_TIME` (a `__kernel_timespec`).
const GET_DEVICE: u8 = 0;
const DEVICE_NAME: u16 = 2;
const DEVICE_PEERS: u16 = 8;
const PEER_KEY: u16 = 1;
const PEER_HANDSHAKE: u16 = 6;
const VERSION: u8 = 1;

/// Seconds between signs of life: only the first one is wanted.
const KEEPALIVE: u16 = 25;

/// The socket to WireGuard.
pub struct WireGuard {
    socket: Netlink,
    /// The number that the kernel has given it.
    family: u16,
}

impl WireGuard {
    /// Asks the kernel for it, which loads its module where there are modules.
    pub fn open() -> Result<Self, KernelError> {
        let mut socket = Netlink::open(SockProtocol::NetlinkGeneric, 0)?;
        let mut request = Attributes(vec![GET_FAMILY, VERSION, 0, 0]);
        request.text(FAMILY_NAME, "wireguard");
        let mut family = None;
        let answer = socket.get(CONTROL, &request.0, |_, body| {
            let id = attributes(body.get(4..).unwrap_or_default()).find(|(kind, _)| *kind == FAMILY_ID);
            family = id.and_then(|(_, value)| value.try_into().ok()).map(u16::from_ne_bytes);
        });
        match (answer, family) {
            (Ok(()), Some(family)) => Ok(Self { socket, family }),
            (Err(error), _) if !error.is_gone() => Err(error),
            _ => Err(KernelError::NoWireGuard),
        }
    }

    /// Gives a link its private key and its port.
    pub fn set_key(&mut self, link: &IfName, secret: &Secret, port: u16) -> Result<(), KernelError> {
        self.set(link, vec![WireguardAttribute::PrivateKey(*secret.bytes()), WireguardAttribute::ListenPort(port)])
    }

    /// Adds a peer, or changes the one that has the key: it takes and sends this address alone. It is greeted at once: it may still have a session
    /// with a link of ours that is gone, and would send to that one until it had waited 15 s for an answer.
    pub fn set_peer(
        &mut self,
        link: &IfName,
        key: &PublicKey,
        endpoint: SocketAddr,
        address: Ipv6Addr,
    ) -> Result<(), KernelError> {
        let allowed = WireguardAllowedIp(vec![
            WireguardAllowedIpAttr::Family(WireguardAddressFamily::Ipv6),
            WireguardAllowedIpAttr::IpAddr(IpAddr::V6(address)),
            WireguardAllowedIpAttr::Cidr(128),
        ]);
        let peer = WireguardPeer(vec![
            WireguardPeerAttribute::PublicKey(key.0),
            WireguardPeerAttribute::Flags(WireguardPeerFlags::ReplaceAllowedIps),
            WireguardPeerAttribute::Endpoint(endpoint),
            // Switched on, it sends one (drivers/net/wireguard/netlink.c, set_peer), and with it asks for a session.
            WireguardPeerAttribute::PersistentKeepalive(KEEPALIVE),
            WireguardPeerAttribute::AllowedIps(vec![allowed]),
        ]);
        self.set(link, vec![WireguardAttribute::Peers(vec![peer])])?;
        let quiet = WireguardPeer(vec![
            WireguardPeerAttribute::PublicKey(key.0),
            WireguardPeerAttribute::Flags(WireguardPeerFlags::UpdateOnly),
            WireguardPeerAttribute::PersistentKeepalive(0),
        ]);
        self.set(link, vec![WireguardAttribute::Peers(vec![quiet])])
    }

    /// Removes a peer; one that isn't there is removed.
    pub fn remove_peer(&mut self, link: &IfName, key: &PublicKey) -> Result<(), KernelError> {
        let peer = WireguardPeer(vec![
            WireguardPeerAttribute::PublicKey(key.0),
            WireguardPeerAttribute::Flags(WireguardPeerFlags::RemoveMe),
        ]);
        self.set(link, vec![WireguardAttribute::Peers(vec![peer])])
    }

    /// When each peer of a link has last agreed on a session, in seconds since the epoch; 0: never.
    pub fn handshakes(&mut self, link: &IfName) -> Result<Vec<(PublicKey, i64)>, KernelError> {
        let mut request = Attributes(vec![GET_DEVICE, VERSION, 0, 0]);
        request.text(DEVICE_NAME, link.as_str());
        let parts = self.socket.dump(self.family, &request.0, |_, body| Some(peers(body)))?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn set(&mut self, link: &IfName, rest: Vec<WireguardAttribute>) -> Result<(), KernelError> {
        let mut attributes = vec![WireguardAttribute::IfName(link.to_string())];
        attributes.extend(rest);
        let mut payload = vec![SET_DEVICE, VERSION, 0, 0];
        let head = payload.len();
        payload.resize(head + attributes.as_slice().buffer_len(), 0);
        attributes.as_slice().emit(&mut payload[head..]);
        let done = self.socket.request(self.family, 0, &payload);
        // A private key was in there.
        payload.fill(0);
        done
    }
}

fn peers(body: &[u8]) -> Vec<(PublicKey, i64)> {
    let lists = attributes(body.get(4..).unwrap_or_default()).filter(|(kind, _)| *kind == DEVICE_PEERS);
    let one = |peer: &[u8]| {
        let of = |wanted: u16| attributes(peer).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        let key = <[u8; 32]>::try_from(of(PEER_KEY)?).ok()?;
        let seconds = of(PEER_HANDSHAKE).and_then(|time| time.first_chunk().copied()).map_or(0, i64::from_ne_bytes);
        Some((PublicKey(key), seconds))
    };
    lists.flat_map(|(_, list)| attributes(list)).filter_map(|(_, peer)| one(peer)).collect()
}

/// Creates a WireGuard link, down, or brings one of ours to this MTU.
pub fn add(socket: &mut Netlink, name: &IfName, mtu: u32) -> Result<(), KernelError> {
    let mut request = LinkMessage::default();
    request.attributes = vec![
        LinkAttribute::IfName(name.to_string()),
        LinkAttribute::Mtu(mtu),
        LinkAttribute::Group(UNFINISHED),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Wireguard)]),
    ];
    match socket.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &emit(&request)) {
        Ok(()) => {}
        Err(error) if error.errno() == Some(Errno::EEXIST) => {
            let seen = find(socket, name.as_str())?;
            if !is_ours(&seen) {
                return Err(KernelError::NotOurs(name.to_string()));
            }
            if seen.mtu != mtu {
                set_mtu(socket, seen.index, mtu)?;
            }
        }
        Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => return Err(KernelError::NoWireGuard),
        Err(error) => return Err(error),
    }
    // It has no MAC that would tell whose it is before it has its alias, which the kernel takes only in a message of its own: its group does.
    let mut finish = LinkMessage::default();
    let (name, alias) = (LinkAttribute::IfName(name.to_string()), LinkAttribute::IfAlias(WIREGUARD.to_owned()));
    finish.attributes = vec![name, alias, LinkAttribute::Group(0)];
    socket.request(RTM_NEWLINK, 0, &emit(&finish))
}

/// Deletes a link, if it is one that [`add`] made.
pub fn delete(socket: &mut Netlink, name: &IfName) -> Result<(), KernelError> {
    let seen = match find(socket, name.as_str()) {
        Ok(seen) => seen,
        Err(error) if error.is_gone() => return Ok(()),
        Err(error) => return Err(error),
    };
    if !is_ours(&seen) {
        return Ok(());
    }
    let mut request = LinkMessage::default();
    request.header.index = seen.index;
    match socket.request(RTM_DELLINK, 0, &emit(&request)) {
        Err(error) if error.is_gone() => Ok(()),
        other => other,
    }
}

fn is_ours(seen: &LinkSeen) -> bool {
    match &seen.alias {
        Some(alias) => alias == WIREGUARD,
        None => seen.group == UNFINISHED,
    }
}
