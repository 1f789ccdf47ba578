//! Networks: what a user asks for, and what a listing shows.

use crate::{
    BridgeOptions, IfName, IpvlanOptions, LanOptions, MacvlanOptions, NetworkId, NetworkName, Obstacle, OverlayOptions,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// `rcr network create`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkCreate {
    /// Unique on this host, and in the cluster for overlay networks.
    pub name: NetworkName,
    /// The driver with its options.
    pub driver: DriverSpec,
    /// One per `--subnet`; empty: netd chooses from its pools.
    #[serde(default)]
    pub subnets: Vec<SubnetRequest>,
    /// `--ipv6`: a ULA /64 is added when no IPv6 subnet is named.
    #[serde(default)]
    pub ipv6: bool,
    /// `--ipv4=false`: no IPv4 subnet is chosen by itself.
    #[serde(default = "yes")]
    pub ipv4: bool,
    /// `--internal`: no way out of this network.
    #[serde(default)]
    pub internal: bool,
    /// Labels of the user.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

/// One `--subnet` with the `--gateway`, `--ip-range` and `--aux-address` that lie in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetRequest {
    /// The subnet; bits behind its prefix are zero.
    pub subnet: IpNet,
    /// The gateway; if absent, netd chooses the subnet's first address.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// `--gateway none`: containers get no default route (macvlan and ipvlan).
    #[serde(default)]
    pub no_gateway: bool,
    /// Addresses are chosen from here; static ones may lie anywhere in the subnet.
    #[serde(default)]
    pub ip_range: Option<IpNet>,
    /// Addresses that others use, by name.
    #[serde(default)]
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// A driver with its typed options. Unknown options never get this far: they are refused where they are parsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum DriverSpec {
    /// A bridge on the host, a veth pair per container.
    Bridge(BridgeOptions),
    /// Links with MAC addresses of their own on one of the host's links.
    Macvlan(MacvlanOptions),
    /// Links that share the MAC address of one of the host's links.
    Ipvlan(IpvlanOptions),
    /// A bridge per host, joined by VXLAN.
    Overlay(OverlayOptions),
    /// The host's own network namespace.
    Host,
    /// Loopback only.
    None,
}

impl DriverSpec {
    /// The driver's name as `network ls` shows it.
    pub fn name(&self) -> &'static str {
        match self {
            DriverSpec::Bridge(_) => "bridge",
            DriverSpec::Macvlan(_) => "macvlan",
            DriverSpec::Ipvlan(_) => "ipvlan",
            DriverSpec::Overlay(_) => "overlay",
            DriverSpec::Host => "host",
            DriverSpec::None => "null",
        }
    }

    /// The options of its bridge, for drivers that make one.
    pub fn bridge(&self) -> Option<&BridgeOptions> {
        match self {
            Self::Bridge(options) => Some(options),
            Self::Overlay(options) => Some(&options.bridge),
            _ => None,
        }
    }

    /// The options of its tunnel, for drivers that span hosts.
    pub fn overlay(&self) -> Option<&OverlayOptions> {
        match self {
            Self::Overlay(options) => Some(options),
            _ => None,
        }
    }

    /// As [`Self::overlay`], to be changed.
    pub fn overlay_mut(&mut self) -> Option<&mut OverlayOptions> {
        match self {
            Self::Overlay(options) => Some(options),
            _ => None,
        }
    }

    /// Where the MTU is that the user asks for, in bytes; absent for drivers whose networks have none.
    pub fn mtu_mut(&mut self) -> Option<&mut Option<u32>> {
        match self {
            Self::Bridge(options) => Some(&mut options.mtu),
            Self::Overlay(options) => Some(&mut options.bridge.mtu),
            Self::Macvlan(options) => Some(&mut options.lan.mtu),
            Self::Ipvlan(options) => Some(&mut options.lan.mtu),
            Self::Host | Self::None => None,
        }
    }

    /// What macvlan and ipvlan have in common.
    pub fn lan(&self) -> Option<&LanOptions> {
        match self {
            DriverSpec::Macvlan(options) => Some(&options.lan),
            DriverSpec::Ipvlan(options) => Some(&options.lan),
            DriverSpec::Bridge(_) | DriverSpec::Overlay(_) | DriverSpec::Host | DriverSpec::None => None,
        }
    }
}

/// `SCOPE` of `network ls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// On this host.
    Local,
    /// On all hosts of the cluster.
    Global,
}

/// A network as `network ls` and `network inspect` show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkInfo {
    /// 64 hexadecimal digits.
    pub id: NetworkId,
    /// The name that the user gave.
    pub name: NetworkName,
    /// The driver with its options.
    pub driver: DriverSpec,
    /// Where the network exists.
    pub scope: Scope,
    /// Containers reach nothing outside of it.
    pub internal: bool,
    /// It has an IPv6 subnet.
    pub ipv6: bool,
    /// Its subnets, of both families.
    pub subnets: Vec<SubnetInfo>,
    /// The host's interface of this network, while it exists.
    pub interface: Option<IfName>,
    /// The MTU of its links, in bytes; absent while it has none.
    pub mtu: Option<u32>,
    /// Servers for names outside, of the network's own.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// Labels of the user.
    pub labels: BTreeMap<String, String>,
    /// Seconds since the epoch.
    pub created: i64,
    /// Predefined networks (`bridge`, `host`, `none`) can't be removed.
    pub predefined: bool,
    /// Grows with each change.
    #[serde(default)]
    pub version: u64,
    /// Attached containers.
    pub attachments: Vec<crate::AttachmentInfo>,
    /// Firewalls of others that cut it off.
    #[serde(default)]
    pub obstacles: Vec<Obstacle>,
    /// What its options ask for and this host's kernel does not do, as a sentence. A list does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmet: Option<String>,
}

/// A subnet of a network, with its counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubnetInfo {
    /// The subnet.
    pub subnet: IpNet,
    /// The gateway, if there is one.
    pub gateway: Option<IpAddr>,
    /// The part of the subnet that containers get addresses of.
    pub ip_range: Option<IpNet>,
    /// Addresses that are kept free, by name.
    pub aux_addresses: BTreeMap<String, IpAddr>,
    /// Addresses in use by containers.
    pub used: u64,
    /// Addresses a container could still get by itself.
    pub free: u64,
}
