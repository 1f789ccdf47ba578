//! Names of containers on the host's network: on every other network they stand for the host, as it is reached from there.
//!
//! A name opens nothing: whether the host answers is the network's `host_access`, or the container's `host-gateway`.

use super::records::Record;
use super::state::Daemon;
use crate::dns::Endpoint;
use netd_api::{ContainerId, GatewayMode, NetnsSource, NetworkId};
use netd_core::model::Network;
use std::net::IpAddr;

/// The host's own addresses on a network; none, where it has no part in it.
pub fn addresses(network: &Network) -> Vec<IpAddr> {
    match (&network.own_link, network.bridge()) {
        (Some(own), _) => own.addresses.clone(),
        (None, Some(_)) => {
            let present = network.subnets.iter().filter(|s| network.gateway_mode(s) != GatewayMode::Isolated);
            present.filter_map(|s| s.gateway).collect()
        }
        (None, None) => Vec::new(),
    }
}

impl Daemon {
    /// Makes a container of the host's network known on all others.
    pub(super) fn announce_host_container(&self, record: &Record) {
        if record.source == NetnsSource::Host {
            self.networks.values().for_each(|state| self.announce_on(record, &state.network));
        }
    }

    /// Makes all containers of the host's network known on a new one.
    pub(super) fn announce_host_on(&self, network: &Network) {
        let on_host = self.sandboxes.values().filter(|s| s.record.source == NetnsSource::Host);
        on_host.for_each(|sandbox| self.announce_on(&sandbox.record, network));
    }

    fn announce_on(&self, record: &Record, network: &Network) {
        let addresses = addresses(network);
        if !addresses.is_empty() {
            let names = vec![record.name.clone(), record.id.short().to_owned()];
            let endpoint = Endpoint { container: record.id.clone(), names, addresses };
            self.dns.set_endpoint(&network.id, network.name.as_str(), endpoint);
        }
    }

    /// The end of a container of the host's network.
    pub(super) fn forget_host_container(&self, record: &Record) {
        if record.source == NetnsSource::Host {
            self.networks.keys().for_each(|network| self.dns.remove_endpoint(network, &record.id));
        }
    }

    /// The end of a network.
    pub(super) fn forget_host_on(&self, network: &NetworkId) {
        let ids: Vec<&ContainerId> = self.sandboxes.keys().collect();
        ids.into_iter().for_each(|id| self.dns.remove_endpoint(network, id));
    }
}
