//! Listing containers, with what netd knows of them.

mod filter;

use crate::config::{Config, NetworkMode};
use crate::instance::Instance;
use crate::net::Netd;
use crate::parse::filter::{ContainerFilter, fits_all};
use crate::store::Container;
use crate::usage::{self, Size};
use netd_api::{Call, ContainerId, PublishedPort, Reply, SandboxInfo};
use rcr_base::Outcome;
use rcr_shim::health::HealthStatus;
use std::collections::HashMap;

/// Which containers a listing is about.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Stopped ones, too. Filters by status or exit code and `last` imply it.
    pub all: bool,
    /// At most so many, the newest.
    pub last: Option<usize>,
    /// What they must fit.
    pub filters: Vec<ContainerFilter>,
}

/// All containers that match, oldest first.
pub fn list(instance: &Instance, selection: &Selection) -> Outcome<Vec<Container>> {
    let ended = |f: &ContainerFilter| matches!(f, ContainerFilter::Status(_) | ContainerFilter::Exited(_));
    let all = selection.all || selection.last.is_some() || selection.filters.iter().any(ended);
    let tests = selection.filters.iter().map(|filter| filter::test(instance, filter)).collect::<Outcome<Vec<_>>>()?;
    let mut list = instance.containers().list()?;
    list.retain(|c| (all || c.state.status.is_alive()) && fits_all(c, &tests));
    if let Some(last) = selection.last {
        list.drain(..list.len().saturating_sub(last));
    }
    Ok(list)
}

/// What a container takes on the disk.
pub fn size(instance: &Instance, container: &Container) -> Size {
    usage::container(instance, container)
}

/// What the health check of a container says; `none`: there is none.
pub fn health(container: &Container) -> &'static str {
    match (&container.config.health, container.state.health) {
        (None, _) => "none",
        (Some(_), Some(status)) => status.name(),
        (Some(_), None) => HealthStatus::Starting.name(),
    }
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
