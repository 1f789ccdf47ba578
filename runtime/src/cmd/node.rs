//! `node ls`, `node rm`, `node rekey`.

use super::each::each;
use crate::cli::node::{NodeCommand, RekeyArgs};
use crate::term::table;
use netd_api::{KeyInfo, NodeInfo, NodeState};
use rcr_base::Outcome;
use rcr_engine::instance::Instance;
use rcr_engine::nodes;
use serde_json::json;
use std::time::Duration;

/// `rcr node …`.
pub fn node(instance: &Instance, command: &NodeCommand) -> Outcome<i32> {
    match command {
        NodeCommand::Ls(args) => {
            let nodes = nodes::list(instance)?;
            if args.quiet {
                nodes.iter().for_each(|node| println!("{}", node.id.short()));
            } else if args.format.is_json() {
                for node in &nodes {
                    table::print_json(&json!({
                        "ID": node.id, "Name": node.name, "Address": node.address, "Status": state(node), "Self": node.own,
                        "LastSeen": seen(node), "Networks": node.networks, "Containers": node.containers,
                        "Keys": node.keys.iter().map(describe_key).collect::<Vec<_>>(), "Behind": node.behind,
                    }));
                }
            } else {
                let row = |node: &NodeInfo| {
                    let id = format!("{}{}", node.id.short(), if node.own { " *" } else { "" });
                    let counts = [node.networks.to_string(), node.containers.to_string()];
                    let [networks, containers] = counts;
                    let (address, status) = (node.address.to_string(), state(node).to_owned());
                    let last = if node.state == NodeState::Ready {
                        "now".into()
                    } else {
                        format!("{} ago", table::age(&seen(node)))
                    };
                    vec![id, node.name.clone(), address, status, last, networks, containers, keys(node)]
                };
                let head = ["ID", "NAME", "ADDRESS", "STATUS", "LAST SEEN", "NETWORKS", "CONTAINERS", "KEY"];
                table::print(&head, &nodes.iter().map(row).collect::<Vec<_>>());
            }
            Ok(0)
        }
        NodeCommand::Rekey(args) => rekey(instance, args),
        NodeCommand::Rm(args) => Ok(each(&args.nodes, |node| nodes::remove(instance, node, args.force))),
    }
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

fn seen(node: &NodeInfo) -> String {
    time(node.seen)
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|t| t.to_string()).unwrap_or_default()
}
