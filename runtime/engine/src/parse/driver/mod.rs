//! A network's driver, its options under our names and Docker's, and its subnets.

mod bridge;
mod lan;
mod option;
mod overlay;

use super::Parsed;
use super::words::nearest;
use ipnet::IpNet;
use netd_api::{DriverSpec, NetworkName};
use option::Written;
use rcr_base::{Error, Kind, Outcome};
use std::net::IpAddr;

/// A driver by name, with its options (`key=value`).
pub fn driver(name: &str, options: &[String]) -> Outcome<DriverSpec> {
    const KNOWN: [&str; 6] = ["bridge", "overlay", "macvlan", "ipvlan", "host", "none"];
    match name {
        "bridge" => Ok(DriverSpec::Bridge(bridge::bridge(options)?)),
        "overlay" => Ok(DriverSpec::Overlay(overlay::overlay(options)?)),
        "macvlan" => Ok(DriverSpec::Macvlan(lan::macvlan(options)?)),
        "ipvlan" => Ok(DriverSpec::Ipvlan(lan::ipvlan(options)?)),
        // As with Docker there is one of each, from the start.
        "host" | "none" | "null" => {
            Err(Error::new(Kind::Invalid, format!("only one network of driver `{name}` can exist"))
                .hint(format!("it exists already: `--network {}`", if name == "null" { "none" } else { name })))
        }
        _ => Err(Error::new(Kind::Invalid, format!("unknown network driver `{name}`{}", nearest(name, &KNOWN)))),
    }
}

/// The same driver with addresses from `ipam`: `default`, or `dhcp`, the LAN's own server.
pub fn with_ipam(mut driver: DriverSpec, ipam: &str) -> Outcome<DriverSpec> {
    match (&mut driver, ipam) {
        (DriverSpec::Macvlan(options), "dhcp") => options.lan.dhcp = true,
        (DriverSpec::Ipvlan(options), "dhcp") => options.lan.dhcp = true,
        (other, "dhcp") => {
            return Err(Error::new(Kind::Invalid, format!("a {} network can't use DHCP", other.name()))
                .caused_by("its containers are in no LAN with a server")
                .hint("`-d macvlan -o parent=LINK --ipam-driver dhcp` puts them into one"));
        }
        _ => {}
    }
    Ok(driver)
}

/// The new MTU out of an option that is to change in a network that exists.
pub fn changed_mtu(option: &str) -> Outcome<u32> {
    let written = Written::new(option, "");
    match written.key {
        "mtu" | "com.docker.network.driver.mtu" => written.mtu(option::LARGEST_MTU),
        _ => Err(Error::new(Kind::Invalid, format!("the option `{option}` can't be changed"))
            .caused_by("of a network's options only `mtu` can")
            .hint("create a network with it, `connect` the containers to that one, and `disconnect` them from this")),
    }
}

/// A network's name.
pub fn network_name(text: &str) -> Outcome<NetworkName> {
    text.parse::<NetworkName>().map_err(|e| {
        Error::new(Kind::Invalid, format!("cannot use `{text}` as a network name")).caused_by(format!("it {}", e.why))
    })
}

/// A subnet, `10.9.0.0/24`.
pub fn subnet(text: &str) -> Parsed<IpNet> {
    let subnet = text.parse::<IpNet>().map_err(|error| error.to_string())?;
    match subnet.trunc() == subnet {
        true => Ok(subnet),
        false => Err(format!("it has bits set beyond its prefix; did you mean `{}`?", subnet.trunc())),
    }
}

/// An address that others use, `name=address`.
pub fn aux_address(text: &str) -> Parsed<(String, IpAddr)> {
    let (name, address) = text.split_once('=').ok_or("expected name=address")?;
    let address = address.parse().map_err(|_| format!("`{address}` is not an address"))?;
    Ok((name.to_owned(), address))
}
