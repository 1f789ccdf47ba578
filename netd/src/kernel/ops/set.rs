//! What is set on a link that stands.

use crate::kernel::netlink::Netlink;
use crate::kernel::{KernelError, link, vxlan};
use netd_api::IfName;
use netd_core::plan::{Outcome, SetOp};
use nix::errno::Errno;

/// Sets it.
pub fn ensure(socket: &mut Netlink, op: &SetOp) -> Result<Outcome, KernelError> {
    let done = match op {
        SetOp::Up { link } => {
            let index = link::find(socket, link.as_str())?.index;
            link::set_up(socket, index).map_err(|error| port_taken(socket, link, error))
        }
        SetOp::Mtu { link, to, .. } => set_mtu(socket, link, *to),
    };
    done.map(|()| Outcome::Created)
}

/// A tunnel listens from when it is up: which port somebody else has.
fn port_taken(socket: &mut Netlink, link: &IfName, error: KernelError) -> KernelError {
    let in_use = error.errno() == Some(Errno::EADDRINUSE);
    match in_use.then(|| vxlan::port_of(socket, link.as_str())).flatten() {
        Some(port) => KernelError::Call { what: format!("listen on UDP port {port}"), errno: Errno::EADDRINUSE },
        None => error,
    }
}

fn set_mtu(socket: &mut Netlink, link: &IfName, mtu: u32) -> Result<(), KernelError> {
    let index = link::find(socket, link.as_str())?.index;
    link::set_mtu(socket, index, mtu)
}

/// Sets what was before. A link that is up goes as it is.
pub fn undo(socket: &mut Netlink, op: &SetOp) -> Result<(), KernelError> {
    match op {
        SetOp::Up { .. } => Ok(()),
        SetOp::Mtu { link, from, .. } => set_mtu(socket, link, *from),
    }
}

/// See the room's head.
pub fn by_hand(op: &SetOp, ip: &str) -> String {
    match op {
        SetOp::Up { link } => format!("{ip} link show {link}"),
        SetOp::Mtu { link, from, .. } => format!("{ip} link set {link} mtu {from}"),
    }
}
