//! Packets of ours: a connection that is closed at once, a datagram without content, an echo request. Every wait has a
//! limit.

use super::inside;
use crate::kernel::KernelError;
use crate::kernel::echo::{is_reply, message};
use netd_api::Proto;
use netd_core::seen::{FullSizeSeen, ProbeOutcome, ProbeSeen};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, connect, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// `IP_PMTUDISC_PROBE`: never cut into pieces, whatever was learned about the path.
const WHOLE: libc::c_int = 3;
/// Of an ICMP echo request, and of the IP headers before it (RFC 792, RFC 791, RFC 8200).
const ECHO_HEADER: u32 = 8;
const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    pub to: IpAddr,
    /// Absent: an echo request.
    pub port: Option<u16>,
    pub proto: Proto,
    pub limit: Duration,
}

/// Sends a probe from a container's network namespace, or from the calling thread's, and waits.
pub fn probe(netns: Option<BorrowedFd<'_>>, probe: Probe) -> Result<ProbeSeen, KernelError> {
    inside(netns, || {
        let begun = Instant::now();
        let outcome = match (probe.port, probe.proto) {
            (Some(port), Proto::Tcp) => tcp(SocketAddr::new(probe.to, port), probe.limit),
            (Some(port), Proto::Udp) => udp(SocketAddr::new(probe.to, port), probe.limit),
            _ => echo(probe.to, None, probe.limit)?.0,
        };
        Ok(ProbeSeen { outcome, waited: begun.elapsed().as_millis() as u64 })
    })
}

fn tcp(to: SocketAddr, limit: Duration) -> ProbeOutcome {
    match TcpStream::connect_timeout(&to, limit) {
        Ok(_) => ProbeOutcome::Answered,
        Err(error) => failed(&error),
    }
}

fn udp(to: SocketAddr, limit: Duration) -> ProbeOutcome {
    let any: SocketAddr =
        if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let send = || {
        let socket = UdpSocket::bind(any)?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(limit))?;
        socket.send(&[])?;
        socket.recv(&mut [0; 16])
    };
    match send() {
        Ok(_) => ProbeOutcome::Answered,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> ProbeOutcome {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => ProbeOutcome::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => ProbeOutcome::Silent,
        _ => ProbeOutcome::Unreachable(rcr_base::io_text(error)),
    }
}

/// A question to a server by UDP, from a container's network namespace or the calling thread's. Nothing: no answer, or
/// one from nowhere.
pub fn ask_by_udp(
    netns: Option<BorrowedFd<'_>>,
    server: SocketAddr,
    question: &[u8],
    limit: Duration,
) -> Result<Option<Vec<u8>>, KernelError> {
    inside(netns, || {
        let any: SocketAddr =
            if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
        let ask = || {
            let socket = UdpSocket::bind(any)?;
            socket.connect(server)?;
            socket.set_read_timeout(Some(limit))?;
            socket.send(question)?;
            let mut answer = vec![0; 4096];
            let got = socket.recv(&mut answer)?;
            answer.truncate(got);
            Ok::<_, Error>(answer)
        };
        Ok(ask().ok())
    })
}

/// Sends a small echo request, and one of `size` bytes with its headers; so often, where nothing comes back: a packet
/// may be lost on a long way.
pub fn full_size(
    netns: Option<BorrowedFd<'_>>,
    to: IpAddr,
    size: u32,
    limit: Duration,
    tries: u8,
) -> Result<FullSizeSeen, KernelError> {
    inside(netns, || {
        let headers = ECHO_HEADER + if to.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
        let mut seen = FullSizeSeen { size, small_answered: false, answered: false, told: None };
        seen.small_answered = echo(to, None, limit)?.0 == ProbeOutcome::Answered;
        for _ in 0..tries {
            if !seen.small_answered || size <= headers || seen.answered || seen.told.is_some() {
                break;
            }
            let (outcome, told) = echo(to, Some(size - headers), limit)?;
            (seen.answered, seen.told) = (outcome == ProbeOutcome::Answered, told);
        }
        Ok(seen)
    })
}

/// An echo request with so much content; and what somebody on the way said that a packet may have, if it was too large.
fn echo(to: IpAddr, content: Option<u32>, limit: Duration) -> Result<(ProbeOutcome, Option<u32>), KernelError> {
    let (family, protocol, request, reply) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8, 0),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128, 129),
    };
    let fd = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
        .map_err(KernelError::call("open a socket for pings"))?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(20)).map_err(KernelError::call("set a limit"))?;
    whole_packets(&fd, to);
    let connected = match to {
        IpAddr::V4(ip) => connect(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(ip, 0))),
        IpAddr::V6(ip) => connect(fd.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(ip, 0, 0, 0))),
    };
    if let Err(errno) = connected {
        return Ok((unreachable(errno), None));
    }
    // Of this thread alone: others may ping, too.
    let mark = (nix::unistd::gettid().as_raw() as u16) ^ 0x7263;
    let mut packet = message(request, mark, 1).to_vec();
    packet.resize(packet.len() + content.unwrap_or(0) as usize, 0);
    let until = Instant::now() + limit;
    match send(fd.as_raw_fd(), &packet, MsgFlags::MSG_NOSIGNAL) {
        Err(Errno::EMSGSIZE) => return Ok((ProbeOutcome::Silent, path_mtu(&fd, to))),
        Err(errno) => return Ok((unreachable(errno), None)),
        Ok(_) => {}
    }
    let mut buffer = vec![0; 128];
    while Instant::now() < until {
        match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(got) if is_reply(&buffer[..got], to.is_ipv4(), reply, mark) => {
                return Ok((ProbeOutcome::Answered, None));
            }
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(Errno::EMSGSIZE) => return Ok((ProbeOutcome::Silent, path_mtu(&fd, to))),
            Err(errno) => return Ok((unreachable(errno), None)),
        }
    }
    Ok((ProbeOutcome::Silent, None))
}

fn unreachable(errno: Errno) -> ProbeOutcome {
    match errno {
        Errno::ECONNREFUSED => ProbeOutcome::Refused,
        other => ProbeOutcome::Unreachable(rcr_base::errno_text(other as i32)),
    }
}

fn names(to: IpAddr) -> (libc::c_int, libc::c_int, libc::c_int) {
    match to {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_MTU),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_MTU),
    }
}

/// Without it packets may be cut on the way, and arrive whatever their size.
fn whole_packets(fd: &OwnedFd, to: IpAddr) {
    let (level, option, _) = names(to);
    let whole = WHOLE;
    // SAFETY: the descriptor is open, and the value is an int of the length that is given.
    let _ = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw const whole).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
}

/// What the kernel has learned about the path, in bytes.
fn path_mtu(fd: &OwnedFd, to: IpAddr) -> Option<u32> {
    let (level, _, option) = names(to);
    let (mut value, mut len): (libc::c_int, _) = (0, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: an int and its length, both ours.
    let got = unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut len) };
    u32::try_from(value).ok().filter(|_| got == 0)
}
