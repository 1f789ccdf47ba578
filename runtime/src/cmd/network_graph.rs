//! `network graph`: the topology as a tree, or in a language that others draw.

use crate::cli::network::{Drawing, GraphArgs};
use crate::report::printable;
use crate::term::table;
use netd_api::{GraphEdge, GraphKind, GraphNode, GraphView};
use rcr_base::Outcome;
use rcr_engine::explain;
use rcr_engine::instance::Instance;
use std::fmt::Write;

/// `rcr network graph`.
pub fn graph(instance: &Instance, args: &GraphArgs) -> Outcome<i32> {
    let view = explain::graph(instance, &args.networks, args.container.as_deref())?;
    match args.drawing {
        Drawing::Text => print!("{}", printable(&text(&view))),
        Drawing::Dot => print!("{}", printable(&dot(&view))),
        Drawing::Mermaid => print!("{}", printable(&mermaid(&view))),
        Drawing::Json => println!("{}", table::json(&view)?),
    }
    Ok(0)
}

/// A tree: networks, and under each its containers and the other hosts.
fn text(view: &GraphView) -> String {
    let mut text = String::from("this host\n");
    let networks: Vec<&GraphNode> = view.nodes.iter().filter(|node| node.kind == GraphKind::Network).collect();
    for (i, network) in networks.iter().enumerate() {
        let last = i + 1 == networks.len();
        let to: Vec<String> = view.edges.iter().filter(|e| e.from == network.id).filter_map(|e| way(view, e)).collect();
        let about = [network.details.join(", "), to.join(", ")].into_iter().filter(|part| !part.is_empty());
        let about = about.collect::<Vec<_>>().join("; ");
        // Writing to a String can't fail.
        let _ = writeln!(text, "{} {} ({about})", if last { "└─" } else { "├─" }, network.name);
        branches(&mut text, view, network, if last { "   " } else { "│  " });
    }
    text
}

/// Where a network leads, but for other hosts, which are branches.
fn way(view: &GraphView, edge: &GraphEdge) -> Option<String> {
    let to = view.nodes.iter().find(|node| node.id == edge.to && node.kind != GraphKind::Host)?;
    Some(format!("{} to {}", edge.labels.join(", "), to.name))
}

fn branches(text: &mut String, view: &GraphView, network: &GraphNode, before: &str) {
    let find = |id: &str| view.nodes.iter().find(|node| node.id == id);
    let mut lines: Vec<(String, Option<&GraphNode>)> = Vec::new();
    for edge in view.edges.iter().filter(|edge| edge.to == network.id) {
        let Some(container) = find(&edge.from) else { continue };
        let published = |e: &&GraphEdge| e.to == container.id && e.via.as_ref() == Some(&network.id);
        let ports = view.edges.iter().filter(published).flat_map(|e| e.labels.iter().cloned());
        let all: Vec<String> = edge.labels.iter().cloned().chain(ports).collect();
        lines.push((format!("{}  {}", container.name, all.join("  ")), None));
    }
    for edge in view.edges.iter().filter(|edge| edge.from == network.id) {
        let Some(host) = find(&edge.to).filter(|node| node.kind == GraphKind::Host) else { continue };
        lines.push((
            format!("host {} ({}) by {}", host.name, host.details.join(", "), edge.labels.join(", ")),
            Some(host),
        ));
    }
    for (i, (line, host)) in lines.iter().enumerate() {
        let last = i + 1 == lines.len();
        let _ = writeln!(text, "{before}{} {line}", if last { "└─" } else { "├─" });
        let Some(host) = host else { continue };
        let inner = format!("{before}{}", if last { "   " } else { "│  " });
        for edge in view.edges.iter().filter(|edge| edge.to == host.id && edge.from != network.id) {
            let Some(container) = find(&edge.from).filter(|node| node.kind == GraphKind::Container) else { continue };
            let _ = writeln!(text, "{inner}- {}  {}", container.name, edge.labels.join("  "));
        }
    }
}

fn label(name: &str, details: &[String], line_break: &str) -> String {
    let plain = |text: &str| text.replace('\\', "/").replace('"', "'");
    std::iter::once(name).chain(details.iter().map(String::as_str)).map(plain).collect::<Vec<_>>().join(line_break)
}

/// Graphviz's language.
fn dot(view: &GraphView) -> String {
    let mut text = String::from("graph networks {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n");
    let shape = |node: &GraphNode| match node.kind {
        GraphKind::Network => ", shape=ellipse",
        GraphKind::Outside => ", shape=plaintext",
        GraphKind::Link => ", shape=cds",
        GraphKind::Host | GraphKind::Container => "",
    };
    let one = |node: &GraphNode| {
        format!("{} [label=\"{}\"{}];\n", node.id, label(&node.name, &node.details, "\\n"), shape(node))
    };
    for host in view.nodes.iter().filter(|node| node.kind == GraphKind::Host) {
        let _ = writeln!(
            text,
            "  subgraph cluster_{} {{\n    label=\"{}\";",
            host.id,
            label(&host.name, &host.details, "\\n")
        );
        // A group has no ends: what leads to a host leads to a point in it.
        let _ = writeln!(text, "    {} [shape=point];", host.id);
        for node in view.nodes.iter().filter(|node| node.within.as_ref() == Some(&host.id)) {
            let _ = write!(text, "    {}", one(node));
        }
        text.push_str("  }\n");
    }
    for node in view.nodes.iter().filter(|node| node.within.is_none() && node.kind != GraphKind::Host) {
        let _ = write!(text, "  {}", one(node));
    }
    for edge in &view.edges {
        let _ = writeln!(
            text,
            "  {} -- {} [label=\"{}\"];",
            edge.from,
            edge.to,
            label("", &edge.labels, "\\n").trim_start_matches("\\n")
        );
    }
    text.push_str("}\n");
    text
}

/// Mermaid's language.
fn mermaid(view: &GraphView) -> String {
    let mut text = String::from("flowchart LR\n");
    let one = |node: &GraphNode| {
        let label = label(&node.name, &node.details, "<br>");
        match node.kind {
            GraphKind::Network => format!("{}([\"{label}\"])\n", node.id),
            _ => format!("{}[\"{label}\"]\n", node.id),
        }
    };
    for host in view.nodes.iter().filter(|node| node.kind == GraphKind::Host) {
        let _ = writeln!(text, "  subgraph {}[\"{}\"]", host.id, label(&host.name, &host.details, "<br>"));
        for node in view.nodes.iter().filter(|node| node.within.as_ref() == Some(&host.id)) {
            let _ = write!(text, "    {}", one(node));
        }
        text.push_str("  end\n");
    }
    for node in view.nodes.iter().filter(|node| node.within.is_none() && node.kind != GraphKind::Host) {
        let _ = write!(text, "  {}", one(node));
    }
    for edge in &view.edges {
        let label = label("", &edge.labels, "<br>");
        let _ = writeln!(text, "  {} ---|\"{}\"| {}", edge.from, label.trim_start_matches("<br>"), edge.to);
    }
    text
}
