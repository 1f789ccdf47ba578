//! The host's tables, and the flows that passed them.

use crate::kernel::hands::Kernel;
use crate::kernel::{KernelError, conntrack};
use netd_core::plan::{FirewallOp, Outcome};
use std::collections::BTreeSet;

/// Writes it, or forgets it.
pub fn ensure(kernel: &mut Kernel, op: &FirewallOp) -> Result<Outcome, KernelError> {
    match op {
        FirewallOp::Table => kernel.nft.write(BTreeSet::new()).map(|()| Outcome::Created),
        FirewallOp::UserTable => {
            kernel.nft.add_user_table().map(|made| if made { Outcome::Created } else { Outcome::AlreadyThere })
        }
        FirewallOp::Elements { elements } => kernel.nft.add(elements).map(|()| Outcome::Created),
        FirewallOp::ForgetFlows { address, port } => {
            conntrack::forget(&mut kernel.conntrack, *address, *port).map(|_| Outcome::Created)
        }
    }
}

/// Deletes it. Elements may have gone with their table.
pub fn undo(kernel: &mut Kernel, op: &FirewallOp) -> Result<(), KernelError> {
    match op {
        FirewallOp::Table => kernel.nft.delete(),
        // One that was there before and only intended may be somebody's: it goes only while it is empty, as always.
        FirewallOp::UserTable => kernel.nft.delete_user_table(),
        FirewallOp::Elements { elements } if kernel.nft.wanted() => kernel.nft.remove(elements),
        FirewallOp::Elements { .. } | FirewallOp::ForgetFlows { .. } => Ok(()),
    }
}

/// At the end of an undoing: flows of what is published no more are forgotten once more, and nothing makes them anew.
pub fn forget_again(kernel: &mut Kernel, op: &FirewallOp) {
    if let FirewallOp::ForgetFlows { address, port: port @ Some(_) } = op {
        // They end by themselves, later.
        let _ = conntrack::forget(&mut kernel.conntrack, *address, *port);
    }
}

/// See the room's head.
pub fn by_hand(op: &FirewallOp) -> String {
    match op {
        FirewallOp::Table | FirewallOp::Elements { .. } => "nft delete table inet rcr".to_owned(),
        FirewallOp::UserTable => "nft delete table inet rcr-user".to_owned(),
        FirewallOp::ForgetFlows { address, .. } => format!("conntrack -D -d {address}"),
    }
}
