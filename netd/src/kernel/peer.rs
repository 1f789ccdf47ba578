//! Ports of the host that netd keeps bound while they are published, so that nobody else takes them.

use super::KernelError;
use netd_api::Proto;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, bind, listen, setsockopt,
    socket, sockopt,
};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

/// Connections that wait for a relay.
const BACKLOG: i32 = 128;

/// A socket that keeps a port. Packets to it are translated before they would reach it, or a relay reads it.
pub type Held = OwnedFd;

/// Binds `address:port`; a TCP socket listens, so that it shows in listings. Nothing for SCTP, which is not held.
/// `EADDRINUSE` when another program has the port.
pub fn hold_port(proto: Proto, address: IpAddr, port: u16) -> Result<Option<Held>, KernelError> {
    let (kind, protocol) = match proto {
        Proto::Tcp => (SockType::Stream, SockProtocol::Tcp),
        Proto::Udp => (SockType::Datagram, SockProtocol::Udp),
        Proto::Sctp => return Ok(None),
    };
    let hold = || -> nix::Result<OwnedFd> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, protocol)?;
        if proto == Proto::Tcp {
            // Connections that linger in TIME_WAIT are not in the way; a listener is (socket(7)).
            setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        }
        match address {
            IpAddr::V4(ip) => bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(ip, port)))?,
            IpAddr::V6(ip) => {
                setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
                bind(fd.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(ip, port, 0, 0)))?;
            }
        }
        if proto == Proto::Tcp {
            listen(&fd, Backlog::new(BACKLOG)?)?;
        }
        Ok(fd)
    };
    hold().map(Some).map_err(KernelError::call(format!("bind {proto} `{}`", SocketAddr::new(address, port))))
}
