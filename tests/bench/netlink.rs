//! The two network steps of the floor, by hand: a veth pair in one netlink message, an address and a route by ioctl.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const IFLA_ADDRESS_FAMILY: u8 = 0;
const VETH_INFO_PEER: u16 = 1;

fn check(ret: i64) -> io::Result<i64> {
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(ret) }
}

/// A routing socket of this network namespace.
pub fn open() -> io::Result<OwnedFd> {
    // SAFETY: plain integers; the new descriptor is ours alone.
    unsafe {
        let fd =
            check(libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE).into())?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// struct ifinfomsg (rtnetlink(7)).
fn info(flags: u32) -> Vec<u8> {
    let mut bytes = vec![IFLA_ADDRESS_FAMILY, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes
}

/// One RTM_NEWLINK: this end on the bridge and up, the other one, `eth0`, in the namespace of `pid`.
pub fn veth(socket: &OwnedFd, name: &str, bridge: u32, pid: i32) -> io::Result<()> {
    let mut peer = info(0);
    attribute(&mut peer, libc::IFLA_IFNAME, b"eth0\0");
    attribute(&mut peer, libc::IFLA_NET_NS_PID, &pid.to_ne_bytes());
    let mut data = Vec::new();
    attribute(&mut data, VETH_INFO_PEER, &peer);
    let mut kind = Vec::new();
    attribute(&mut kind, libc::IFLA_INFO_KIND, b"veth");
    attribute(&mut kind, libc::IFLA_INFO_DATA, &data);
    let mut body = info(libc::IFF_UP as u32);
    attribute(&mut body, libc::IFLA_IFNAME, format!("{name}\0").as_bytes());
    attribute(&mut body, libc::IFLA_MASTER, &bridge.to_ne_bytes());
    attribute(&mut body, libc::IFLA_LINKINFO, &kind);
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let mut message = (body.len() as u32 + 16).to_ne_bytes().to_vec();
    message.extend_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend_from_slice(&body);
    let mut answer = [0u8; 4096];
    // SAFETY: pointers and lengths describe buffers that live during the calls.
    unsafe {
        check(libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) as i64)?;
        check(libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) as i64)?;
    }
    match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

/// struct ifreq with an address or flags in its union (netdevice(7)).
#[repr(C)]
struct Request {
    name: [u8; 16],
    value: [u8; 24],
}

fn request(name: &str, value: &[u8]) -> Request {
    let mut all = Request { name: [0; 16], value: [0; 24] };
    all.name[..name.len()].copy_from_slice(name.as_bytes());
    all.value[..value.len()].copy_from_slice(value);
    all
}

fn address(bytes: [u8; 4]) -> [u8; 16] {
    let mut all = [0; 16];
    all[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    all[4..8].copy_from_slice(&bytes);
    all
}

/// In the container: loopback up, an address on `eth0`, up, a default route.
pub fn configure() -> io::Result<()> {
    // SAFETY: plain integers; the socket is closed by the process's end.
    let socket = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) }.into())? as i32;
    let up = (libc::IFF_UP as u16).to_ne_bytes();
    let steps: [(libc::Ioctl, Request); 4] = [
        (libc::SIOCSIFFLAGS, request("lo", &up)),
        (libc::SIOCSIFADDR, request("eth0", &address([10, 255, 0, 2]))),
        (libc::SIOCSIFNETMASK, request("eth0", &address([255, 255, 255, 0]))),
        (libc::SIOCSIFFLAGS, request("eth0", &up)),
    ];
    for (number, request) in &steps {
        // SAFETY: each request reads one ifreq of 40 bytes.
        check(unsafe { libc::ioctl(socket, *number, request) }.into())?;
    }
    // SAFETY: all zero is a valid rtentry.
    let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
    let fill = |target: &mut libc::sockaddr, bytes| {
        // SAFETY: a sockaddr has 16 bytes without padding, as the array has.
        *target = unsafe { std::mem::transmute::<[u8; 16], libc::sockaddr>(address(bytes)) };
    };
    fill(&mut route.rt_dst, [0; 4]);
    fill(&mut route.rt_genmask, [0; 4]);
    fill(&mut route.rt_gateway, [10, 255, 0, 1]);
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    // SAFETY: SIOCADDRT reads one rtentry.
    check(unsafe { libc::ioctl(socket, libc::SIOCADDRT, &raw const route) }.into()).map(drop)
}
