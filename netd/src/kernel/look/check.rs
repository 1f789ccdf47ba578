//! What `network check` compares with.

use super::elements::lost;
use super::place::{Wants, forwards, place};
use super::{host_table_exists, inside};
use crate::kernel::netlink::Netlink;
use crate::kernel::wireguard::WireGuard;
use crate::kernel::{KernelError, redirect, route};
use netd_api::{IfName, Mac};
use netd_core::check::CheckSeen;
use netd_core::firewall::Element;
use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;

/// What is looked at beyond links, addresses and routes.
#[derive(Debug, Clone, Default)]
pub struct CheckWants {
    /// Paths below `/proc/sys`.
    pub sysctls: Vec<String>,
    /// Links whose forwarding entries are wanted.
    pub tunnels: Vec<IfName>,
    /// Whether the host's table is there.
    pub table: bool,
    /// What its sets and maps should have.
    pub elements: BTreeSet<Element>,
    /// WireGuard links whose peers are wanted.
    pub encrypted: BTreeSet<IfName>,
    /// Ports whose frames should bypass their bridges, each with the MAC behind it.
    pub redirected: BTreeSet<(IfName, Mac)>,
}

/// A container's network namespace, or the calling thread's.
pub fn check_place(netns: Option<BorrowedFd<'_>>, wants: &CheckWants) -> Result<CheckSeen, KernelError> {
    inside(netns, || {
        let place = place(None, &Wants { sysctls: wants.sysctls.clone(), ..Wants::default() })?;
        let mut seen = CheckSeen::default();
        for one in route::list(&mut Netlink::route()?)? {
            let link = one.link.and_then(|index| place.link_at(index)).map(|(name, _)| name.to_string());
            seen.routes.push((one.to, link.unwrap_or_default()));
        }
        for tunnel in &wants.tunnels {
            if let Some(link) = place.links.get(tunnel) {
                seen.forwards.insert(tunnel.clone(), forwards(link.index)?);
            }
        }
        seen.table = wants.table && host_table_exists()?;
        if seen.table {
            seen.lost = lost(&wants.elements)?;
        }
        let encrypted: Vec<&IfName> = wants.encrypted.iter().filter(|link| place.links.contains_key(*link)).collect();
        if !encrypted.is_empty() {
            let mut wireguard = WireGuard::open()?;
            for link in encrypted {
                let peers = wireguard.handshakes(link)?.into_iter().map(|(key, _)| key);
                seen.peers.insert(link.clone(), peers.collect());
            }
        }
        for (port, mac) in &wants.redirected {
            if let Some(link) = place.links.get(port)
                && redirect::stands(link.index, *mac)?
            {
                seen.redirected.insert(port.clone());
            }
        }
        seen.place = place;
        Ok(seen)
    })
}
