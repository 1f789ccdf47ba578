//! Questions and announcements on a LAN. Nothing is undone: what was said was said.

use crate::kernel::netlink::Netlink;
use crate::kernel::{KernelError, probe};
use netd_core::plan::{Effect, LanOp, Outcome};

/// Asks, or announces.
pub fn ensure(socket: &mut Netlink, op: &LanOp) -> Result<Outcome, KernelError> {
    let done = match op {
        LanOp::Probe { link, addresses } => probe::probe(socket, link.as_str(), addresses),
        LanOp::Announce { link, addresses } => probe::announce(socket, link.as_str(), addresses),
    };
    done.map(|()| Outcome::Created)
}

/// See the room's head.
pub fn by_hand(op: &LanOp, ip: &str) -> String {
    let link = op.link().map(ToString::to_string).unwrap_or_default();
    format!("{ip} link show {link}")
}
