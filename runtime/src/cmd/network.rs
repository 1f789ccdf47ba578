//! `network …`.

use super::{each, inspect, lan_options, network_update, overlay_options, table};
use crate::cli::container::PruneArgs;
use crate::cli::network::{
    ConnectArgs, CreateArgs, DisconnectArgs, ListArgs, NetworkCommand, NetworksArgs, PlanArgs, RemoveArgs, SubnetArgs,
};
use crate::cli::{attachment as endpoint, value};
use ipnet::IpNet;
use netd_api::{
    AttachmentRequest, BridgeOptions, ContainerId, DriverSpec, GatewayMode, IfName, NetnsSource, NetworkCreate,
    NetworkInfo, NetworkName, SandboxRequest, Scope, SubnetRequest,
};
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::instance::Instance;
use rcr_engine::networks::{self, Changed};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

/// `rcr network …`.
pub fn network(instance: &Instance, command: NetworkCommand) -> Outcome<i32> {
    instance.dirs.ensure().or_else(|failure| if is_root() { Err(failure) } else { Ok(()) })?;
    match command {
        NetworkCommand::Create(args) => create(instance, &args),
        NetworkCommand::Ls(args) => list(instance, &args),
        NetworkCommand::Inspect(args) => inspect_networks(instance, &args),
        NetworkCommand::Rm(args) => Ok(each(&args.networks, |name| remove(instance, name, &args))),
        NetworkCommand::Connect(args) => connect(instance, &args),
        NetworkCommand::Disconnect(args) => disconnect(instance, &args),
        NetworkCommand::Plan(args) => plan(instance, &args),
        NetworkCommand::Update(args) => network_update::update(instance, &args),
        NetworkCommand::Prune(args) => prune(instance, &args),
    }
}

/// Group `rcr` may list without owning the state folders.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(super) fn parse<T: FromStr>(flag: &str, text: &str) -> Outcome<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e: T::Err| {
        Error::new(Kind::Invalid, format!("cannot understand `{flag} {text}`")).caused_by(e.to_string())
    })
}

fn create(instance: &Instance, args: &CreateArgs) -> Outcome<i32> {
    let labels = args
        .label
        .iter()
        .map(|text| value::label(text).map_err(|why| Error::new(Kind::Invalid, why)))
        .collect::<Outcome<BTreeMap<_, _>>>()?;
    let spec = NetworkCreate {
        name: args.name.parse::<NetworkName>().map_err(|e| {
            Error::new(Kind::Invalid, format!("cannot use `{}` as a network name", args.name))
                .caused_by(format!("it {}", e.why))
        })?,
        driver: with_ipam(driver(&args.driver, &args.opt)?, &args.ipam_driver)?,
        subnets: subnets(&args.subnets, matches!(args.driver.as_str(), "bridge" | "overlay"))?,
        ipv6: args.ipv6,
        ipv4: args.ipv4,
        internal: args.internal,
        labels,
    };
    if args.ignore && networks::inspect(instance, &args.name).is_ok() {
        return Ok(0);
    }
    match networks::create(instance, spec, args.dry_run)? {
        Changed::Network(info) => println!("{}", info.id),
        Changed::Plan(text) => print!("{text}"),
    }
    Ok(0)
}

fn driver(name: &str, options: &[String]) -> Outcome<DriverSpec> {
    const KNOWN: [&str; 6] = ["bridge", "overlay", "macvlan", "ipvlan", "host", "none"];
    match name {
        "bridge" => Ok(DriverSpec::Bridge(bridge_options(options)?)),
        "overlay" => Ok(DriverSpec::Overlay(overlay_options::overlay(options)?)),
        "macvlan" => Ok(DriverSpec::Macvlan(lan_options::macvlan(options)?)),
        "ipvlan" => Ok(DriverSpec::Ipvlan(lan_options::ipvlan(options)?)),
        // As with Docker there is one of each, from the start.
        "host" | "none" | "null" => {
            Err(Error::new(Kind::Invalid, format!("only one network of driver `{name}` can exist"))
                .hint(format!("it exists already: `--network {}`", if name == "null" { "none" } else { name })))
        }
        _ => Err(Error::new(Kind::Invalid, format!("unknown network driver `{name}`{}", value::nearest(name, &KNOWN)))),
    }
}

/// `--ipam-driver`.
fn with_ipam(mut driver: DriverSpec, ipam: &str) -> Outcome<DriverSpec> {
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
pub(super) fn subnets(args: &SubnetArgs, bridge: bool) -> Outcome<Vec<SubnetRequest>> {
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

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Local => "local",
        Scope::Global => "global",
    }
}

fn list(instance: &Instance, args: &ListArgs) -> Outcome<i32> {
    let id = |info: &NetworkInfo| if args.no_trunc { info.id.as_str().to_owned() } else { info.id.short().to_owned() };
    let filters = args.filter.iter().map(|text| parse_filter(text)).collect::<Outcome<Vec<_>>>()?;
    let mut shown = networks::list(instance)?;
    shown.retain(|info| filters.iter().all(|(key, value)| matches_filter(info, key, value)));
    if args.quiet {
        shown.iter().for_each(|info| println!("{}", id(info)));
    } else if args.format.is_json() {
        for info in &shown {
            table::print_json(&json!({
                "ID": id(info), "Name": info.name, "Driver": info.driver.name(), "Scope": scope(info.scope),
                "Internal": info.internal.to_string(), "IPv6": info.ipv6.to_string(), "Labels": labels(info),
            }));
        }
    } else {
        let row = |info: &NetworkInfo| {
            vec![id(info), info.name.to_string(), info.driver.name().to_owned(), scope(info.scope).to_owned()]
        };
        table::print(&["NETWORK ID", "NAME", "DRIVER", "SCOPE"], &shown.iter().map(row).collect::<Vec<_>>());
    }
    Ok(0)
}

fn labels(info: &NetworkInfo) -> String {
    info.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}

fn parse_filter(text: &str) -> Outcome<(String, String)> {
    const KNOWN: [&str; 4] = ["name", "id", "driver", "label"];
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if KNOWN.contains(&key) {
        return Ok((key.to_owned(), value.to_owned()));
    }
    Err(Error::new(Kind::Invalid, format!("unknown filter `{key}`{}", value::nearest(key, &KNOWN))))
}

fn matches_filter(info: &NetworkInfo, key: &str, value: &str) -> bool {
    match key {
        "name" => info.name.as_str().contains(value),
        "id" => info.id.as_str().starts_with(value),
        "driver" => info.driver.name() == value,
        _ => match value.split_once('=') {
            Some((key, value)) => info.labels.get(key).is_some_and(|v| v == value),
            None => info.labels.contains_key(value),
        },
    }
}

fn inspect_networks(instance: &Instance, args: &NetworksArgs) -> Outcome<i32> {
    inspect::print(&args.networks, args.format.is_json(), |name| describe(instance, name))
}

/// For `inspect`: Docker's form.
pub fn describe(instance: &Instance, name: &str) -> Outcome<Value> {
    let info = networks::inspect(instance, name)?;
    let subnets: Vec<Value> = info
        .subnets
        .iter()
        .map(|s| {
            json!({
                "Subnet": s.subnet, "Gateway": s.gateway, "IPRange": s.ip_range, "AuxiliaryAddresses": s.aux_addresses,
                "Used": s.used, "Free": s.free,
            })
        })
        .collect();
    let containers: serde_json::Map<String, Value> = info
        .attachments
        .iter()
        .map(|a| {
            let of = |v4: bool| {
                a.addresses.iter().find(|n| n.addr().is_ipv4() == v4).map(ToString::to_string).unwrap_or_default()
            };
            let value = json!({
                "Name": a.container_name, "MacAddress": a.mac.map(|m| m.to_string()).unwrap_or_default(),
                "IPv4Address": of(true), "IPv6Address": of(false), "Interface": a.ifname, "Aliases": a.aliases,
            });
            (a.container.to_string(), value)
        })
        .collect();
    Ok(json!({
        "Name": info.name, "Id": info.id, "Created": jiff::Timestamp::from_second(info.created).map(|t| t.to_string()).unwrap_or_default(),
        "Scope": scope(info.scope), "Driver": info.driver.name(), "EnableIPv6": info.ipv6, "Internal": info.internal,
        "IPAM": { "Driver": if info.driver.lan().is_some_and(|o| o.dhcp) { "dhcp" } else { "default" }, "Config": subnets }, "Containers": containers, "Options": info.driver,
        "Labels": info.labels, "Interface": info.interface, "Mtu": info.mtu, "DNS": info.dns,
        "Obstacles": info.obstacles.iter().map(obstacle).collect::<Vec<_>>(),
    }))
}

/// A firewall of somebody else's, for people and programs.
pub fn obstacle(one: &netd_api::Obstacle) -> Value {
    json!({
        "Network": one.network, "Family": one.family, "Table": one.table, "Chain": one.chain, "Command": one.command,
    })
}

fn remove(instance: &Instance, name: &str, args: &RemoveArgs) -> Outcome<()> {
    match networks::remove(instance, name) {
        Err(error) if args.force && error.kind == Kind::NotFound => Ok(()),
        other => other,
    }
}

fn prune(instance: &Instance, args: &PruneArgs) -> Outcome<i32> {
    if !args.force && !super::confirm("this will remove all networks that no container uses")? {
        return Ok(0);
    }
    networks::prune(instance, |name| println!("{name}"))?;
    Ok(0)
}

fn connect(instance: &Instance, args: &ConnectArgs) -> Outcome<i32> {
    let mut attachment = AttachmentRequest::to(&args.network);
    attachment.aliases.clone_from(&args.alias);
    attachment.ip = args.ip.as_deref().map(|text| parse("--ip", text)).transpose()?;
    attachment.ip6 = args.ip6.as_deref().map(|text| parse("--ip6", text)).transpose()?;
    attachment.mac = args.mac_address.as_deref().map(|text| parse("--mac-address", text)).transpose()?;
    attachment.gw_priority = args.gw_priority;
    endpoint_options(&mut attachment, args)?;
    networks::connect(instance, &args.container, attachment)?;
    Ok(0)
}

fn endpoint_options(attachment: &mut AttachmentRequest, args: &ConnectArgs) -> Outcome<()> {
    let wrong = |flag: &str, text: &str, why: String| {
        Error::new(Kind::Invalid, format!("cannot understand `{flag} {text}`")).caused_by(why)
    };
    if let Some(name) = &args.interface_name {
        endpoint::interface_name(attachment, name).map_err(|why| wrong("--interface-name", name, why))?;
    }
    for text in &args.sysctl {
        endpoint::sysctl(attachment, text).map_err(|why| wrong("--sysctl", text, why))?;
    }
    for text in &args.driver_opt {
        endpoint::driver_opt(attachment, text).map_err(|why| wrong("--driver-opt", text, why))?;
    }
    Ok(())
}

fn disconnect(instance: &Instance, args: &DisconnectArgs) -> Outcome<i32> {
    networks::disconnect(instance, &args.container, &args.network, args.force)?;
    Ok(0)
}

/// What attaching one more container would do.
fn plan(instance: &Instance, args: &PlanArgs) -> Outcome<i32> {
    let id: ContainerId =
        "0".repeat(64).parse().map_err(|e: netd_api::NameError| Error::new(Kind::Invalid, e.to_string()))?;
    let publish = args.publish.iter().map(|text| {
        value::publish(text).map_err(|why| {
            Error::new(Kind::Invalid, format!("cannot understand `--publish {text}`")).caused_by(why.to_string())
        })
    });
    let publish = publish.collect::<Outcome<_>>()?;
    let spec = SandboxRequest {
        id,
        name: "example".into(),
        netns: NetnsSource::New,
        attachments: vec![AttachmentRequest::to(&args.network)],
        publish,
        dns: netd_api::DnsRequest::default(),
        host_gateway: false,
    };
    print!("{}", networks::plan(instance, spec)?);
    Ok(0)
}
