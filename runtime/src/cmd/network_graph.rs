//! `network graph`: the topology as a tree, or in a language that others draw.

use super::network_dot::dot;
use crate::cli::network::{Drawing, GraphArgs};
use crate::report::{self, printable};
use crate::term::outlet::say;
use crate::term::table;
use netd_api::{GraphEdge, GraphKind, GraphNode, GraphView};
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::events::{End, changes};
use rcr_engine::explain;
use rcr_engine::instance::Instance;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::Path;

/// `rcr network graph`.
pub fn graph(instance: &Instance, args: &GraphArgs) -> Outcome<i32> {
    let to = args.output.as_deref().map(|path| form(path).map(|form| (path, form))).transpose()?;
    let mut last = None;
    let mut draw = || {
        let view = explain::graph(instance, &args.networks, args.container.as_deref())?;
        if last.as_ref() == Some(&view) {
            return Ok(());
        }
        match to {
            Some((path, form)) => written(path, &form.bytes(&view)?)?,
            None => say(&shown(&said(args.drawing, &view)?, args.watch))?,
        }
        last = Some(view);
        Ok(())
    };
    if !args.watch {
        draw()?;
        return Ok(0);
    }
    match changes(instance, io::stdout().as_fd(), &mut draw)? {
        End::Over => Ok(0),
        End::Unread => Err(report::broken_pipe()),
    }
}

/// What a picture in a file is.
#[derive(Clone, Copy)]
enum Form {
    Svg,
    Said(Drawing),
}

/// The end of a file's name says it.
fn form(path: &Path) -> Outcome<Form> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("svg") => Ok(Form::Svg),
        Some("dot" | "gv") => Ok(Form::Said(Drawing::Dot)),
        Some("mmd") => Ok(Form::Said(Drawing::Mermaid)),
        Some("json") => Ok(Form::Said(Drawing::Json)),
        Some("txt") => Ok(Form::Said(Drawing::Text)),
        _ => Err(Error::new(Kind::Invalid, format!("cannot draw into `{}`", path.display()))
            .caused_by("the end of its name says no picture")
            .hint("end it in .svg, .dot, .mmd, .json or .txt")),
    }
}

impl Form {
    fn bytes(self, view: &GraphView) -> Outcome<Vec<u8>> {
        match self {
            Self::Svg => rcr_engine::draw::svg(&dot(view)),
            Self::Said(drawing) => said(drawing, view).map(String::into_bytes),
        }
    }
}

/// In one of the languages.
fn said(drawing: Drawing, view: &GraphView) -> Outcome<String> {
    Ok(match drawing {
        Drawing::Text => printable(&text(view)),
        Drawing::Dot => printable(&dot(view)),
        Drawing::Mermaid => printable(&mermaid(view)),
        Drawing::Json => table::json(view)? + "\n",
    })
}

/// On a terminal that is watched a picture takes the last one's place.
fn shown(text: &str, watched: bool) -> String {
    let clear = if watched && io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    format!("{clear}{text}")
}

/// Writes a file at once: who looks at it sees the last picture or this one, whole.
fn written(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let doing = || format!("cannot write to `{}`", path.display());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let begun = path.with_file_name(name);
    let done = std::fs::write(&begun, bytes).and_then(|()| std::fs::rename(&begun, path));
    if done.is_err() {
        let _ = std::fs::remove_file(&begun);
    }
    done.doing(doing)
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
        lines.push((format!("{}  {}", container.name, all.join("  ")).trim_end().to_owned(), None));
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
