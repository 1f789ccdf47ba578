//! What the kernel says. Nothing here changes anything.

use super::Ledger;
use crate::kernel::{self, KernelError, Underlay};
use ipnet::IpNet;
use netd_core::firewall::foreign::{ForeignChain, Rules};
use netd_core::model::Facts;
use netd_core::plan::Observed;

impl Ledger {
    /// The host's links and addresses; `table`: whether `inet rcr` is taken to be there.
    pub fn observe(&mut self, table: bool) -> Result<Observed, KernelError> {
        kernel::observe(&mut self.kernel.route, table)
    }

    /// What plans need to know of the host.
    pub fn facts(&mut self, underlay: &Underlay) -> Result<Facts, KernelError> {
        kernel::facts(&mut self.kernel.route, underlay)
    }

    /// Networks that the host's routes lead to, each with its link.
    pub fn host_networks(&mut self) -> Result<Vec<(IpNet, String)>, KernelError> {
        kernel::host_networks(&mut self.kernel.route)
    }

    /// The MTU that the routes to the cluster's hosts take, in bytes; nothing without a route.
    pub fn underlay_mtu(&mut self, underlay: &Underlay) -> Result<Option<u32>, KernelError> {
        kernel::underlay_mtu(&mut self.kernel.route, underlay)
    }

    /// Whether the kernel has links of this kind (`IFLA_INFO_KIND`).
    pub fn knows_kind(&mut self, kind: &str) -> Result<bool, KernelError> {
        kernel::knows_kind(&mut self.kernel.route, kind)
    }

    /// Fails where the kernel has no WireGuard.
    pub fn can_wireguard(&mut self) -> Result<(), KernelError> {
        self.kernel.wireguard().map(drop)
    }

    /// Fails where the kernel has no flow tables.
    pub fn can_flow_tables(&mut self) -> Result<(), KernelError> {
        if self.kernel.nft.has_flow_tables()? { Ok(()) } else { Err(KernelError::NoFlowTables) }
    }

    /// Other tables' chains at the forward hook.
    pub fn forward_chains(&mut self) -> Result<Vec<(ForeignChain, Rules)>, KernelError> {
        kernel::forward_chains(self.kernel.nft.socket())
    }

    /// Whether a plan wants the table `inet rcr` to be there.
    pub fn table_wanted(&self) -> bool {
        self.kernel.nft.wanted()
    }

    /// Whether the table `inet rcr` is there.
    pub fn table_exists(&mut self) -> Result<bool, KernelError> {
        self.kernel.nft.exists()
    }

    /// The netlink port that our own changes of tables come from.
    pub fn table_port(&self) -> u32 {
        self.kernel.nft.port()
    }
}
