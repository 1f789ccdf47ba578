//! `network …`.

use super::each::{each, print_found};
use super::{network_capture, network_check, network_graph, network_show, network_stats, network_why, prune};
use crate::cli::network::{ConnectArgs, CreateArgs, DisconnectArgs, ListArgs, NetworkCommand, PlanArgs, UpdateArgs};
use crate::flags::network as flags;
use crate::report::{self, printable};
use crate::term::listing::{self, Row};
use crate::term::table;
use netd_api::{NetworkInfo, Scope};
use rcr_base::Outcome;
use rcr_engine::inspect;
use rcr_engine::instance::Instance;
use rcr_engine::networks::{self, Changed};
use serde::Serialize;
use std::collections::BTreeMap;

/// `rcr network …`.
pub fn network(instance: &Instance, command: NetworkCommand) -> Outcome<i32> {
    match command {
        NetworkCommand::Create(args) => create(instance, &args),
        NetworkCommand::Ls(args) => list(instance, &args),
        NetworkCommand::Inspect(args) => {
            print_found(&args.networks, args.format.format.as_ref(), |name| inspect::network(instance, name))
        }
        NetworkCommand::Rm(args) => Ok(each(&args.networks, |name| networks::remove(instance, name, args.force))),
        NetworkCommand::Connect(args) => connect(instance, &args),
        NetworkCommand::Disconnect(args) => disconnect(instance, &args),
        NetworkCommand::Plan(args) => plan(instance, &args),
        NetworkCommand::Update(args) => update(instance, &args),
        NetworkCommand::Show(args) => network_show::show(instance, &args),
        NetworkCommand::Check(args) => network_check::check(instance, &args),
        NetworkCommand::Capture(args) => network_capture::capture(instance, &args),
        NetworkCommand::Graph(args) => network_graph::graph(instance, &args),
        NetworkCommand::Stats(args) => network_stats::stats(instance, &args),
        NetworkCommand::Why(args) => network_why::why(instance, &args),
        NetworkCommand::Prune(args) => prune::networks(instance, &args),
    }
}

fn create(instance: &Instance, args: &CreateArgs) -> Outcome<i32> {
    let spec = flags::create(args)?;
    if args.ignore && networks::inspect(instance, &args.name).is_ok() {
        return Ok(0);
    }
    match networks::create(instance, spec, args.dry.dry_run)? {
        Changed::Network(info) => {
            info.unmet.iter().for_each(report::warn);
            println!("{}", info.id);
        }
        Changed::Plan(plan) => print!("{}", printable(&plan.text(args.dry.verbose))),
    }
    Ok(0)
}

/// Changes a network, in use or not.
fn update(instance: &Instance, args: &UpdateArgs) -> Outcome<i32> {
    let change = |info: &NetworkInfo| flags::change(args, &info.driver);
    match networks::update(instance, &args.network, args.dry.dry_run, change)? {
        Changed::Network(info) => println!("{}", info.name),
        Changed::Plan(plan) => print!("{}", printable(&plan.text(args.dry.verbose))),
    }
    Ok(0)
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Local => "local",
        Scope::Global => "global",
    }
}

/// One network, with Docker's keys.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    created_at: String,
    driver: &'static str,
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "IPv4")]
    ipv4: String,
    #[serde(rename = "IPv6")]
    ipv6: String,
    internal: String,
    labels: String,
    name: String,
    scope: &'static str,
    #[serde(skip)]
    all_labels: BTreeMap<String, String>,
}

impl Row for Line {
    const HEADINGS: &'static [(&'static str, &'static str)] = &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ];

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.all_labels)
    }
}

fn line(info: NetworkInfo, whole: bool) -> Line {
    let created = jiff::Timestamp::from_second(info.created).map(|time| time.to_string()).unwrap_or_default();
    let ipv4 = info.subnets.is_empty() || info.subnets.iter().any(|s| s.subnet.addr().is_ipv4());
    Line {
        created_at: table::local_time(&created),
        driver: info.driver.name(),
        id: if whole { info.id.as_str().to_owned() } else { info.id.short().to_owned() },
        ipv4: ipv4.to_string(),
        ipv6: info.ipv6.to_string(),
        internal: info.internal.to_string(),
        labels: table::labels(&info.labels),
        name: info.name.to_string(),
        scope: scope(info.scope),
        all_labels: info.labels,
    }
}

fn list(instance: &Instance, args: &ListArgs) -> Outcome<i32> {
    let shown = networks::list(instance, &args.filter)?;
    let lines: Vec<Line> = shown.into_iter().map(|info| line(info, args.no_trunc)).collect();
    if args.quiet {
        lines.iter().for_each(|line| println!("{}", line.id));
        return Ok(0);
    }
    listing::print(args.format.format.as_ref(), &["ID", "Name", "Driver", "Scope"], &lines)?;
    Ok(0)
}

fn connect(instance: &Instance, args: &ConnectArgs) -> Outcome<i32> {
    if args.dry.dry_run {
        let plan = networks::plan_connect(instance, &args.container, flags::attachment(args))?;
        print!("{}", printable(&plan.text(args.dry.verbose)));
        return Ok(0);
    }
    networks::connect(instance, &args.container, flags::attachment(args))?;
    Ok(0)
}

fn disconnect(instance: &Instance, args: &DisconnectArgs) -> Outcome<i32> {
    networks::disconnect(instance, &args.container, &args.network, args.force)?;
    Ok(0)
}

/// What attaching one more container would do, or what a container's start would.
fn plan(instance: &Instance, args: &PlanArgs) -> Outcome<i32> {
    let plan = match args.publish.is_empty() && networks::is_container(instance, &args.of) {
        true => networks::plan_of(instance, &args.of)?,
        false => networks::plan(instance, &args.of, args.publish.clone())?,
    };
    print!("{}", printable(&plan.text(args.verbose)));
    Ok(0)
}
