//! Who listens on which port of the host: one sock_diag(7) dump per protocol and family.

use super::KernelError;
use super::netlink::Netlink;
use netd_api::Proto;
use netd_core::ports::Busy;
use nix::sys::socket::SockProtocol;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `TCP_LISTEN` and `TCP_CLOSE` (a UDP socket that is bound and not connected) as bits of `idiag_states`.
const TCP_STATES: u32 = 1 << 10;
const UDP_STATES: u32 = u32::MAX;
/// Where `inet_diag_msg` keeps family, source port and source address.
const PORT_AT: usize = 4;
const ADDRESS_AT: usize = 8;

/// All ports of the host's namespace that a program is bound to and waits on.
pub fn busy_ports() -> Result<Vec<Busy>, KernelError> {
    let mut socket = Netlink::open(SockProtocol::NetlinkSockDiag, 0)?;
    let mut all = Vec::new();
    for (proto, number, states) in
        [(Proto::Tcp, libc::IPPROTO_TCP, TCP_STATES), (Proto::Udp, libc::IPPROTO_UDP, UDP_STATES)]
    {
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut request = vec![family as u8, number as u8, 0, 0];
            request.extend_from_slice(&states.to_ne_bytes());
            request.resize(request.len() + 48, 0);
            let found = socket.dump(SOCK_DIAG_BY_FAMILY, &request, |_, body| parse(proto, body));
            match found {
                Ok(mut found) => all.append(&mut found),
                // No diag module for this protocol: the bound sockets still find conflicts.
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(all)
}

fn parse(proto: Proto, body: &[u8]) -> Option<Busy> {
    let port = u16::from_be_bytes([*body.get(PORT_AT)?, *body.get(PORT_AT + 1)?]);
    let raw: [u8; 16] = body.get(ADDRESS_AT..ADDRESS_AT + 16)?.try_into().ok()?;
    let address = match i32::from(*body.first()?) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::new(raw[0], raw[1], raw[2], raw[3])),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::from(raw)),
        _ => return None,
    };
    (port > 0).then_some(Busy { proto, address, port })
}
