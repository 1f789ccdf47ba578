//! `ps`, `port`, `top`.

use crate::cli::container::{PortArgs, PsArgs, TopArgs};
use crate::template::Format;
use crate::term::listing::{self, Row};
use crate::term::table::{self, local_time, shortened};
use jiff::Timestamp;
use netd_api::{ContainerId, PublishedPort, SandboxInfo};
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::config::{Config, MountKind};
use rcr_engine::instance::Instance;
use rcr_engine::list::{self, Selection};
use rcr_engine::status::status;
use rcr_engine::store::Container;
use rcr_engine::top;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// One container, with Docker's keys.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    command: String,
    created_at: String,
    #[serde(rename = "ID")]
    id: String,
    image: String,
    labels: String,
    local_volumes: String,
    mounts: String,
    names: String,
    networks: String,
    ports: String,
    running_for: String,
    size: String,
    state: &'static str,
    status: String,
    #[serde(skip)]
    all_labels: BTreeMap<String, String>,
}

impl Row for Line {
    const HEADINGS: &'static [(&'static str, &'static str)] = &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("State", "STATE"),
        ("Ports", "PORTS"),
        ("Names", "NAMES"),
        ("Labels", "LABELS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Mounts", "MOUNTS"),
        ("Networks", "NETWORKS"),
        ("Size", "SIZE"),
    ];

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.all_labels)
    }
}

const COLUMNS: [&str; 8] = ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", "Size"];

/// `rcr ps`.
pub fn ps(instance: &Instance, args: &PsArgs) -> Outcome<i32> {
    let last = if args.latest { Some(1) } else { args.last };
    let selection = Selection { all: args.all, last, filters: args.filter.clone() };
    let shown = list::list(instance, &selection)?;
    if args.quiet {
        // One write(2), as in `listing::print`.
        let ids: String = shown.iter().rev().map(|c| format!("{}\n", id(&c.config.id, args.no_trunc))).collect();
        print!("{ids}");
        return Ok(0);
    }
    let format = args.format.format.as_ref();
    let sized = args.size || format.is_some_and(|format| mentions(format, ".Size"));
    // netd knows the published ports and the networks: it is asked where some are shown.
    let publishes = |c: &Container| c.state.status.is_alive() && !c.config.network.to_publish().is_empty();
    let is_table = matches!(format, None | Some(Format::Table));
    let sandboxes = match is_table && !shown.iter().any(publishes) {
        true => HashMap::new(),
        false => list::sandboxes(instance),
    };
    let line = |c: &Container| {
        let mut line = line(c, sandboxes.get(&c.config.id), args.no_trunc);
        if sized {
            line.size = size(instance, c);
        }
        line
    };
    let lines: Vec<Line> = shown.iter().rev().map(line).collect();
    let columns = if args.size { &COLUMNS[..] } else { &COLUMNS[..7] };
    listing::print(format, columns, &lines)?;
    Ok(0)
}

/// Sizes are added up from all files: only for who asks.
fn mentions(format: &Format, field: &str) -> bool {
    match format {
        Format::Lines(template) | Format::Columns(template) => template.mentions(field),
        Format::Json | Format::Table => false,
    }
}

fn id(id: &ContainerId, whole: bool) -> &str {
    if whole { id.as_str() } else { id.short() }
}

/// What the container has written, and that with its image.
fn size(instance: &Instance, container: &Container) -> String {
    let size = list::size(instance, container);
    format!("{} (virtual {})", table::size(size.own), table::size(size.whole))
}

fn line(container: &Container, sandbox: Option<&SandboxInfo>, whole: bool) -> Line {
    let Container { config, state } = container;
    let sandbox = sandbox.filter(|_| state.status.is_alive());
    let cut = |text: String, most| if whole { text } else { shortened(&text, most) };
    let networks = match sandbox {
        Some(sandbox) => sandbox.attachments.iter().map(|a| a.network.to_string()).collect(),
        None => list::networks(config),
    };
    Line {
        command: format!("\"{}\"", cut(config.process.args.join(" "), 20)),
        created_at: local_time(&config.created),
        id: id(&config.id, whole).to_owned(),
        image: config.image.reference.clone(),
        labels: table::labels(&config.labels),
        local_volumes: volumes(config).count().to_string(),
        mounts: mounts(config).into_iter().map(|name| cut(name, 15)).collect::<Vec<_>>().join(","),
        names: config.name.clone(),
        networks: networks.join(","),
        ports: if state.status.is_alive() { ports(config, sandbox) } else { String::new() },
        running_for: format!("{} ago", table::age(&config.created)),
        size: "0B".into(),
        state: state.status.name(),
        status: status(state, Timestamp::now()),
        all_labels: config.labels.clone(),
    }
}

fn volumes(config: &Config) -> impl Iterator<Item = &str> {
    config.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { name, .. } => Some(name.as_str()),
        _ => None,
    })
}

/// Volumes by name, and folders of the host.
fn mounts(config: &Config) -> Vec<String> {
    let name = |kind: &MountKind| match kind {
        MountKind::Volume { name, .. } => Some(name.clone()),
        MountKind::Bind { source, .. } => Some(source.display().to_string()),
        _ => None,
    };
    config.mounts.iter().filter_map(|mount| name(&mount.kind)).collect()
}

fn range(first: u16, count: u16) -> String {
    if count > 1 { format!("{first}-{}", first + (count - 1)) } else { first.to_string() }
}

fn host(port: &PublishedPort) -> String {
    std::net::SocketAddr::new(port.host_ip, 0).to_string().trim_end_matches('0').to_owned()
        + &range(port.host_port, port.count)
}

/// A published port as listings have it.
pub(super) fn mapping(p: &PublishedPort) -> String {
    format!("{}->{}/{}", host(p), range(p.container_port, p.count), p.proto)
}

/// Published ports, then those that are only exposed.
fn ports(config: &Config, sandbox: Option<&SandboxInfo>) -> String {
    let published = sandbox.map(|s| s.ports.as_slice()).unwrap_or_default();
    let mut all: Vec<String> = published.iter().map(mapping).collect();
    for e in &config.network.exposed {
        let known = published
            .iter()
            .any(|p| p.proto == e.proto && e.port >= p.container_port && e.port - p.container_port < p.count);
        if !known {
            all.push(format!("{}/{}", range(e.port, e.count), e.proto));
        }
    }
    all.join(", ")
}

/// `rcr port`.
pub fn port(instance: &Instance, args: &PortArgs) -> Outcome<i32> {
    let (container, published) = list::published(instance, &args.name)?;
    let Some(wanted) = &args.port else {
        for p in &published {
            println!("{}/{} -> {}", range(p.container_port, p.count), p.proto, host(p));
        }
        return Ok(0);
    };
    let mut found = false;
    for p in published.iter().filter(|p| p.proto == wanted.proto) {
        if let Some(offset) = wanted.port.checked_sub(p.container_port).filter(|offset| *offset < p.count) {
            println!("{}", std::net::SocketAddr::new(p.host_ip, p.host_port + offset));
            found = true;
        }
    }
    if found {
        return Ok(0);
    }
    let (name, port) = (&container.config.name, format!("{}/{}", wanted.port, wanted.proto));
    crate::report::print(&Error::new(Kind::NotFound, format!("container `{name}` does not publish {port}")));
    Ok(1)
}

/// `rcr top`.
pub fn top(instance: &Instance, args: &TopArgs) -> Outcome<i32> {
    let found = top::top(instance, &args.name, &args.options)?;
    let titles: Vec<&str> = found.titles.iter().map(String::as_str).collect();
    table::print(&titles, &found.rows);
    Ok(0)
}
