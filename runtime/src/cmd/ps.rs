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
use rcr_engine::status::{age, status};
use rcr_engine::store::Container;
use rcr_engine::top;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::collections::{BTreeMap, HashMap};

/// One container. Each field is made when it is asked for: a table of a thousand containers has eight of fourteen.
struct Line<'a> {
    container: &'a Container,
    /// What netd knows of it, if it runs.
    sandbox: Option<&'a SandboxInfo>,
    /// Nothing is cut off.
    whole: bool,
    size: String,
    now: Timestamp,
}

impl Row for Line<'_> {
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
        Some(&self.container.config.labels)
    }

    fn field(&self, name: &str) -> Option<String> {
        let Container { config, state } = self.container;
        Some(match name {
            "Command" => format!("\"{}\"", self.cut(config.process.args.join(" "), 20)),
            "CreatedAt" => local_time(&config.created),
            "ID" => id(&config.id, self.whole).to_owned(),
            "Image" => config.image.reference.clone(),
            "Labels" => table::labels(&config.labels),
            "LocalVolumes" => volumes(config).count().to_string(),
            "Mounts" => mounts(config).into_iter().map(|name| self.cut(name, 15)).collect::<Vec<_>>().join(","),
            "Names" => config.name.clone(),
            "Networks" => self.networks().join(","),
            "Ports" if state.status.is_alive() => ports(config, self.sandbox),
            "Ports" => String::new(),
            "RunningFor" => format!("{} ago", age(&config.created, self.now)),
            "Size" => self.size.clone(),
            "State" => state.status.name().to_owned(),
            "Status" => status(state, self.now),
            _ => return None,
        })
    }
}

/// With Docker's names, in the order of the alphabet.
impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut names: Vec<&'static str> = Self::HEADINGS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable_by_key(|name| name.to_ascii_lowercase());
        let mut fields = serializer.serialize_struct("Line", names.len())?;
        for name in names {
            fields.serialize_field(name, &self.field(name))?;
        }
        fields.end()
    }
}

impl Line<'_> {
    fn cut(&self, text: String, most: usize) -> String {
        if self.whole { text } else { shortened(&text, most) }
    }

    fn networks(&self) -> Vec<String> {
        match self.sandbox {
            Some(sandbox) => sandbox.attachments.iter().map(|a| a.network.to_string()).collect(),
            None => list::networks(&self.container.config),
        }
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
    let now = Timestamp::now();
    let line = |container| Line {
        container,
        sandbox: sandboxes.get(&container.config.id).filter(|_| container.state.status.is_alive()),
        whole: args.no_trunc,
        size: if sized { size(instance, container) } else { "0B".into() },
        now,
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
