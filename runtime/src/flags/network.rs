//! `network create`: drivers with their options, and subnets.

use super::text::parse;
use super::{lan, overlay};
use crate::cli::network::SubnetArgs;
use crate::cli::value;
use ipnet::IpNet;
use netd_api::{BridgeOptions, DriverSpec, GatewayMode, IfName, SubnetRequest};
use rcr_base::{Error, Kind, Outcome};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// `-d` and `-o`.
pub fn driver(name: &str, options: &[String]) -> Outcome<DriverSpec> {
    const KNOWN: [&str; 6] = ["bridge", "overlay", "macvlan", "ipvlan", "host", "none"];
    match name {
        "bridge" => Ok(DriverSpec::Bridge(bridge_options(options)?)),
        "overlay" => Ok(DriverSpec::Overlay(overlay::overlay(options)?)),
        "macvlan" => Ok(DriverSpec::Macvlan(lan::macvlan(options)?)),
        "ipvlan" => Ok(DriverSpec::Ipvlan(lan::ipvlan(options)?)),
        // As with Docker there is one of each, from the start.
        "host" | "none" | "null" => {
            Err(Error::new(Kind::Invalid, format!("only one network of driver `{name}` can exist"))
                .hint(format!("it exists already: `--network {}`", if name == "null" { "none" } else { name })))
        }
        _ => Err(Error::new(Kind::Invalid, format!("unknown network driver `{name}`{}", value::nearest(name, &KNOWN)))),
    }
}

/// `--ipam-driver`.
pub fn with_ipam(mut driver: DriverSpec, ipam: &str) -> Outcome<DriverSpec> {
    match (&mut driver, ipam) {
        (DriverSpec::Macvlan(options), "dhcp") => options.lan.dhcp = true,
        (DriverSpec::Ipvlan(options), "dhcp") => options.lan.dhcp = true,
        (other, "dhcp") => {
            return Err(Error::new(
                Kind::Invalid,
                format!("`--ipam-driver dhcp` can't give addresses of a {} network", other.name()),
            )
            .caused_by("its containers are in no LAN with a server")
            .hint("`-d macvlan -o parent=LINK --ipam-driver dhcp` puts them into one"));
        }
        _ => {}
    }
    Ok(driver)
}

/// `-o key=value`, under our names and Docker's.
fn bridge_options(options: &[String]) -> Outcome<BridgeOptions> {
    let mut all = BridgeOptions::default();
    for option in options {
        let (key, value) = option.split_once('=').unwrap_or((option, "true"));
        let wrong =
            |why: &str| Error::new(Kind::Invalid, format!("cannot understand `-o {option}`")).caused_by(why.to_owned());
        let yes = || match value {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(wrong("neither true nor false")),
        };
        let mode = || match value {
            "nat" => Ok(GatewayMode::Nat),
            "routed" => Ok(GatewayMode::Routed),
            "isolated" => Ok(GatewayMode::Isolated),
            _ => Err(wrong("known modes are nat, routed, isolated")),
        };
        match key {
            "mtu" | "com.docker.network.driver.mtu" => {
                let mtu = value.parse::<u32>().ok().filter(|mtu| (68..=65_535).contains(mtu));
                all.mtu = Some(mtu.ok_or_else(|| wrong("an MTU lies between 68 and 65535"))?);
            }
            "name" | "com.docker.network.bridge.name" => {
                all.bridge_name = Some(value.parse::<IfName>().map_err(|e| wrong(e.why))?);
            }
            "icc" | "com.docker.network.bridge.enable_icc" => all.icc = yes()?,
            "host_access" => all.host_access = yes()?,
            "gateway_mode" => (all.gateway_mode_ipv4, all.gateway_mode_ipv6) = (mode()?, mode()?),
            "gateway_mode_ipv4" | "com.docker.network.bridge.gateway_mode_ipv4" => all.gateway_mode_ipv4 = mode()?,
            "gateway_mode_ipv6" | "com.docker.network.bridge.gateway_mode_ipv6" => all.gateway_mode_ipv6 = mode()?,
            "com.docker.network.bridge.enable_ip_masquerade" => {
                let mode = if yes()? { GatewayMode::Nat } else { GatewayMode::Routed };
                (all.gateway_mode_ipv4, all.gateway_mode_ipv6) = (mode, mode);
            }
            _ => {
                let known =
                    ["mtu", "name", "icc", "host_access", "gateway_mode", "gateway_mode_ipv4", "gateway_mode_ipv6"];
                return Err(Error::new(
                    Kind::Invalid,
                    format!("the bridge driver has no option `{key}`{}", value::nearest(key, &known)),
                ));
            }
        }
    }
    Ok(all)
}

/// Puts each gateway, range and auxiliary address with the subnet that it lies in.
pub fn subnets(args: &SubnetArgs, bridge: bool) -> Outcome<Vec<SubnetRequest>> {
    let mut all = Vec::new();
    for text in &args.subnet {
        let subnet: IpNet = parse("--subnet", text)?;
        if subnet.trunc() != subnet {
            return Err(Error::new(Kind::Invalid, format!("cannot use `--subnet {text}`"))
                .caused_by("it has bits set beyond its prefix")
                .hint(format!("did you mean {}?", subnet.trunc())));
        }
        let (ip_range, aux_addresses) = (None, BTreeMap::new());
        all.push(SubnetRequest { subnet, gateway: None, no_gateway: false, ip_range, aux_addresses });
    }
    let outside = |flag: &str, text: &str| {
        Error::new(Kind::Invalid, format!("cannot use `{flag} {text}`"))
            .caused_by("it lies in none of the subnets")
            .hint("name its subnet with --subnet")
    };
    for text in &args.gateway {
        if text == "none" {
            all.iter_mut().for_each(|s| s.no_gateway = true);
            continue;
        }
        let gateway: IpAddr = parse("--gateway", text)?;
        let inside = all.iter().position(|s| s.subnet.contains(&gateway));
        // A router of the LAN may lie outside the containers' subnet; a bridge carries its gateway itself.
        let same = |s: &SubnetRequest| s.gateway.is_none() && s.subnet.addr().is_ipv4() == gateway.is_ipv4();
        let at = inside.or_else(|| if bridge { None } else { all.iter().position(same) });
        let subnet = at.and_then(|at| all.get_mut(at)).ok_or_else(|| outside("--gateway", text))?;
        if subnet.gateway.replace(gateway).is_some() {
            return Err(Error::new(Kind::Invalid, format!("the subnet `{}` has two gateways", subnet.subnet)));
        }
    }
    for text in &args.ip_range {
        let range: IpNet = parse("--ip-range", text)?;
        let subnet = all.iter_mut().find(|s| s.subnet.contains(&range)).ok_or_else(|| outside("--ip-range", text))?;
        subnet.ip_range = Some(range);
    }
    for text in &args.aux_address {
        let (name, address) = text.split_once('=').ok_or_else(|| {
            Error::new(Kind::Invalid, format!("cannot understand `--aux-address {text}`"))
                .caused_by("expected name=address")
        })?;
        let address: IpAddr = parse("--aux-address", address)?;
        let subnet =
            all.iter_mut().find(|s| s.subnet.contains(&address)).ok_or_else(|| outside("--aux-address", text))?;
        subnet.aux_addresses.insert(name.to_owned(), address);
    }
    Ok(all)
}
