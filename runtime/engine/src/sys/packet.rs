//! What the kernel counts of a packet socket.

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How many packets a packet socket had no room for, since it was last asked (packet(7), `PACKET_STATISTICS`).
pub fn lost(socket: BorrowedFd) -> Result<u64, Errno> {
    let mut counted = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = size_of_val(&counted) as libc::socklen_t;
    // SAFETY: a tpacket_stats of its own length, which the kernel fills.
    let asked = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut counted).cast(),
            &raw mut length,
        )
    };
    check(asked.into()).map(|_| counted.tp_drops.into())
}
