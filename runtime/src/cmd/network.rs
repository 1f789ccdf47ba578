//! `network …`.

use super::each::{each, print_found};
use crate::cli::container::PruneArgs;
use crate::cli::network::{
    ConnectArgs, CreateArgs, DisconnectArgs, ListArgs, NetworkCommand, NetworksArgs, PlanArgs, UpdateArgs,
};
use crate::flags::network as flags;
use crate::term::table;
use netd_api::{NetworkInfo, Scope};
use rcr_base::Outcome;
use rcr_engine::inspect;
use rcr_engine::instance::Instance;
use rcr_engine::networks::{self, Changed};
use serde_json::json;

/// `rcr network …`.
pub fn network(instance: &Instance, command: NetworkCommand) -> Outcome<i32> {
    match command {
        NetworkCommand::Create(args) => create(instance, &args),
        NetworkCommand::Ls(args) => list(instance, &args),
        NetworkCommand::Inspect(args) => inspect_networks(instance, &args),
        NetworkCommand::Rm(args) => Ok(each(&args.networks, |name| networks::remove(instance, name, args.force))),
        NetworkCommand::Connect(args) => connect(instance, &args),
        NetworkCommand::Disconnect(args) => disconnect(instance, &args),
        NetworkCommand::Plan(args) => plan(instance, &args),
        NetworkCommand::Update(args) => update(instance, &args),
        NetworkCommand::Prune(args) => prune(instance, &args),
    }
}

fn create(instance: &Instance, args: &CreateArgs) -> Outcome<i32> {
    let spec = flags::create(args)?;
    if args.ignore && networks::inspect(instance, &args.name).is_ok() {
        return Ok(0);
    }
    match networks::create(instance, spec, args.dry_run)? {
        Changed::Network(info) => println!("{}", info.id),
        Changed::Plan(text) => print!("{text}"),
    }
    Ok(0)
}

/// Changes a network, in use or not.
fn update(instance: &Instance, args: &UpdateArgs) -> Outcome<i32> {
    let change = |info: &NetworkInfo| flags::change(args, &info.driver);
    match networks::update(instance, &args.network, args.dry_run, change)? {
        Changed::Network(info) => println!("{}", info.name),
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
    let shown = networks::list(instance, &args.filter)?;
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

fn inspect_networks(instance: &Instance, args: &NetworksArgs) -> Outcome<i32> {
    print_found(&args.networks, args.format.is_json(), |name| inspect::network(instance, name))
}

fn prune(instance: &Instance, args: &PruneArgs) -> Outcome<i32> {
    if !args.force && !crate::term::ask::confirm("this will remove all networks that no container uses")? {
        return Ok(0);
    }
    networks::prune(instance, |name| println!("{name}"))?;
    Ok(0)
}

fn connect(instance: &Instance, args: &ConnectArgs) -> Outcome<i32> {
    networks::connect(instance, &args.container, flags::attachment(args))?;
    Ok(0)
}

fn disconnect(instance: &Instance, args: &DisconnectArgs) -> Outcome<i32> {
    networks::disconnect(instance, &args.container, &args.network, args.force)?;
    Ok(0)
}

/// What attaching one more container would do.
fn plan(instance: &Instance, args: &PlanArgs) -> Outcome<i32> {
    print!("{}", networks::plan(instance, &args.network, args.publish.clone())?);
    Ok(0)
}
