//! `node ls`, `node rm`, `node rekey`.

use super::each::each;
use crate::cli::node::{ListArgs, NodeCommand, RekeyArgs};
use crate::term::listing::{self, Row};
use crate::term::table;
use netd_api::{KeyInfo, NodeInfo, NodeState};
use rcr_base::Outcome;
use rcr_engine::instance::Instance;
use rcr_engine::nodes;
use serde::Serialize;
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;

/// `rcr node …`.
pub fn node(instance: &Instance, command: &NodeCommand) -> Outcome<i32> {
    match command {
        NodeCommand::Ls(args) => list(instance, args),
        NodeCommand::Rekey(args) => rekey(instance, args),
        NodeCommand::Rm(args) => Ok(each(&args.nodes, |node| nodes::remove(instance, node, args.force))),
    }
}

/// One host.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    address: IpAddr,
    status: &'static str,
    #[serde(rename = "Self")]
    own: bool,
    last_seen: String,
    networks: u64,
    containers: u64,
    keys: Vec<serde_json::Value>,
    behind: Vec<String>,
    /// As the table has them.
    #[serde(rename = "ShortID")]
    short_id: String,
    seen: String,
    key: String,
}

impl Row for Line {
    const HEADINGS: &'static [(&'static str, &'static str)] = &[
        ("ID", "ID"),
        ("ShortID", "ID"),
        ("Name", "NAME"),
        ("Address", "ADDRESS"),
        ("Status", "STATUS"),
        ("Self", "SELF"),
        ("LastSeen", "LAST SEEN"),
        ("Seen", "LAST SEEN"),
        ("Networks", "NETWORKS"),
        ("Containers", "CONTAINERS"),
        ("Keys", "KEYS"),
        ("Key", "KEY"),
        ("Behind", "BEHIND"),
    ];
}

fn line(node: &NodeInfo) -> Line {
    let seen = match node.state {
        NodeState::Ready => "now".into(),
        NodeState::Down => format!("{} ago", table::age(&time(node.seen))),
    };
    Line {
        id: node.id.to_string(),
        name: node.name.clone(),
        address: node.address,
        status: state(node),
        own: node.own,
        last_seen: time(node.seen),
        networks: node.networks,
        containers: node.containers,
        keys: node.keys.iter().map(describe_key).collect(),
        behind: node.behind.clone(),
        short_id: format!("{}{}", node.id.short(), if node.own { " *" } else { "" }),
        seen,
        key: keys(node),
    }
}

fn list(instance: &Instance, args: &ListArgs) -> Outcome<i32> {
    const COLUMNS: [&str; 8] = ["ShortID", "Name", "Address", "Status", "Seen", "Networks", "Containers", "Key"];
    let nodes = nodes::list(instance)?;
    if args.quiet {
        nodes.iter().for_each(|node| println!("{}", node.id.short()));
        return Ok(0);
    }
    listing::print(args.format.format.as_ref(), &COLUMNS, &nodes.iter().map(line).collect::<Vec<_>>())?;
    Ok(0)
}

/// Prints the key's number alone, so that a script can read it.
fn rekey(instance: &Instance, args: &RekeyArgs) -> Outcome<i32> {
    let key = nodes::rekey(instance)?;
    println!("{}", key.generation);
    if let Some(behind) = nodes::await_rekeyed(instance, &key, Duration::from_secs(args.time))? {
        let who = behind.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let who = if who.is_empty() { String::new() } else { format!(": {who} did not switch to the new one") };
        crate::report::warn(format!("the old key is still valid{who}; `rcr node ls` shows when it is gone"));
    }
    Ok(0)
}

/// `2, 3 minutes`, or `1+2, 4 seconds` while hosts switch to the second one.
fn keys(node: &NodeInfo) -> String {
    let Some(newest) = node.keys.last() else { return "-".into() };
    let numbers: Vec<String> = node.keys.iter().map(|key| key.generation.to_string()).collect();
    format!("{}, {}", numbers.join("+"), table::age(&time(newest.made)))
}

fn describe_key(key: &KeyInfo) -> serde_json::Value {
    json!({ "Generation": key.generation, "PublicKey": key.public, "Port": key.port, "Created": time(key.made) })
}

fn state(node: &NodeInfo) -> &'static str {
    match node.state {
        NodeState::Ready => "ready",
        NodeState::Down => "down",
    }
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|t| t.to_string()).unwrap_or_default()
}
