//! WireGuard links and their peers.

use crate::kernel::hands::Kernel;
use crate::kernel::{KernelError, wireguard};
use netd_core::plan::{Outcome, WireGuardOp};

/// Makes it.
pub fn ensure(kernel: &mut Kernel, op: &WireGuardOp) -> Result<Outcome, KernelError> {
    let done = match op {
        WireGuardOp::Link { name, generation, port, mtu, .. } => {
            wireguard::add(&mut kernel.route, name, *mtu)?;
            let secret = kernel.secrets.get(generation).cloned().ok_or(KernelError::NoKey(*generation))?;
            kernel.wireguard()?.set_key(name, &secret, *port)
        }
        WireGuardOp::Peer { link, key, endpoint, address } => {
            kernel.wireguard()?.set_peer(link, key, *endpoint, *address)
        }
    };
    done.map(|()| Outcome::Created)
}

/// Deletes it.
pub fn undo(kernel: &mut Kernel, op: &WireGuardOp) -> Result<(), KernelError> {
    match op {
        WireGuardOp::Link { name, .. } => wireguard::delete(&mut kernel.route, name),
        WireGuardOp::Peer { link, key, .. } => kernel.wireguard()?.remove_peer(link, key),
    }
}

/// See the room's head.
pub fn by_hand(op: &WireGuardOp) -> String {
    match op {
        WireGuardOp::Link { name, .. } => format!("ip link del {name}"),
        WireGuardOp::Peer { link, key, .. } => format!("wg set {link} peer {key} remove"),
    }
}
