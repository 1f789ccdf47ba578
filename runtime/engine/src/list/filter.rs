//! Filters of containers → tests. What a filter names (an image, another container, a network) is looked up once.

use super::known::{health, networks, sandboxes};
use crate::config::{Config, Exposed, MountKind};
use crate::images;
use crate::instance::Instance;
use crate::parse::filter::{ContainerFilter, Fits, Test};
use crate::store::{Container, Status};
use netd_api::Proto;
use rcr_base::Outcome;
use std::path::PathBuf;

/// The test that a filter stands for.
pub fn test(instance: &Instance, filter: &ContainerFilter) -> Outcome<Test<Container>> {
    let (kind, fits): (_, Fits<Container>) = match filter.clone() {
        ContainerFilter::Name(name) => {
            ("name", Box::new(move |c| name.is_match(&c.config.name) || name.is_match(&format!("/{}", c.config.name))))
        }
        ContainerFilter::Id(id) => ("id", Box::new(move |c| id.is_match(c.config.id.as_str()))),
        ContainerFilter::Status(status) => ("status", Box::new(move |c| c.state.status.name() == status)),
        ContainerFilter::Network(network) => ("network", on_network(instance, network)),
        ContainerFilter::Label(label) => ("label", Box::new(move |c| label.fits(&c.config.labels))),
        ContainerFilter::Ancestor(name) => ("ancestor", of_image(instance, &name)),
        ContainerFilter::Exited(code) => (
            "exited",
            Box::new(move |c| c.state.status == Status::Exited && c.state.exit_code.unwrap_or_default() == code),
        ),
        ContainerFilter::Before(name) => {
            let created = instance.containers().find(&name)?.config.created;
            ("before", Box::new(move |c| c.config.created < created))
        }
        ContainerFilter::Since(name) => {
            let created = instance.containers().find(&name)?.config.created;
            ("since", Box::new(move |c| c.config.created > created))
        }
        ContainerFilter::Volume(volume) => ("volume", Box::new(move |c| mounts(&c.config, &volume))),
        ContainerFilter::Publish(port) => ("publish", publishes(instance, port)),
        ContainerFilter::Expose(port) => ("expose", exposes(instance, port)),
        ContainerFilter::Health(wanted) => ("health", Box::new(move |c| health(c) == wanted)),
        ContainerFilter::Task(wanted) => ("is-task", Box::new(move |_| !wanted)),
    };
    Ok(Test { kind, fits })
}

fn on_network(instance: &Instance, network: String) -> Fits<Container> {
    let by_id = network.len() >= 4 && network.bytes().all(|b| b.is_ascii_hexdigit());
    let running = if by_id { sandboxes(instance) } else { Default::default() };
    Box::new(move |c| {
        let attached = running.get(&c.config.id).into_iter().flat_map(|sandbox| &sandbox.attachments);
        networks(&c.config).contains(&network)
            || attached.into_iter().any(|a| a.network_id.as_str().starts_with(&network))
    })
}

/// A container is of an image if it has its layers at the bottom; of one that is not in the store, if it was made by
/// this name or id.
fn of_image(instance: &Instance, name: &str) -> Fits<Container> {
    let found = images::store(instance).and_then(|store| {
        let image = store.resolve(name)?;
        let layers: Vec<PathBuf> = store.layers(&image)?;
        Ok((image.id.to_string(), layers))
    });
    match found {
        Ok((id, layers)) => Box::new(move |c| {
            let on_top = !layers.is_empty() && c.config.image.layers.starts_with(&layers);
            c.config.image.id == id || on_top
        }),
        Err(_) => {
            let name = name.to_owned();
            Box::new(move |c| {
                let id = c.config.image.id.trim_start_matches("sha256:");
                c.config.image.reference == name || (name.len() >= 12 && id.starts_with(&name))
            })
        }
    }
}

fn mounts(config: &Config, wanted: &str) -> bool {
    config.mounts.iter().any(|mount| {
        let source = match &mount.kind {
            MountKind::Volume { name, .. } => name == wanted,
            MountKind::Bind { source, .. } => source.to_str() == Some(wanted),
            _ => false,
        };
        source || mount.target == wanted
    })
}

fn overlap(port: Exposed, first: u16, count: u16, proto: Proto) -> bool {
    let last = |first: u16, count: u16| u32::from(first) + u32::from(count);
    proto == port.proto && u32::from(first) < last(port.port, port.count) && u32::from(port.port) < last(first, count)
}

/// Ports as they are published now.
fn publishes(instance: &Instance, port: Exposed) -> Fits<Container> {
    let running = sandboxes(instance);
    Box::new(move |c| {
        let published = running.get(&c.config.id).filter(|_| c.state.status.is_alive());
        published.is_some_and(|s| s.ports.iter().any(|p| overlap(port, p.container_port, p.count, p.proto)))
    })
}

fn exposes(instance: &Instance, port: Exposed) -> Fits<Container> {
    let published = publishes(instance, port);
    Box::new(move |c| {
        let exposed = c.config.network.exposed.iter().any(|e| overlap(port, e.port, e.count, e.proto));
        published(c) || (exposed && c.state.status.is_alive())
    })
}
