//! `network graph` in graphviz's language.
//!
//! Containers that are on one network and publish nothing differ by name and address alone: where there are many, they
//! stand in one box as a table. A box for each would make a picture of three hundred that is metres long.

use netd_api::{GraphEdge, GraphKind, GraphNode, GraphView};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// From so many on such containers of a network stand in one box.
const CROWD: usize = 8;
/// Lines of such a box before it gets another column.
const LINES: usize = 16;

const HEAD: &str = "graph networks {
  rankdir=LR; nodesep=0.18; ranksep=0.9;
  graph [fontname=\"sans-serif\", fontsize=13];
  node [shape=box, style=\"rounded,filled\", fillcolor=\"white\", color=\"#8a95a2\", fontname=\"sans-serif\", fontsize=12, margin=\"0.14,0.06\"];
  edge [fontname=\"sans-serif\", fontsize=10, fontcolor=\"#555f6b\", color=\"#6b7683\"];
";

/// A member of a crowd: the container, and how it is joined.
type Member<'a> = (&'a GraphNode, &'a GraphEdge);
/// Crowds by the id of what they are joined with.
type Crowds<'a> = BTreeMap<&'a str, Vec<Member<'a>>>;

/// A picture.
pub fn dot(view: &GraphView) -> String {
    let crowds = crowds(view);
    let crowded: BTreeSet<&str> = crowds.values().flatten().map(|(node, _)| node.id.as_str()).collect();
    let mut text = String::from(HEAD);
    let alone = |node: &&GraphNode| node.kind != GraphKind::Host && !crowded.contains(node.id.as_str());
    // Writing to a String can't fail.
    for host in view.nodes.iter().filter(|node| node.kind == GraphKind::Host) {
        let name = label(&host.name, &host.details);
        let _ = writeln!(text, "  subgraph cluster_{} {{", host.id);
        let _ = writeln!(
            text,
            "    label={name}; style=\"rounded,filled\"; color=\"#c5ccd4\"; fillcolor=\"#fafbfc\"; margin=14;"
        );
        // A group has no ends: what leads to a host leads to a point in it.
        if view.edges.iter().any(|edge| edge.from == host.id || edge.to == host.id) {
            let _ = writeln!(text, "    {} [shape=point];", host.id);
        }
        for node in view.nodes.iter().filter(alone).filter(|node| node.within.as_ref() == Some(&host.id)) {
            let _ = writeln!(text, "    {}", one(node));
        }
        for (of, members) in crowds.iter().filter(|(_, all)| all[0].0.within.as_ref() == Some(&host.id)) {
            let _ = writeln!(text, "    crowd_{of} [label=<{}>];", table(members));
        }
        text.push_str("  }\n");
    }
    for node in view.nodes.iter().filter(alone).filter(|node| node.within.is_none()) {
        let _ = writeln!(text, "  {}", one(node));
    }
    for edge in view.edges.iter().filter(|edge| !crowded.contains(edge.from.as_str())) {
        let _ = writeln!(text, "  {} -- {} [label={}];", edge.from, edge.to, lines(&edge.labels));
    }
    for of in crowds.keys() {
        let _ = writeln!(text, "  crowd_{of} -- {of} [penwidth=2];");
    }
    text.push_str("}\n");
    text
}

/// The containers that nothing leads to, and that one edge leads from.
fn crowds(view: &GraphView) -> Crowds<'_> {
    let mut edges: BTreeMap<&str, Vec<&GraphEdge>> = BTreeMap::new();
    for edge in &view.edges {
        edges.entry(&edge.from).or_default().push(edge);
        edges.entry(&edge.to).or_default().push(edge);
    }
    let mut crowds = Crowds::new();
    for node in view.nodes.iter().filter(|node| node.kind == GraphKind::Container) {
        if let Some([only]) = edges.get(node.id.as_str()).map(Vec::as_slice)
            && only.from == node.id
        {
            crowds.entry(&only.to).or_default().push((node, only));
        }
    }
    crowds.retain(|_, members| members.len() >= CROWD);
    crowds.values_mut().for_each(|members| members.sort_by_cached_key(|(node, _)| natural(&node.name)));
    crowds
}

/// A name as people sort it: `web-9` before `web-10`.
fn natural(name: &str) -> (Vec<(String, u64)>, String) {
    let mut parts = vec![(String::new(), 0u64)];
    let mut in_number = false;
    for c in name.chars() {
        if in_number && !c.is_ascii_digit() {
            parts.push((String::new(), 0));
        }
        in_number = c.is_ascii_digit();
        if let Some((word, number)) = parts.last_mut() {
            match c.to_digit(10) {
                Some(digit) => *number = number.saturating_mul(10).saturating_add(digit.into()),
                None => word.push(c),
            }
        }
    }
    (parts, name.to_owned())
}

fn one(node: &GraphNode) -> String {
    let look = match node.kind {
        GraphKind::Network => ", fillcolor=\"#e7f0fb\", color=\"#0b62c4\"",
        GraphKind::Outside => ", fillcolor=\"#f1f3f5\", penwidth=2",
        GraphKind::Link => ", shape=cds, style=filled, fillcolor=\"#f1f3f5\"",
        GraphKind::Host | GraphKind::Container => "",
    };
    format!("{} [label={}{look}];", node.id, label(&node.name, &node.details))
}

/// A name with what else is known below it, as graphviz's markup.
fn label(name: &str, details: &[String]) -> String {
    let more: String = details.iter().map(|detail| format!("<br/>{}", small(detail))).collect();
    format!("<<b>{}</b>{more}>", escaped(name))
}

fn small(text: &str) -> String {
    format!("<font point-size=\"10\" color=\"#555f6b\">{}</font>", escaped(text))
}

/// Names beside addresses, in columns that are read from top to bottom.
fn table(members: &[Member]) -> String {
    let columns = members.len().div_ceil(LINES);
    let lines = members.len().div_ceil(columns);
    let mut text = String::from("<table border=\"0\" cellborder=\"0\" cellspacing=\"0\" cellpadding=\"2\">");
    for line in 0..lines {
        text.push_str("<tr>");
        for (column, (node, edge)) in members.iter().skip(line).step_by(lines).enumerate() {
            // How its interface is called says little here.
            let addresses = if edge.labels.len() > 1 { &edge.labels[1..] } else { &edge.labels[..] };
            let gap = if column > 0 { "   " } else { "" };
            let _ = write!(text, "<td align=\"left\">{gap}<b>{}</b></td>", escaped(&node.name));
            let _ = write!(text, "<td align=\"left\">{}</td>", small(&addresses.join(", ")));
        }
        text.push_str("</tr>");
    }
    text + "</table>"
}

/// A label of several lines.
fn lines(labels: &[String]) -> String {
    let plain = |text: &String| format!(" {} ", text.replace('\\', "/").replace('"', "'"));
    format!("\"{}\"", labels.iter().map(plain).collect::<Vec<_>>().join("\\n"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_with(containers: usize) -> GraphView {
        let node = |id: &str, kind, name: &str, within: Option<&str>| GraphNode {
            id: id.to_owned(),
            kind,
            name: name.to_owned(),
            details: Vec::new(),
            within: within.map(str::to_owned),
        };
        let mut view = GraphView::default();
        view.nodes.push(node("host", GraphKind::Host, "this <host>", None));
        view.nodes.push(node("net_1", GraphKind::Network, "blue", Some("host")));
        for at in 0..containers {
            let id = format!("c_{at}");
            view.nodes.push(node(&id, GraphKind::Container, &format!("web-{at}"), Some("host")));
            let labels = vec!["eth0 = veth".to_owned(), format!("10.0.0.{at}/24")];
            view.edges.push(GraphEdge { from: id, to: "net_1".into(), labels, via: None });
        }
        view
    }

    #[test]
    fn a_few_have_a_box_each_and_many_stand_in_one() {
        let few = dot(&host_with(CROWD - 1));
        assert!(
            few.contains("c_3 -- net_1 [label=\" eth0 = veth \\n 10.0.0.3/24 \"]") && !few.contains("crowd"),
            "{few}"
        );
        assert!(few.contains("this &lt;host&gt;"), "{few}");
        let mut view = host_with(40);
        let outside = GraphEdge { from: "net_1".into(), to: "c_7".into(), labels: Vec::new(), via: None };
        view.edges.push(outside);
        let many = dot(&view);
        assert_eq!((many.matches("<table").count(), many.matches("<tr>").count()), (1, 13), "{many}");
        assert!(many.contains("crowd_net_1 -- net_1") && many.contains("10.0.0.39/24"), "{many}");
        // What something leads to stands alone.
        assert!(many.contains("c_7 [label=") && !many.contains("c_8 [label="), "{many}");
        let at = |name: &str| many.find(&format!("<b>{name}</b>")).unwrap_or_default();
        assert!(at("web-0") < at("web-14") && at("web-1") < at("web-10"), "{many}");
    }
}
