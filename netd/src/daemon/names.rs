//! Names of containers, as this host's containers see them.
//!
//! Containers on the host's network have names, too: on every other network they stand for the host, as it is reached
//! from there. A name opens nothing: whether the host answers is the network's `host_access`, or the container's
//! `host-gateway`.
//!
//! A container may ask for its names to be answered only while it is healthy: whoever announces it asks here first.

use super::namespace::opened;
use super::records::{Attached, Networks, Record, Sandbox};
use crate::dns::{Dns, Endpoint, View};
use crate::kernel::{KernelError, Resolver, replace_dns};
use crate::log::Log;
use netd_api::{ContainerId, NetnsSource, NetworkId};
use netd_core::drivers;
use netd_core::model::{Attachment, Network};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use tokio::runtime::Handle;

/// The names of this host, and who serves them.
pub struct Names {
    dns: Dns,
    runtime: Handle,
    log: Log,
    /// Containers that are not healthy and whose names depend on it.
    withheld: BTreeSet<ContainerId>,
}

impl Names {
    /// No names yet.
    pub fn new(dns: Dns, runtime: Handle, log: Log) -> Self {
        Self { dns, runtime, log, withheld: BTreeSet::new() }
    }

    /// Makes an endpoint known on a network.
    pub fn set(&self, network: &Network, endpoint: Endpoint) {
        self.dns.set_endpoint(&network.id, network.name.as_str(), endpoint);
    }

    /// Forgets a container on a network.
    pub fn forget(&self, network: &NetworkId, container: &ContainerId) {
        self.dns.remove_endpoint(network, container);
    }

    /// Whether nobody is to find this container now.
    pub fn withholds(&self, container: &ContainerId) -> bool {
        self.withheld.contains(container)
    }

    /// Notes the health of a container that is yet to be announced.
    pub fn expect(&mut self, record: &Record, healthy: bool) {
        if record.dns.healthy_only && !healthy {
            self.withheld.insert(record.id.clone());
        } else {
            self.withheld.remove(&record.id);
        }
    }

    /// A running container's health: its names come or go with it, if they depend on it.
    pub fn hear(&mut self, networks: &Networks, sandbox: &Sandbox, healthy: bool) {
        self.expect(&sandbox.record, healthy);
        if sandbox.record.dns.healthy_only {
            self.announce_all(networks, sandbox);
            self.announce_host(networks, &sandbox.record);
        }
    }

    /// A container that has ended.
    pub fn lose(&mut self, container: &ContainerId) {
        self.withheld.remove(container);
    }

    /// Makes a container known on one of its networks.
    pub fn announce(&self, networks: &Networks, record: &Record, attachment: &Attachment) {
        let Some(state) = networks.get(&attachment.network).filter(|n| n.network.linked()) else {
            return;
        };
        if self.withholds(&record.id) {
            return self.forget(&attachment.network, &record.id);
        }
        let mut names = vec![record.name.clone(), record.id.short().to_owned()];
        names.extend(attachment.aliases.iter().cloned());
        let addresses = attachment.addresses.iter().map(|n| n.addr()).collect();
        self.set(&state.network, Endpoint { container: record.id.clone(), names, addresses });
    }

    /// Makes a container of the host's network known on all others.
    pub fn announce_host(&self, networks: &Networks, record: &Record) {
        if record.source == NetnsSource::Host {
            networks.values().for_each(|state| self.announce_host_on(record, &state.network));
        }
    }

    /// Makes a container of the host's network known on another one, if it is one.
    pub fn announce_host_on(&self, record: &Record, network: &Network) {
        let addresses = drivers::of(&network.driver).host_addresses(network);
        if record.source == NetnsSource::Host && !addresses.is_empty() {
            if self.withholds(&record.id) {
                return self.forget(&network.id, &record.id);
            }
            let names = vec![record.name.clone(), record.id.short().to_owned()];
            self.set(network, Endpoint { container: record.id.clone(), names, addresses });
        }
    }

    /// The end of a container of the host's network.
    pub fn forget_host(&self, networks: &Networks, record: &Record) {
        if record.source == NetnsSource::Host {
            networks.keys().for_each(|network| self.forget(network, &record.id));
        }
    }

    /// Starts the container's resolver, if it is on a network with names.
    pub fn serve(&self, networks: &Networks, sandbox: &mut Sandbox, resolver: Option<Resolver>) {
        self.announce_all(networks, sandbox);
        self.announce_host(networks, &sandbox.record);
        let view = view(networks, sandbox);
        if view.networks.is_empty() || !sandbox.has_netns() {
            return;
        }
        let resolver = match resolver.map_or_else(|| replaced(sandbox), Ok) {
            Ok(resolver) => resolver,
            Err(error) => {
                self.log.line(format!("container `{}` has no names: {error}", sandbox.record.name));
                return;
            }
        };
        let _inside = self.runtime.enter();
        sandbox.service = Some(self.dns.serve(resolver.udp, resolver.tcp, view));
        sandbox.know_by_resolver();
    }

    /// After a change of networks: the container sees other names and has other names.
    pub fn refresh(&self, networks: &Networks, sandbox: &mut Sandbox) {
        match &sandbox.service {
            Some(service) => {
                service.set_view(view(networks, sandbox));
                self.announce_all(networks, sandbox);
            }
            None => self.serve(networks, sandbox, None),
        }
    }

    /// Makes a container known on all its networks.
    pub fn announce_all(&self, networks: &Networks, sandbox: &Sandbox) {
        sandbox.attached.iter().for_each(|a| self.announce(networks, &sandbox.record, &a.attachment));
    }
}

/// New sockets in place of those that an earlier netd had there.
fn replaced(sandbox: &Sandbox) -> Result<Resolver, KernelError> {
    replace_dns(opened(sandbox)?.ok_or(KernelError::NoNetns)?.as_fd())
}

/// What a container's resolver answers from.
pub fn view(networks: &Networks, sandbox: &Sandbox) -> View {
    let named = |a: &&Attached| networks.get(&a.attachment.network).is_some_and(|n| n.network.linked());
    let on: Vec<NetworkId> = sandbox.attached.iter().filter(named).map(|a| a.attachment.network.clone()).collect();
    let out = |id: &NetworkId| networks.get(id).is_some_and(|n| !n.network.internal);
    let mut servers = sandbox.record.dns.servers.clone();
    if servers.is_empty() {
        let own = on.iter().filter_map(|id| networks.get(id)).flat_map(|n| &n.network.dns);
        servers.extend(own.copied());
    }
    View { forward: on.iter().any(out), networks: on, servers, search: sandbox.record.dns.search.clone() }
}
