//! VXLAN links and their entries.

use crate::kernel::netlink::Netlink;
use crate::kernel::vxlan::{self, VxlanSpec};
use crate::kernel::{KernelError, link};
use netd_core::plan::{Outcome, VxlanOp};

/// Makes it.
pub fn ensure(socket: &mut Netlink, op: &VxlanOp) -> Result<Outcome, KernelError> {
    let done = match op {
        VxlanOp::Link { name, vni, local, port, mtu, mac, bridge, alias } => {
            let bridge = link::find(socket, bridge.as_str())?.index;
            let (vni, local, port, mtu, mac) = (*vni, *local, *port, *mtu, *mac);
            // One whose bridge had gone, or of before a crash.
            link::delete_marked(socket, name.as_str(), alias, Some(mac))?;
            vxlan::add(socket, &VxlanSpec { name, vni, local, port, mtu, mac, bridge, alias })
        }
        VxlanOp::Forward { link, mac, to } => vxlan::forward(socket, link, *mac, *to),
        VxlanOp::Flood { link, to } => vxlan::flood(socket, link, *to),
        VxlanOp::Neighbour { link, address, mac } => vxlan::neighbour(socket, link, *address, *mac),
    };
    done.map(|()| Outcome::Created)
}

/// Deletes it.
pub fn undo(socket: &mut Netlink, op: &VxlanOp) -> Result<(), KernelError> {
    match op {
        VxlanOp::Link { name, alias, mac, .. } => {
            link::delete_marked(socket, name.as_str(), alias, Some(*mac)).map(|_| ())
        }
        VxlanOp::Forward { link, mac, to } => vxlan::stop_forward(socket, link, *mac, *to),
        VxlanOp::Flood { link, to } => vxlan::stop_flood(socket, link, *to),
        VxlanOp::Neighbour { link, address, .. } => vxlan::stop_neighbour(socket, link, *address),
    }
}

/// See the room's head.
pub fn by_hand(op: &VxlanOp) -> String {
    match op {
        VxlanOp::Link { name, .. } => format!("ip link del {name}"),
        VxlanOp::Forward { link, mac, .. } => format!("bridge fdb del {mac} dev {link}"),
        VxlanOp::Flood { link, to } => format!("bridge fdb del 00:00:00:00:00:00 dev {link} dst {to}"),
        VxlanOp::Neighbour { link, address, .. } => format!("ip neigh del {address} dev {link}"),
    }
}
