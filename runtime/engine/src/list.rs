//! Listing containers, with what netd knows of them.

use crate::config::{Config, NetworkMode};
use crate::instance::Instance;
use crate::net::Netd;
use crate::parse::filter::ContainerFilter;
use crate::store::Container;
use netd_api::{Call, ContainerId, PublishedPort, Reply, SandboxInfo};
use rcr_base::Outcome;
use std::collections::HashMap;

/// All containers that match, oldest first. `all`: stopped ones, too; a filter by status implies it.
pub fn list(instance: &Instance, all: bool, filters: &[ContainerFilter]) -> Outcome<Vec<Container>> {
    let by_status = filters.iter().any(|filter| matches!(filter, ContainerFilter::Status(_)));
    let mut list = instance.containers().list()?;
    list.retain(|c| (all || by_status || c.state.status.is_alive()) && matches_all(c, filters));
    Ok(list)
}

/// A container with its ports as they are published; none if it does not run.
pub fn published(instance: &Instance, name: &str) -> Outcome<(Container, Vec<PublishedPort>)> {
    let container = instance.containers().find(name)?;
    let sandbox = sandboxes(instance).remove(&container.config.id).filter(|_| container.state.status.is_alive());
    Ok((container, sandbox.map(|sandbox| sandbox.ports).unwrap_or_default()))
}

/// netd's record of one container, if it runs.
pub fn sandbox(instance: &Instance, container: &Container) -> Option<SandboxInfo> {
    let call = Call::SandboxInspect { id: container.config.id.clone() };
    let sandbox = Netd::connect_running(&instance.dirs).and_then(|mut netd| netd.sandbox(call).ok());
    sandbox.map(|(sandbox, _)| sandbox).filter(|_| container.state.status.is_alive())
}

fn matches_all(container: &Container, filters: &[ContainerFilter]) -> bool {
    let config = &container.config;
    // For each kind but labels: whether it was asked for, and whether one matches.
    let mut kinds = [(false, false); 4];
    for filter in filters {
        let (kind, fits) = match filter {
            ContainerFilter::Name(name) => {
                (0, name.is_match(&config.name) || name.is_match(&format!("/{}", config.name)))
            }
            ContainerFilter::Id(id) => (1, config.id.as_str().starts_with(id)),
            ContainerFilter::Status(status) => (2, container.state.status.name() == status),
            ContainerFilter::Network(network) => (3, networks(config).contains(network)),
            ContainerFilter::Label { key, value, wanted } => {
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

/// The networks that a container was asked to be on.
pub fn networks(config: &Config) -> Vec<String> {
    match &config.network.mode {
        NetworkMode::Networks(list) => list.iter().map(|a| a.network.clone()).collect(),
        other => vec![other.text()],
    }
}

/// netd's record of each container; empty if netd does not run.
pub fn sandboxes(instance: &Instance) -> HashMap<ContainerId, SandboxInfo> {
    let list = Netd::connect_running(&instance.dirs).and_then(|mut netd| match netd.call(Call::SandboxList) {
        Ok(Reply::Sandboxes(list)) => Some(list),
        _ => None,
    });
    list.into_iter().flatten().map(|sandbox| (sandbox.id.clone(), sandbox)).collect()
}
