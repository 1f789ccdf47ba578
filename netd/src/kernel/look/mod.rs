//! What the kernel says when somebody wants a network shown or explained. Nothing here changes anything that stands: a
//! probe is a packet, and a trace is a table that is gone when its socket closes.
//!
//! These functions are for the threads of connections: each opens a socket of its own, and none waits for the writer.

mod check;
mod elements;
mod links;
mod place;
mod probe;
mod rule_text;
mod rules;
mod settings;
mod tap;
mod trace;

pub use check::{CheckWants, check_place};
pub use links::{links_here, links_inside};
pub use place::{Wants, conntrack, forwards, host_addresses, place};
pub use probe::{Probe, ask_by_udp, full_size, probe};
pub use rules::rules_of_table;
pub use settings::sets_value;
pub use tap::tap;
pub use trace::{Mark, Trace};

use super::KernelError;
use super::foreign::forward_chains;
use super::netlink::Netlink;
use super::netns::within;
use super::nft::table_exists;
use super::wireguard::WireGuard;
use netd_api::{IfName, PublicKey};
use netd_core::firewall::foreign::{self, ForeignChain};
use netd_core::firewall::host_table;
use std::os::fd::BorrowedFd;

/// Does something in a container's network namespace, or in the calling thread's.
fn inside<T: Send>(
    netns: Option<BorrowedFd<'_>>,
    work: impl FnOnce() -> Result<T, KernelError> + Send,
) -> Result<T, KernelError> {
    match netns {
        Some(netns) => within(netns, work),
        None => work(),
    }
}

/// Other tables' chains that stop what is forwarded so, as far as that is certain without a packet.
pub fn stopping(probe: foreign::Probe<'_>) -> Result<Vec<ForeignChain>, KernelError> {
    let chains = forward_chains(&mut Netlink::netfilter()?)?;
    Ok(chains
        .into_iter()
        .filter(|(chain, rules)| foreign::stops(chain, rules, probe))
        .map(|(chain, _)| chain)
        .collect())
}

/// Whether the host's table is there.
fn host_table_exists() -> Result<bool, KernelError> {
    table_exists(&mut Netlink::netfilter()?, &host_table())
}

/// When a peer of one of these WireGuard links has last agreed on a session, in seconds since the epoch; 0: never.
/// Nothing: it is none of theirs.
pub fn last_handshake<'a>(
    links: impl Iterator<Item = &'a IfName>,
    key: &PublicKey,
) -> Result<Option<i64>, KernelError> {
    let mut wireguard = WireGuard::open()?;
    let mut last = None;
    for link in links {
        let all = wireguard.handshakes(link)?;
        last = all.into_iter().filter(|(peer, _)| peer == key).map(|(_, time)| time).chain(last).max();
    }
    Ok(last)
}
