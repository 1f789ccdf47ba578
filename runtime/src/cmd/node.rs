//! `node ls`, `node rm`.

use super::{each, table};
use crate::cli::node::NodeCommand;
use crate::container::lifecycle::Instance;
use crate::net::unexpected;
use crate::report::Outcome;
use netd_api::{Call, NodeInfo, NodeState, Reply};
use serde_json::json;

/// `rcr node …`.
pub fn node(instance: &Instance, command: &NodeCommand) -> Outcome<i32> {
    match command {
        NodeCommand::Ls(args) => {
            let nodes = match instance.netd()?.call(Call::NodeList)? {
                Reply::Nodes(nodes) => nodes,
                other => return Err(unexpected(&other)),
            };
            if args.quiet {
                nodes.iter().for_each(|node| println!("{}", node.id.short()));
            } else if args.format.is_json() {
                for node in &nodes {
                    table::print_json(&json!({
                        "ID": node.id, "Name": node.name, "Address": node.address, "Status": state(node), "Self": node.own,
                        "LastSeen": seen(node), "Networks": node.networks, "Containers": node.containers,
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
                    vec![id, node.name.clone(), address, status, last, networks, containers]
                };
                let head = ["ID", "NAME", "ADDRESS", "STATUS", "LAST SEEN", "NETWORKS", "CONTAINERS"];
                table::print(&head, &nodes.iter().map(row).collect::<Vec<_>>());
            }
            Ok(0)
        }
        NodeCommand::Rm(args) => {
            let mut netd = instance.netd()?;
            Ok(each(&args.nodes, |node| {
                netd.call(Call::NodeRemove { node: node.to_owned(), force: args.force }).map(drop)
            }))
        }
    }
}

fn state(node: &NodeInfo) -> &'static str {
    match node.state {
        NodeState::Ready => "ready",
        NodeState::Down => "down",
    }
}

fn seen(node: &NodeInfo) -> String {
    jiff::Timestamp::from_second(node.seen).map(|t| t.to_string()).unwrap_or_default()
}
