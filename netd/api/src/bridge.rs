//! Options of networks that have a bridge.

use crate::IfName;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Options of the bridge driver (`-o`), parsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeOptions {
    /// `mtu`; absent: the MTU of the uplink.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// `name`: the bridge's interface name; absent: `br-` and the first 12 digits of the id.
    #[serde(default)]
    pub bridge_name: Option<IfName>,
    /// `icc`: whether containers of this network reach each other.
    #[serde(default = "yes")]
    pub icc: bool,
    /// `gateway_mode`, for both families unless the family's own is set.
    #[serde(default)]
    pub gateway_mode_ipv4: GatewayMode,
    /// How IPv6 packets leave; see `gateway_mode_ipv4`.
    #[serde(default)]
    pub gateway_mode_ipv6: GatewayMode,
    /// `host_access`: containers may open connections to the host's own ports.
    #[serde(default)]
    pub host_access: bool,
    /// `host_binding_ipv4`: the host address of published ports that name none; absent: as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_address: Option<IpAddr>,
    /// `inhibit_ipv4`: the bridge gets no IPv4 address; the gateway is another machine's.
    #[serde(default, skip_serializing_if = "is_off")]
    pub inhibit_ipv4: bool,
    /// `flowtable`: established flows between this network and the outside pass the rules by.
    #[serde(default, skip_serializing_if = "is_off")]
    pub flowtable: bool,
    /// `redirect_peer`: frames between containers of this network bypass the bridge, where the kernel can do that.
    #[serde(default, skip_serializing_if = "is_off")]
    pub redirect_peer: bool,
    /// `container_iface_prefix`: how interfaces in containers are called, before a number; absent: `eth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface_prefix: Option<String>,
}

impl Default for BridgeOptions {
    fn default() -> Self {
        Self {
            mtu: None,
            bridge_name: None,
            icc: true,
            gateway_mode_ipv4: GatewayMode::Nat,
            gateway_mode_ipv6: GatewayMode::Nat,
            host_access: false,
            publish_address: None,
            inhibit_ipv4: false,
            flowtable: false,
            redirect_peer: false,
            interface_prefix: None,
        }
    }
}

/// How packets leave a bridge network (Docker's `gateway_mode_ipv4`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayMode {
    /// Masqueraded behind the host's address.
    #[default]
    Nat,
    /// Forwarded with the container's own address; other routers need a route.
    Routed,
    /// The bridge has no address of the host on it; needs an internal network.
    Isolated,
}

fn yes() -> bool {
    true
}

/// What an older netd does not know is not written where it says nothing.
fn is_off(switch: &bool) -> bool {
    !switch
}
