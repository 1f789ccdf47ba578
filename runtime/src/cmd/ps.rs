//! `ps`, `port`.

use crate::cli::container::{PortArgs, PsArgs};
use crate::term::table;
use jiff::Timestamp;
use netd_api::{ContainerId, PublishedPort, SandboxInfo};
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::instance::Instance;
use rcr_engine::list;
use rcr_engine::status::status;
use rcr_engine::store::Container;
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
    let shown = list::list(instance, args.all, &args.filter)?;
    if args.quiet {
        for container in shown.iter().rev() {
            println!("{}", id(&container.config.id, args.no_trunc));
        }
        return Ok(0);
    }
    let sandboxes = list::sandboxes(instance);
    let rows: Vec<Row> = shown.iter().rev().map(|c| row(c, &sandboxes, args.no_trunc)).collect();
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
        None => list::networks(config),
    };
    Row {
        id: id(&config.id, whole).to_owned(),
        image: config.image.reference.clone(),
        command,
        created_at: config.created.clone(),
        running_for: format!("{} ago", table::age(&config.created)),
        state: state.status.name(),
        status: status(state, Timestamp::now()),
        ports: sandbox.map(|s| ports(&s.ports)).unwrap_or_default(),
        names: config.name.clone(),
        networks: networks.join(","),
        labels: config.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(","),
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
