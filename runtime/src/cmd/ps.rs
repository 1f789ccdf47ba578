//! `ps`, `port`.

use super::table;
use crate::cli::container::{PortArgs, PsArgs};
use crate::cli::value;
use netd_api::{Call, ContainerId, PublishedPort, Reply, SandboxInfo};
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::config::{Config, NetworkMode};
use rcr_engine::instance::Instance;
use rcr_engine::net::Netd;
use rcr_engine::store::Container;
use rcr_shim::state::{State, Status};
use serde::Serialize;
use std::collections::HashMap;

/// One line of `ps --format json`, with Docker's keys.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "ID")]
    id: String,
    image: String,
    command: String,
    created_at: String,
    running_for: String,
    state: &'static str,
    status: String,
    ports: String,
    names: String,
    networks: String,
    labels: String,
}

/// `rcr ps`.
pub fn ps(instance: &Instance, args: &PsArgs) -> Outcome<i32> {
    let all = instance.containers().list()?;
    let filters = args.filter.iter().map(|text| parse_filter(text)).collect::<Outcome<Vec<_>>>()?;
    let by_status = filters.iter().any(|filter| matches!(filter, Filter::Status(_)));
    let shown: Vec<&Container> = all
        .iter()
        .filter(|c| args.all || by_status || c.state.status.is_alive())
        .filter(|c| matches_all(c, &filters))
        .collect();
    if args.quiet {
        for container in shown.into_iter().rev() {
            println!("{}", id(&container.config.id, args.no_trunc));
        }
        return Ok(0);
    }
    let sandboxes = sandboxes(instance);
    let rows: Vec<Row> = shown.into_iter().rev().map(|c| row(c, &sandboxes, args.no_trunc)).collect();
    if args.format.is_json() {
        rows.iter().for_each(table::print_json);
        return Ok(0);
    }
    let cells = rows.into_iter().map(|r| vec![r.id, r.image, r.command, r.running_for, r.status, r.ports, r.names]);
    table::print(
        &["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"],
        &cells.collect::<Vec<_>>(),
    );
    Ok(0)
}

fn id(id: &ContainerId, whole: bool) -> &str {
    if whole { id.as_str() } else { id.short() }
}

/// One `--filter`. Several of one kind are alternatives, but for labels, which must all be there, as with Docker.
enum Filter {
    /// A regular expression, found in the name with or without a slash before it.
    Name(regex_lite::Regex),
    Id(String),
    Status(String),
    Network(String),
    Label {
        key: String,
        value: Option<String>,
        wanted: bool,
    },
}

fn parse_filter(text: &str) -> Outcome<Filter> {
    const KNOWN: [&str; 5] = ["name", "id", "label", "status", "network"];
    const STATES: [&str; 7] = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let value = value.to_owned();
    match key {
        "name" => regex_lite::Regex::new(&value).map(Filter::Name).map_err(|error| {
            Error::new(Kind::Invalid, format!("cannot understand the filter `{text}`")).caused_by(error.to_string())
        }),
        "id" => Ok(Filter::Id(value)),
        "status" if STATES.contains(&value.as_str()) => Ok(Filter::Status(value)),
        "status" => {
            Err(Error::new(Kind::Invalid, format!("unknown status `{value}`{}", value::nearest(&value, &STATES))))
        }
        "network" => Ok(Filter::Network(value)),
        "label" | "label!" => {
            let (name, wanted_value) = match value.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (value, None),
            };
            Ok(Filter::Label { key: name, value: wanted_value, wanted: key == "label" })
        }
        _ => Err(Error::new(Kind::Invalid, format!("unknown filter `{key}`{}", value::nearest(key, &KNOWN)))),
    }
}

fn matches_all(container: &Container, filters: &[Filter]) -> bool {
    let config = &container.config;
    // For each kind but labels: whether one was asked for, and whether one fits.
    let mut kinds = [(false, false); 4];
    for filter in filters {
        let (kind, fits) = match filter {
            Filter::Name(name) => (0, name.is_match(&config.name) || name.is_match(&format!("/{}", config.name))),
            Filter::Id(id) => (1, config.id.as_str().starts_with(id)),
            Filter::Status(status) => (2, container.state.status.name() == status),
            Filter::Network(network) => (3, networks(config).contains(network)),
            Filter::Label { key, value, wanted } => {
                let has = config.labels.get(key).is_some_and(|v| value.as_ref().is_none_or(|wanted| wanted == v));
                if has != *wanted {
                    return false;
                }
                continue;
            }
        };
        kinds[kind].0 = true;
        kinds[kind].1 |= fits;
    }
    kinds.iter().all(|(asked, fits)| !asked || *fits)
}

fn networks(config: &Config) -> Vec<String> {
    match &config.network.mode {
        NetworkMode::Networks(list) => list.iter().map(|a| a.network.clone()).collect(),
        other => vec![other.text()],
    }
}

/// What netd knows of each container; nothing if it does not run.
fn sandboxes(instance: &Instance) -> HashMap<ContainerId, SandboxInfo> {
    let list = Netd::connect_running(&instance.dirs).and_then(|mut netd| match netd.call(Call::SandboxList) {
        Ok(Reply::Sandboxes(list)) => Some(list),
        _ => None,
    });
    list.into_iter().flatten().map(|sandbox| (sandbox.id.clone(), sandbox)).collect()
}

fn row(container: &Container, sandboxes: &HashMap<ContainerId, SandboxInfo>, whole: bool) -> Row {
    let Container { config, state } = container;
    let sandbox = sandboxes.get(&config.id).filter(|_| state.status.is_alive());
    let command = config.process.args.join(" ");
    let command = match command.char_indices().nth(19) {
        Some((at, _)) if !whole => format!("\"{}…\"", &command[..at]),
        _ => format!("\"{command}\""),
    };
    let networks = match sandbox {
        Some(sandbox) => sandbox.attachments.iter().map(|a| a.network.to_string()).collect(),
        None => networks(config),
    };
    Row {
        id: id(&config.id, whole).to_owned(),
        image: config.image.reference.clone(),
        command,
        created_at: config.created.clone(),
        running_for: format!("{} ago", table::age(&config.created)),
        state: state.status.name(),
        status: status(state),
        ports: sandbox.map(|s| ports(&s.ports)).unwrap_or_default(),
        names: config.name.clone(),
        networks: networks.join(","),
        labels: config.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(","),
    }
}

fn status(state: &State) -> String {
    let since = |time: &Option<String>| time.as_deref().map_or("unknown time".into(), table::age);
    let code = state.exit_code.unwrap_or_default();
    match state.status {
        Status::Created => "Created".into(),
        Status::Running => format!("Up {}", since(&state.started_at)),
        Status::Restarting => format!("Restarting ({code}) {} ago", since(&state.finished_at)),
        Status::Exited => format!("Exited ({code}) {} ago", since(&state.finished_at)),
    }
}

fn range(first: u16, count: u16) -> String {
    if count > 1 { format!("{first}-{}", first + (count - 1)) } else { first.to_string() }
}

fn host(port: &PublishedPort) -> String {
    std::net::SocketAddr::new(port.host_ip, 0).to_string().trim_end_matches('0').to_owned()
        + &range(port.host_port, port.count)
}

fn ports(ports: &[PublishedPort]) -> String {
    let one = |p: &PublishedPort| format!("{}->{}/{}", host(p), range(p.container_port, p.count), p.proto);
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `rcr port`.
pub fn port(instance: &Instance, args: &PortArgs) -> Outcome<i32> {
    let container = instance.containers().find(&args.name)?;
    let sandboxes = sandboxes(instance);
    let published = sandboxes.get(&container.config.id).filter(|_| container.state.status.is_alive());
    let published = published.map(|s| s.ports.clone()).unwrap_or_default();
    let Some(wanted) = &args.port else {
        for p in &published {
            println!("{}/{} -> {}", range(p.container_port, p.count), p.proto, host(p));
        }
        return Ok(0);
    };
    let wanted = value::exposed(wanted)
        .map_err(|why| Error::new(Kind::Invalid, format!("cannot understand the port `{wanted}`")).caused_by(why))?;
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
