//! Addresses of links.

use crate::kernel::netlink::Netlink;
use crate::kernel::{KernelError, addr, link};
use netd_core::plan::{AddressOp, Outcome};
use nix::errno::Errno;

/// Adds it.
pub fn ensure(socket: &mut Netlink, op: &AddressOp) -> Result<Outcome, KernelError> {
    let AddressOp::Add { link, address } = op;
    let index = link::find(socket, link.as_str())?.index;
    match addr::add(socket, index, *address) {
        Err(error) if error.errno() == Some(Errno::EEXIST) => Ok(Outcome::AlreadyThere),
        other => other.map(|()| Outcome::Created),
    }
}

/// Deletes it; one that isn't there is deleted.
pub fn undo(socket: &mut Netlink, op: &AddressOp) -> Result<(), KernelError> {
    let AddressOp::Add { link, address } = op;
    let index = link::find(socket, link.as_str())?.index;
    match addr::delete(socket, index, *address) {
        Err(error) if error.errno() == Some(Errno::EADDRNOTAVAIL) => Ok(()),
        other => other,
    }
}

/// See the room's head.
pub fn by_hand(op: &AddressOp, ip: &str) -> String {
    let AddressOp::Add { link, address } = op;
    format!("{ip} addr del {address} dev {link}")
}
