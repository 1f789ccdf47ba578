//! What `network check` compares with.

use super::place::{Wants, forwards, place};
use super::{host_table_exists, inside};
use crate::kernel::netlink::Netlink;
use crate::kernel::{KernelError, route};
use netd_api::IfName;
use netd_core::check::CheckSeen;
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
        seen.place = place;
        Ok(seen)
    })
}
