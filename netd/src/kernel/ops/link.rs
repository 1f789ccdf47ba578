//! Links that are made.

use crate::kernel::netlink::Netlink;
use crate::kernel::netns::within;
use crate::kernel::{KernelError, lan, link};
use netd_api::{IfName, Mac};
use netd_core::plan::{LinkOp, Outcome};
use nix::errno::Errno;
use std::os::fd::BorrowedFd;

/// Makes a link. `netns`: the container's, for what is in it or has an end in it.
pub fn ensure(socket: &mut Netlink, op: &LinkOp, netns: Option<BorrowedFd<'_>>) -> Result<Outcome, KernelError> {
    match op {
        LinkOp::Bridge { name, mac, mtu, alias } => {
            let made = link::add_bridge(socket, name, *mac, *mtu, alias);
            made_or_ours(socket, made, name, alias, *mac)
        }
        LinkOp::Veth { host, host_mac, peer, mac, mtu, bridge, alias } => {
            let bridge = link::find(socket, bridge.as_str())?.index;
            let spec = link::VethSpec { host, host_mac: *host_mac, peer, mac: *mac, mtu: *mtu, bridge, alias };
            link::add_veth(socket, &spec, netns.ok_or(KernelError::NoNetns)?).map(|()| Outcome::Created)
        }
        LinkOp::Vlan { name, parent, id, alias } => {
            let index = link::find(socket, parent.as_str())?.index;
            let made = lan::add_vlan(socket, name, index, *id, alias);
            // Another network's, or the host's own: that one is used, and stays.
            made.map(|made| if made { Outcome::Created } else { Outcome::AlreadyThere })
        }
        LinkOp::Dummy { name, mac, mtu, alias } => {
            let made = lan::add_dummy(socket, name, *mac, *mtu, alias);
            made_or_ours(socket, made, name, alias, *mac)
        }
        LinkOp::Own { name, parent, kind, mac, mtu, alias } => {
            let spec = lan::ChildSpec { name, kind: *kind, mac: *mac, mtu: *mtu };
            let made = lan::add_child(socket, &spec, parent, None);
            if made.is_ok() {
                link::mark(socket, name, alias, false)?;
            }
            made_or_ours(socket, made, name, alias, mac.unwrap_or(Mac([0; 6])))
        }
        LinkOp::Child { name, born, parent, kind, mac, mtu } => {
            let netns = netns.ok_or(KernelError::NoNetns)?;
            let spec = lan::ChildSpec { name: born, kind: *kind, mac: *mac, mtu: *mtu };
            lan::add_child(socket, &spec, parent, Some(netns))?;
            within(netns, || lan::rename(&mut Netlink::route()?, born, name)).map(|()| Outcome::Created)
        }
    }
}

fn made_or_ours(
    socket: &mut Netlink,
    made: Result<(), KernelError>,
    name: &IfName,
    alias: &str,
    mac: Mac,
) -> Result<Outcome, KernelError> {
    match made {
        Ok(()) => Ok(Outcome::Created),
        // Ours from before a crash: it goes with this journal.
        Err(error) if error.errno() == Some(Errno::EEXIST) => {
            let ours = link::is_ours(&link::find(socket, name.as_str())?, alias, mac);
            if ours { Ok(Outcome::Created) } else { Err(KernelError::NotOurs(name.to_string())) }
        }
        Err(error) => Err(error),
    }
}

/// Deletes a link. A container's goes with its namespace, where that is gone.
pub fn undo(socket: &mut Netlink, op: &LinkOp, netns: Option<BorrowedFd<'_>>) -> Result<(), KernelError> {
    let mut delete = |name: &IfName, alias: &str, mac: Option<Mac>| {
        link::delete_marked(socket, name.as_str(), alias, mac).map(|_| ())
    };
    match op {
        LinkOp::Bridge { name, alias, mac, .. } | LinkOp::Dummy { name, alias, mac, .. } => {
            delete(name, alias, Some(*mac))
        }
        LinkOp::Veth { host, alias, host_mac, .. } => delete(host, alias, Some(*host_mac)),
        LinkOp::Own { name, alias, mac, .. } => delete(name, alias, *mac),
        LinkOp::Vlan { name, alias, .. } => lan::delete_vlan(socket, name, alias),
        LinkOp::Child { name, born, .. } => netns.map_or(Ok(()), |netns| within(netns, || delete_child(born, name))),
    }
}

fn delete_child(born: &IfName, name: &IfName) -> Result<(), KernelError> {
    let mut inside = Netlink::route()?;
    match lan::delete_child(&mut inside, born) {
        // It has that name only after a crash before the second.
        Err(error) if error.is_gone() => lan::delete_child(&mut inside, name),
        other => other,
    }
}

/// See the room's head.
pub fn by_hand(op: &LinkOp) -> String {
    let ip = if matches!(op, LinkOp::Child { .. }) { "ip -n NETNS" } else { "ip" };
    format!("{ip} link del {}", op.called())
}
