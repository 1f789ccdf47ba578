//! Packets of one protocol on one link, both ways (packet(7)), without the link-layer header.

use super::KernelError;
use netd_api::Mac;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// The longest packet that is looked at, in bytes.
const LONGEST: usize = 1500;
pub const ETH_P_IP: u16 = 0x0800;
pub const ETH_P_ARP: u16 = 0x0806;
pub const ETH_P_IPV6: u16 = 0x86dd;
pub const BROADCAST: Mac = Mac([0xff; 6]);

/// A socket that is bound to a link and a protocol.
pub struct Packets {
    fd: OwnedFd,
    index: i32,
    protocol: u16,
}

impl Packets {
    /// Opens one in the calling thread's network namespace. It hears all multicasts of the link.
    pub fn open(index: u32, protocol: u16) -> Result<Self, KernelError> {
        let index = index as i32;
        let fd = socket(libc::SOCK_DGRAM | libc::SOCK_NONBLOCK)?;
        listen(&fd, index, protocol)?;
        hear(&fd, index, libc::PACKET_MR_ALLMULTI, "listen to a link's multicasts")?;
        Ok(Self { fd, index, protocol })
    }

    /// Sends one packet.
    pub fn send(&self, to: Mac, packet: &[u8]) -> Result<(), KernelError> {
        let to = address_of(self.index, self.protocol, to);
        // SAFETY: both buffers are given with their own lengths.
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                libc::MSG_NOSIGNAL,
                (&raw const to).cast(),
                size_of_val(&to) as libc::socklen_t,
            )
        };
        match Errno::result(sent) {
            // A full queue, or a cable that is out: nobody hears us.
            Ok(_) | Err(Errno::ENOBUFS | Errno::ENETDOWN | Errno::EAGAIN) => Ok(()),
            Err(errno) => Err(KernelError::call("send a packet to the LAN")(errno)),
        }
    }

    /// The next packet that is there, with its sender's MAC.
    pub fn receive(&self) -> Option<(Mac, Vec<u8>)> {
        let mut packet = vec![0u8; LONGEST];
        let mut from = address_of(0, 0, Mac([0; 6]));
        let mut len = size_of_val(&from) as libc::socklen_t;
        // SAFETY: both buffers are given with their own lengths.
        let got = unsafe {
            libc::recvfrom(
                self.fd.as_raw_fd(),
                packet.as_mut_ptr().cast(),
                packet.len(),
                libc::MSG_DONTWAIT,
                (&raw mut from).cast(),
                &raw mut len,
            )
        };
        packet.truncate(usize::try_from(got).ok()?);
        let mac = Mac(<[u8; 6]>::try_from(&from.sll_addr[..6]).ok()?);
        Some((mac, packet))
    }
}

impl AsRawFd for Packets {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

/// A packet socket of a kind (`SOCK_RAW`, `SOCK_DGRAM`, and flags) that hears nothing yet.
pub fn socket(kind: i32) -> Result<OwnedFd, KernelError> {
    // SAFETY: makes a descriptor. Protocol 0: nothing is received before the link is named.
    let fd = Errno::result(unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC, 0) })
        .map_err(KernelError::call("open a packet socket"))?;
    // SAFETY: fresh and ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds it to a link and a protocol (`ETH_P_*`).
pub fn listen(fd: &OwnedFd, index: i32, protocol: u16) -> Result<(), KernelError> {
    let at = address_of(index, protocol, Mac([0; 6]));
    let len = size_of_val(&at) as libc::socklen_t;
    // SAFETY: a sockaddr_ll of its own length.
    let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const at).cast(), len) };
    Errno::result(bound).map(drop).map_err(KernelError::call("listen on a link"))
}

/// As long as the socket is open the link takes frames that are not for it (`PACKET_MR_*`).
pub fn hear(fd: &OwnedFd, index: i32, frames: i32, doing: &'static str) -> Result<(), KernelError> {
    let all =
        libc::packet_mreq { mr_ifindex: index, mr_type: frames as libc::c_ushort, mr_alen: 0, mr_address: [0; 8] };
    // SAFETY: a packet_mreq of its own length.
    let set = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const all).cast(),
            size_of_val(&all) as libc::socklen_t,
        )
    };
    Errno::result(set).map(drop).map_err(KernelError::call(doing))
}

/// Waits until one of two descriptors can be read, or the time is over. Which of them can.
pub fn wait(a: &impl AsRawFd, b: &impl AsRawFd, limit: Duration) -> [bool; 2] {
    let one = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut fds = [one(a.as_raw_fd()), one(b.as_raw_fd())];
    // Up, so that nobody spins through the last millisecond.
    let limit = limit.as_micros().div_ceil(1000).min(i32::MAX as u128) as libc::c_int;
    // SAFETY: two records of open descriptors, as the count says.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), 2, limit) };
    if ready <= 0 { [false; 2] } else { fds.map(|fd| fd.revents != 0) }
}

fn address_of(index: i32, protocol: u16, mac: Mac) -> libc::sockaddr_ll {
    let mut bytes = [0; 8];
    bytes[..6].copy_from_slice(&mac.0);
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: bytes,
    }
}
