//! Options of the drivers whose containers sit on a link of the host beside the host itself: macvlan and ipvlan.

use crate::IfName;
use serde::{Deserialize, Serialize};

/// What macvlan and ipvlan have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanOptions {
    /// `parent`: the host's link; `NAME.ID` makes a VLAN link when there is none. Absent: an internal network on a link
    /// of our own.
    #[serde(default)]
    pub parent: Option<IfName>,
    /// `mtu` in bytes; absent: the parent's.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// `host_access`: the host and the containers reach each other, over a link that the host gets for it; and ports
    /// can be published.
    #[serde(default)]
    pub host_access: bool,
    /// `probe`: the LAN is asked whether anybody has an address before a container gets it (0.3 s).
    #[serde(default = "yes")]
    pub probe: bool,
    /// `--ipam-driver dhcp`: addresses come from the LAN's own DHCP server.
    #[serde(default)]
    pub dhcp: bool,
}

fn yes() -> bool {
    true
}

impl Default for LanOptions {
    fn default() -> Self {
        Self { parent: None, mtu: None, host_access: false, probe: true, dhcp: false }
    }
}

/// Options of the macvlan driver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacvlanOptions {
    /// What macvlan and ipvlan have in common.
    #[serde(default)]
    pub lan: LanOptions,
    /// `mode`, `macvlan_mode`.
    #[serde(default)]
    pub mode: MacvlanMode,
}

/// Options of the ipvlan driver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpvlanOptions {
    /// What macvlan and ipvlan have in common.
    #[serde(default)]
    pub lan: LanOptions,
    /// `mode`, `ipvlan_mode`.
    #[serde(default)]
    pub mode: IpvlanMode,
    /// `flag`, `ipvlan_flag`.
    #[serde(default)]
    pub flag: IpvlanFlag,
}

/// How macvlan links of one parent see each other (drivers/net/macvlan.c; values of `IFLA_MACVLAN_MODE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    /// Directly.
    #[default]
    Bridge,
    /// Not at all.
    Private,
    /// Over a switch that sends frames back on the port they came from.
    Vepa,
    /// There is one only, which has the parent's MAC.
    Passthru,
}

/// At which layer ipvlan passes packets on (Documentation/networking/ipvlan.rst). One parent serves one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanMode {
    /// As a switch: containers are in the LAN, with the parent's MAC.
    #[default]
    L2,
    /// As a router without netfilter: no broadcast, no ARP; the LAN needs a route to the subnet by way of this host.
    L3,
    /// As `L3`, and packets pass the host's netfilter.
    L3s,
}

/// How ipvlan links of one parent see each other. One parent serves one flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanFlag {
    /// Containers reach each other through the parent.
    #[default]
    Bridge,
    /// Containers never reach each other.
    Private,
    /// Containers reach each other only by way of a switch that sends frames back (802.1Qbg).
    Vepa,
}

impl MacvlanMode {
    /// The mode's name, as the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            MacvlanMode::Bridge => "bridge",
            MacvlanMode::Private => "private",
            MacvlanMode::Vepa => "vepa",
            MacvlanMode::Passthru => "passthru",
        }
    }
}

impl IpvlanMode {
    /// The mode's name, as the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            IpvlanMode::L2 => "l2",
            IpvlanMode::L3 => "l3",
            IpvlanMode::L3s => "l3s",
        }
    }
}

impl IpvlanFlag {
    /// The flag's name, as the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            IpvlanFlag::Bridge => "bridge",
            IpvlanFlag::Private => "private",
            IpvlanFlag::Vepa => "vepa",
        }
    }
}
