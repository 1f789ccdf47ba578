//! Whether a host answers at all: an ICMP echo (RFC 792, RFC 4443), as ping(8) does it.

use super::KernelError;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, connect, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Requests before a host counts as silent, and how long each waits.
const TRIES: u16 = 3;
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks a host, in the calling thread's network namespace. Blocks for three seconds at most.
pub fn answers(address: IpAddr) -> Result<bool, KernelError> {
    let (family, protocol, request, reply) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8, 0),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128, 129),
    };
    let open = || -> Result<_, Errno> {
        let fd = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(100))?;
        // Nobody else's answers are heard.
        match address {
            IpAddr::V4(ip) => connect(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(ip, 0)))?,
            IpAddr::V6(ip) => connect(fd.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(ip, 0, 0, 0)))?,
        }
        Ok(fd)
    };
    let fd = match open() {
        Ok(fd) => fd,
        // There is no way there: nobody answers.
        Err(Errno::ENETUNREACH | Errno::EHOSTUNREACH) => return Ok(false),
        Err(errno) => return Err(KernelError::call("open a socket for pings")(errno)),
    };
    let mark = std::process::id() as u16;
    for number in 1..=TRIES {
        // While a cable is out, sending fails; the next try may not.
        let _ = send(fd.as_raw_fd(), &message(request, mark, number), MsgFlags::MSG_NOSIGNAL);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let mut buffer = [0; 256];
            let Ok(got) = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) else { continue };
            if is_reply(&buffer[..got], address.is_ipv4(), reply, mark) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Identifier and sequence number, and a checksum, which over IPv6 the kernel writes.
pub(super) fn message(kind: u8, mark: u16, number: u16) -> [u8; 8] {
    let ([a, b], [c, d]) = (mark.to_be_bytes(), number.to_be_bytes());
    let sum = u32::from(kind) * 256 + u32::from(mark) + u32::from(number);
    let [e, f] = (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes();
    [kind, 0, e, f, a, b, c, d]
}

/// A raw IPv4 socket shows the IP header, too (raw(7)).
pub(super) fn is_reply(packet: &[u8], v4: bool, kind: u8, mark: u16) -> bool {
    let head = if v4 { packet.first().map_or(0, |b| usize::from(b & 15) * 4) } else { 0 };
    let [a, b] = mark.to_be_bytes();
    packet.get(head) == Some(&kind) && packet.get(head + 4..head + 6) == Some(&[a, b])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_checksum_and_only_its_reply_is_one() {
        let request = message(8, 0x1234, 7);
        let sum: u32 = request.chunks(2).map(|pair| u32::from(pair[0]) * 256 + u32::from(pair[1])).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        let mut packet = vec![0x45; 20];
        packet.extend(message(0, 0x1234, 7));
        assert!(is_reply(&packet, true, 0, 0x1234));
        assert!(!is_reply(&packet, true, 0, 0x1235) && !is_reply(&packet[..20], true, 0, 0x1234));
        assert!(is_reply(&message(129, 1, 1), false, 129, 1) && !is_reply(&[], true, 0, 1));
    }

    #[test]
    fn this_host_answers_itself() {
        // Raw sockets are root's: elsewhere it says so.
        match answers("127.0.0.1".parse().unwrap()) {
            Ok(answered) => assert!(answered),
            Err(error) => assert_eq!(error.errno(), Some(Errno::EPERM)),
        }
    }
}
