//! netd's hands: what it reaches the kernel by.

use super::KernelError;
use super::announce::Announcer;
use super::failpoint::Failpoint;
use super::link;
use super::netlink::Netlink;
use super::nft::Nft;
use super::wireguard::WireGuard;
use netd_core::keys::Secret;
use std::collections::BTreeMap;

/// netd's sockets in its own network namespace.
pub struct Kernel {
    pub route: Netlink,
    pub nft: Nft,
    pub(super) conntrack: Netlink,
    /// Opened when it is needed: the kernel may have none.
    wireguard: Option<WireGuard>,
    /// This host's private keys by generation: plans and journals know no more than that.
    pub secrets: BTreeMap<u32, Secret>,
    /// Runs from the first announcement on.
    announcer: Option<Announcer>,
    pub(super) failpoint: Option<Failpoint>,
}

impl Kernel {
    /// Opens the sockets in the calling thread's network namespace.
    pub fn open(plain_tables: bool, failpoint: Option<Failpoint>) -> Result<Self, KernelError> {
        let (route, nft, conntrack) = (Netlink::route()?, Nft::open(plain_tables)?, Netlink::netfilter()?);
        Ok(Self { route, nft, conntrack, wireguard: None, secrets: BTreeMap::new(), announcer: None, failpoint })
    }

    /// WireGuard, if the kernel has it. Nothing is made.
    pub fn wireguard(&mut self) -> Result<&mut WireGuard, KernelError> {
        let opened = match self.wireguard.take() {
            Some(open) => open,
            None => WireGuard::open()?,
        };
        Ok(self.wireguard.insert(opened))
    }

    /// Who announces containers on bridges.
    pub(super) fn announcer(&mut self) -> Result<&Announcer, KernelError> {
        let running = match self.announcer.take() {
            Some(running) => running,
            None => Announcer::start()?,
        };
        Ok(self.announcer.insert(running))
    }

    /// Silences a container's port ahead of its end: its address may be another's in a moment, and its namespace, which
    /// goes away only in the background, would still answer for it.
    pub fn close_port(&mut self, link: &str, alias: &str) -> Result<(), KernelError> {
        link::close_port(&mut self.route, link, alias)
    }
}
