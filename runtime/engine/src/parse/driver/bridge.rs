//! Options of the bridge driver.

use super::option::{LARGEST_MTU, Written};
use netd_api::{BridgeOptions, GatewayMode, IfName};
use rcr_base::Outcome;

const KNOWN: [&str; 12] = [
    "mtu",
    "name",
    "icc",
    "host_access",
    "gateway_mode",
    "gateway_mode_ipv4",
    "gateway_mode_ipv6",
    "host_binding_ipv4",
    "inhibit_ipv4",
    "flowtable",
    "redirect_peer",
    "container_iface_prefix",
];

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
            "host_binding_ipv4" | "com.docker.network.bridge.host_binding_ipv4" => {
                let address = written.value.parse().map_err(|_| written.wrong("it is not an address"))?;
                all.publish_address = Some(address);
            }
            "inhibit_ipv4" | "com.docker.network.bridge.inhibit_ipv4" => all.inhibit_ipv4 = written.boolean()?,
            "flowtable" => all.flowtable = written.boolean()?,
            "redirect_peer" => all.redirect_peer = written.boolean()?,
            "container_iface_prefix" | "com.docker.network.container_iface_prefix" => {
                // Two digits must fit behind it.
                let longest = format!("{}99", written.value);
                longest.parse::<IfName>().map_err(|e| written.wrong(e.why))?;
                all.interface_prefix = Some(written.value.to_owned());
            }
            "com.docker.network.bridge.default_bridge" if !written.boolean()? => {}
            "com.docker.network.bridge.default_bridge" => {
                return Err(written.wrong("the default network is `bridge`, and there from the start"));
            }
            "com.docker.network.bridge.trusted_host_interfaces" => {
                return Err(written
                    .wrong("links are not told apart: what comes in reaches published ports, or all of them")
                    .hint("`-p` publishes a port; `-o gateway_mode=routed` lets others reach the containers' own addresses"));
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
    if written.value == "nat-unprotected" {
        return Err(written
            .wrong("it would open every port of the containers, published or not")
            .hint("`-p` publishes a port; `-o gateway_mode=routed` lets others reach the containers' own addresses"));
    }
    written.one_of(&[GatewayMode::Nat, GatewayMode::Routed, GatewayMode::Isolated], name, "modes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(option: &str) -> Outcome<BridgeOptions> {
        bridge(&[option.to_owned()])
    }

    #[test]
    fn our_names_and_dockers_say_the_same_and_what_is_not_done_is_named() {
        for (ours, dockers) in [
            ("host_binding_ipv4=127.0.0.1", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1"),
            ("inhibit_ipv4=true", "com.docker.network.bridge.inhibit_ipv4=true"),
            ("container_iface_prefix=lan", "com.docker.network.container_iface_prefix=lan"),
            ("icc=false", "com.docker.network.bridge.enable_icc=false"),
        ] {
            assert_eq!(of(ours).unwrap(), of(dockers).unwrap());
            assert_ne!(of(ours).unwrap(), BridgeOptions::default());
        }
        for (bad, why) in [
            ("host_binding_ipv4=x", "not an address"),
            ("container_iface_prefix=much-too-long-a-name", "cannot understand"),
            ("container_iface_prefix=a/b", "cannot understand"),
            ("com.docker.network.bridge.default_bridge=true", "there from the start"),
            ("com.docker.network.bridge.trusted_host_interfaces=eth1", "not told apart"),
            ("com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected", "published or not"),
        ] {
            let said = of(bad).unwrap_err();
            assert!(format!("{} {:?}", said.message, said.causes).contains(why), "{bad}: {said:?}");
        }
    }
}
