//! Sockets that hear everything that crosses a link (packet(7)).

use super::inside;
use crate::kernel::KernelError;
use crate::kernel::link;
use crate::kernel::netlink::Netlink;
use crate::kernel::packet;
use nix::sys::socket::{setsockopt, sockopt};
use std::os::fd::{BorrowedFd, OwnedFd};

/// What a socket holds of packets that nobody has read yet, in bytes.
const ROOM: usize = 16 << 20;

/// A socket that hears a link of a container's network namespace, or of the calling thread's, both ways, with the
/// link-layer header and the time of each packet. As long as it is open the link takes all frames
/// (`PACKET_MR_PROMISC`): a bridge hands on to its own host only what is for the host.
pub fn tap(netns: Option<BorrowedFd<'_>>, name: &str) -> Result<OwnedFd, KernelError> {
    inside(netns, || {
        let index = link::find(&mut Netlink::route()?, name)?.index as i32;
        let fd = packet::socket(libc::SOCK_RAW)?;
        setsockopt(&fd, sockopt::ReceiveTimestampns, &true).map_err(KernelError::call("have packets timed"))?;
        // Without CAP_NET_ADMIN in the first user namespace the plain size stays.
        let _ = setsockopt(&fd, sockopt::RcvBufForce, &ROOM);
        packet::hear(&fd, index, libc::PACKET_MR_PROMISC, "hear all frames of a link")?;
        packet::listen(&fd, index, libc::ETH_P_ALL as u16)?;
        Ok(fd)
    })
}
