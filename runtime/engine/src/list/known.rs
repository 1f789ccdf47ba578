//! What is known of containers: from their own files, and from netd.

use crate::config::{Config, NetworkMode};
use crate::instance::Instance;
use crate::net::Netd;
use crate::store::Container;
use netd_api::{Call, ContainerId, Reply, SandboxInfo};
use rcr_shim::health::HealthStatus;
use std::collections::HashMap;

/// What the health check of a container says; `none`: there is none.
pub fn health(container: &Container) -> &'static str {
    match (&container.config.health, container.state.health) {
        (None, _) => "none",
        (Some(_), Some(status)) => status.name(),
        (Some(_), None) => HealthStatus::Starting.name(),
    }
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
