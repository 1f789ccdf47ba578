//! netd's hands: what it reaches the kernel by.

use super::KernelError;
use super::announce::Announcer;
use super::failpoint::Failpoint;
use super::link;
use super::netlink::Netlink;
use super::nft::Nft;
use super::redirect::Redirects;
use super::wireguard::WireGuard;
use netd_api::{IfName, Mac};
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
    redirects: Redirects,
    pub(super) failpoint: Option<Failpoint>,
}

impl Kernel {
    /// Opens the sockets in the calling thread's network namespace.
    pub fn open(plain_tables: bool, failpoint: Option<Failpoint>) -> Result<Self, KernelError> {
        let (route, nft, conntrack) = (Netlink::route()?, Nft::open(plain_tables)?, Netlink::netfilter()?);
        Ok(Self {
            route,
            nft,
            conntrack,
            wireguard: None,
            secrets: BTreeMap::new(),
            announcer: None,
            redirects: Redirects::default(),
            failpoint,
        })
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

    /// Looks whether the administrator has rules of his own: then all frames take their bridges, and are tracked.
    pub fn follow_user_rules(&mut self) -> Result<(), KernelError> {
        self.nft.follow_user_rules()?;
        self.redirects.pause(&mut self.route, self.nft.has_user_rules())
    }

    /// Frames of a container's, and those for it, bypass its bridge from now on, unless the administrator has rules.
    pub fn redirect(&mut self, port: &IfName, mac: Mac, bridge: &IfName) -> Result<(), KernelError> {
        self.redirects.pause(&mut self.route, self.nft.has_user_rules())?;
        self.redirects.open(&mut self.route, port, mac, bridge)
    }

    /// No frame of a container's bypasses its bridge from now on, and none for it: ahead of its end, as [`Self::close_port`].
    pub fn stop_redirect(&mut self, port: &IfName, mac: Mac, bridge: &IfName) -> Result<(), KernelError> {
        self.redirects.close(&mut self.route, port, mac, bridge)
    }

    /// Silences a container's port ahead of its end: its address may be another's in a moment, and its namespace, which
    /// goes away only in the background, would still answer for it.
    pub fn close_port(&mut self, link: &str, alias: &str) -> Result<(), KernelError> {
        link::close_port(&mut self.route, link, alias)
    }
}
