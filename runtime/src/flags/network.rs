//! Flags → requests about networks.

use crate::cli::network::{AddressOrNone, ConnectArgs, CreateArgs, SubnetArgs, UpdateArgs};
use netd_api::{AttachmentRequest, DriverSpec, NetworkChange, NetworkCreate, SubnetRequest};
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::parse::driver;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;

/// `network create`.
pub fn create(args: &CreateArgs) -> Outcome<NetworkCreate> {
    let driver = driver::with_ipam(driver::driver(&args.driver, &args.opt)?, &args.ipam_driver)?;
    Ok(NetworkCreate {
        name: driver::network_name(&args.name)?,
        subnets: subnets(&args.subnets, driver.bridge().is_some())?,
        driver,
        ipv6: args.ipv6,
        ipv4: args.ipv4,
        internal: args.internal,
        labels: args.label.iter().cloned().collect(),
    })
}

/// `network update`, for a network of this driver.
pub fn change(args: &UpdateArgs, driver: &DriverSpec) -> Outcome<NetworkChange> {
    let mut change = NetworkChange {
        remove_labels: args.label_rm.clone(),
        add_labels: args.label_add.iter().cloned().collect(),
        dns: dns(&args.dns)?,
        subnets: subnets(&args.subnets, driver.bridge().is_some())?,
        ..NetworkChange::default()
    };
    for option in &args.opt {
        change.mtu = Some(driver::changed_mtu(option)?);
    }
    Ok(change)
}

/// `none` alone takes them away.
fn dns(given: &[AddressOrNone]) -> Outcome<Option<Vec<IpAddr>>> {
    match given {
        [] => Ok(None),
        [AddressOrNone::None] => Ok(Some(Vec::new())),
        list => list
            .iter()
            .map(|one| match one {
                AddressOrNone::Address(address) => Ok(*address),
                AddressOrNone::None => {
                    Err(Error::new(Kind::Invalid, "`--dns none` can't be combined with other servers"))
                }
            })
            .collect::<Outcome<_>>()
            .map(Some),
    }
}

/// `network connect`.
pub fn attachment(args: &ConnectArgs) -> AttachmentRequest {
    let mut all = AttachmentRequest::to(&args.network);
    all.aliases.clone_from(&args.alias);
    (all.ip, all.ip6, all.mac) = (args.ip, args.ip6, args.mac_address);
    all.gw_priority = args.gw_priority;
    all.ifname.clone_from(&args.interface_name);
    all.sysctls.extend(args.sysctl.iter().cloned());
    for option in &args.driver_opt {
        option.clone().apply(&mut all);
    }
    all
}

/// Puts each gateway, range and auxiliary address into its subnet.
fn subnets(args: &SubnetArgs, bridge: bool) -> Outcome<Vec<SubnetRequest>> {
    let empty = |subnet| SubnetRequest {
        subnet,
        gateway: None,
        no_gateway: false,
        ip_range: None,
        aux_addresses: BTreeMap::new(),
    };
    let mut all: Vec<SubnetRequest> = args.subnet.iter().copied().map(empty).collect();
    for gateway in &args.gateway {
        let AddressOrNone::Address(gateway) = *gateway else {
            all.iter_mut().for_each(|s| s.no_gateway = true);
            continue;
        };
        let inside = all.iter().position(|s| s.subnet.contains(&gateway));
        // A LAN's router may be outside the containers' subnet; a bridge has its gateway itself.
        let same = |s: &SubnetRequest| s.gateway.is_none() && s.subnet.addr().is_ipv4() == gateway.is_ipv4();
        let at = inside.or_else(|| if bridge { None } else { all.iter().position(same) });
        let subnet = at.and_then(|at| all.get_mut(at)).ok_or_else(|| outside("--gateway", &gateway))?;
        if subnet.gateway.replace(gateway).is_some() {
            return Err(Error::new(Kind::Invalid, format!("the subnet `{}` has two gateways", subnet.subnet)));
        }
    }
    for range in &args.ip_range {
        let subnet = all.iter_mut().find(|s| s.subnet.contains(range));
        subnet.ok_or_else(|| outside("--ip-range", range))?.ip_range = Some(*range);
    }
    for (name, address) in &args.aux_address {
        let subnet = all.iter_mut().find(|s| s.subnet.contains(address));
        let subnet = subnet.ok_or_else(|| outside("--aux-address", address))?;
        subnet.aux_addresses.insert(name.clone(), *address);
    }
    Ok(all)
}

fn outside(flag: &str, what: &dyn Display) -> Error {
    Error::new(Kind::Invalid, format!("cannot use `{flag} {what}`"))
        .caused_by("it is in none of the subnets")
        .hint("name its subnet with --subnet")
}
