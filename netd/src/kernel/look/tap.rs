//! Sockets that hear everything that crosses a link (packet(7)).

use super::inside;
use crate::kernel::KernelError;
use crate::kernel::link;
use crate::kernel::netlink::Netlink;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What a socket holds of packets that nobody has read yet, in bytes.
const ROOM: usize = 16 << 20;

/// A socket that hears a link of a container's network namespace, or of the calling thread's, both ways, with the
/// link-layer header and the time of each packet. As long as it is open the link takes all frames
/// (`PACKET_MR_PROMISC`): a bridge hands on to its own host only what is for the host.
pub fn tap(netns: Option<BorrowedFd<'_>>, name: &str) -> Result<OwnedFd, KernelError> {
    inside(netns, || {
        let index = link::find(&mut Netlink::route()?, name)?.index as i32;
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: makes a descriptor. Protocol 0: nothing is received before the link is named.
        let fd = Errno::result(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })
            .map_err(KernelError::call("open a packet socket"))?;
        // SAFETY: fresh and ours alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        setsockopt(&fd, sockopt::ReceiveTimestampns, &true).map_err(KernelError::call("have packets timed"))?;
        // Without CAP_NET_ADMIN in the first user namespace the plain size stays.
        let _ = setsockopt(&fd, sockopt::RcvBufForce, &ROOM);
        hear_all(&fd, index)?;
        listen(&fd, index)?;
        Ok(fd)
    })
}

fn listen(fd: &OwnedFd, index: i32) -> Result<(), KernelError> {
    let at = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: a sockaddr_ll of its own length.
    let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const at).cast(), size_of_val(&at) as libc::socklen_t) };
    Errno::result(bound).map(drop).map_err(KernelError::call("listen on a link"))
}

fn hear_all(fd: &OwnedFd, index: i32) -> Result<(), KernelError> {
    let all = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    // SAFETY: a packet_mreq of its own length. It ends with the socket.
    let set = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const all).cast(),
            size_of_val(&all) as libc::socklen_t,
        )
    };
    Errno::result(set).map(drop).map_err(KernelError::call("hear all frames of a link"))
}
