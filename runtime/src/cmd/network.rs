//! `network …`.

use super::each::{each, print_found};
use super::network_update;
use crate::cli::container::PruneArgs;
use crate::cli::network::{
    ConnectArgs, CreateArgs, DisconnectArgs, ListArgs, NetworkCommand, NetworksArgs, PlanArgs, RemoveArgs,
};
use crate::cli::{attachment as endpoint, value};
use crate::flags::network as flags;
use crate::flags::text::parse;
use crate::term::table;
use netd_api::{
    AttachmentRequest, ContainerId, NetnsSource, NetworkCreate, NetworkInfo, NetworkName, SandboxRequest, Scope,
};
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::instance::Instance;
use rcr_engine::networks::{self, Changed};
use serde_json::{Value, json};
use std::collections::BTreeMap;

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
        driver: flags::with_ipam(flags::driver(&args.driver, &args.opt)?, &args.ipam_driver)?,
        subnets: flags::subnets(&args.subnets, matches!(args.driver.as_str(), "bridge" | "overlay"))?,
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
    print_found(&args.networks, args.format.is_json(), |name| describe(instance, name))
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
    if !args.force && !crate::term::ask::confirm("this will remove all networks that no container uses")? {
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
