//! Ports of bridges. What is set on a port goes with it; what a bridge's other ports know of it is undone.

use crate::kernel::announce::Announcement;
use crate::kernel::hands::Kernel;
use crate::kernel::netlink::Netlink;
use crate::kernel::{KernelError, link};
use netd_api::IfName;
use netd_core::plan::{Outcome, PortOp};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

/// Does it.
pub fn ensure(kernel: &mut Kernel, op: &PortOp, netns: Option<BorrowedFd<'_>>) -> Result<Outcome, KernelError> {
    let index = |socket: &mut Netlink, link: &IfName| link::find(socket, link.as_str()).map(|link| link.index);
    let done = match op {
        PortOp::Join { link, bridge } => {
            let (link, bridge) = (index(&mut kernel.route, link)?, index(&mut kernel.route, bridge)?);
            link::join(&mut kernel.route, link, bridge)
        }
        PortOp::Flags { link, isolated, hairpin } => {
            let link = index(&mut kernel.route, link)?;
            link::set_port(&mut kernel.route, link, *isolated, *hairpin)
        }
        PortOp::Redirect { link, mac, bridge } => match kernel.redirect(link, *mac, bridge) {
            // Its frames take the bridge's way.
            Err(KernelError::NoRedirect(_)) => return Ok(Outcome::Skipped),
            other => other,
        },
        PortOp::Announce { link, addresses, port } => {
            announce(kernel, link, addresses, port, netns.ok_or(KernelError::NoNetns)?)
        }
    };
    done.map(|()| Outcome::Created)
}

/// Hands it to the thread that waits for the port.
fn announce(
    kernel: &mut Kernel,
    link: &IfName,
    addresses: &[IpAddr],
    port: &IfName,
    netns: BorrowedFd<'_>,
) -> Result<(), KernelError> {
    let netns = netns.try_clone_to_owned();
    let netns = netns.map_err(|error| KernelError::io("keep a network namespace", &error))?;
    let (link, port, addresses) = (link.to_string(), port.to_string(), addresses.to_vec());
    kernel.announcer()?.add(Announcement { netns, link, addresses, port });
    Ok(())
}

/// Undoes it.
pub fn undo(kernel: &mut Kernel, op: &PortOp) -> Result<(), KernelError> {
    match op {
        PortOp::Redirect { link, mac, bridge } => kernel.stop_redirect(link, *mac, bridge),
        PortOp::Join { .. } | PortOp::Flags { .. } | PortOp::Announce { .. } => Ok(()),
    }
}

/// See the room's head.
pub fn by_hand(op: &PortOp) -> String {
    match op {
        PortOp::Join { link, .. } | PortOp::Flags { link, .. } => format!("ip link show {link}"),
        // With the link goes its program; nothing else deletes an entry of a map without a name.
        PortOp::Redirect { link, .. } => format!("ip link del {link}"),
        PortOp::Announce { port, .. } => format!("ip link show {port}"),
    }
}
