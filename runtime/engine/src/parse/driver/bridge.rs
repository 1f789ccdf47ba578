//! Options of the bridge driver.

use super::option::{LARGEST_MTU, Written};
use netd_api::{BridgeOptions, GatewayMode, IfName};
use rcr_base::Outcome;

const KNOWN: [&str; 7] =
    ["mtu", "name", "icc", "host_access", "gateway_mode", "gateway_mode_ipv4", "gateway_mode_ipv6"];

pub fn bridge(options: &[String]) -> Outcome<BridgeOptions> {
    let mut all = BridgeOptions::default();
    for option in options {
        let written = Written::new(option, "true");
        match written.key {
            "mtu" | "com.docker.network.driver.mtu" => all.mtu = Some(written.mtu(LARGEST_MTU)?),
            "name" | "com.docker.network.bridge.name" => {
                all.bridge_name = Some(written.value.parse::<IfName>().map_err(|e| written.wrong(e.why))?);
            }
            "icc" | "com.docker.network.bridge.enable_icc" => all.icc = written.boolean()?,
            "host_access" => all.host_access = written.boolean()?,
            "gateway_mode" => (all.gateway_mode_ipv4, all.gateway_mode_ipv6) = (mode(&written)?, mode(&written)?),
            "gateway_mode_ipv4" | "com.docker.network.bridge.gateway_mode_ipv4" => {
                all.gateway_mode_ipv4 = mode(&written)?;
            }
            "gateway_mode_ipv6" | "com.docker.network.bridge.gateway_mode_ipv6" => {
                all.gateway_mode_ipv6 = mode(&written)?;
            }
            "com.docker.network.bridge.enable_ip_masquerade" => {
                let mode = if written.boolean()? { GatewayMode::Nat } else { GatewayMode::Routed };
                (all.gateway_mode_ipv4, all.gateway_mode_ipv6) = (mode, mode);
            }
            _ => return Err(written.unknown("bridge", &KNOWN)),
        }
    }
    Ok(all)
}

fn mode(written: &Written) -> Outcome<GatewayMode> {
    let name = |mode| match mode {
        GatewayMode::Nat => "nat",
        GatewayMode::Routed => "routed",
        GatewayMode::Isolated => "isolated",
    };
    written.one_of(&[GatewayMode::Nat, GatewayMode::Routed, GatewayMode::Isolated], name, "modes")
}
