//! Listings, as netd's socket gives them.

use super::failures::no_sandbox;
use super::host::Host;
use super::records::Networks;
use super::records::{NetworkState, Sandbox};
use super::state::Daemon;
use netd_api::{
    ApiError, AttachmentInfo, ContainerId, ErrorKind, NetworkId, NetworkInfo, SandboxInfo, Scope, SubnetInfo,
    VersionInfo,
};
use netd_core::drivers;
use std::net::{IpAddr, Ipv4Addr};

impl Daemon {
    pub(super) fn network_list(&self) -> Vec<NetworkInfo> {
        let mut all: Vec<NetworkInfo> = self.host.networks.values().map(|state| self.describe_network(state)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub(super) fn network_info(&self, id: &NetworkId) -> Result<NetworkInfo, ApiError> {
        match self.host.networks.get(id) {
            Some(state) => Ok(self.describe_network(state)),
            None => Err(ApiError::new(ErrorKind::NotFound, format!("there is no network `{id}`"))),
        }
    }

    fn describe_network(&self, state: &NetworkState) -> NetworkInfo {
        let network = &state.network;
        let subnets = network.subnets.iter().zip(&state.leases).map(|(subnet, leases)| SubnetInfo {
            subnet: subnet.subnet,
            gateway: subnet.gateway,
            ip_range: subnet.ip_range,
            aux_addresses: subnet.aux_addresses.clone(),
            used: leases.used(),
            free: leases.free(subnet),
        });
        let mut attachments = Vec::new();
        for sandbox in self.sandboxes.values() {
            attachments
                .extend(self.host.networks.attachments_of(sandbox).into_iter().filter(|a| a.network_id == network.id));
        }
        NetworkInfo {
            id: network.id.clone(),
            name: network.name.clone(),
            driver: network.driver.clone(),
            scope: if network.shared { Scope::Global } else { Scope::Local },
            internal: network.internal,
            ipv6: network.ipv6,
            subnets: subnets.collect(),
            interface: network.interface.clone().filter(|_| state.journal.is_some()),
            mtu: state.mtu(),
            dns: network.dns.clone(),
            labels: network.labels.clone(),
            created: network.created,
            predefined: network.predefined,
            version: network.version,
            attachments,
            obstacles: Vec::new(),
            unmet: None,
        }
    }

    pub(super) fn sandbox_list(&self) -> Vec<SandboxInfo> {
        self.sandboxes.values().map(|sandbox| self.host.networks.describe_sandbox(sandbox)).collect()
    }

    pub(super) fn sandbox_info(&self, id: &ContainerId) -> Result<SandboxInfo, ApiError> {
        let sandbox = self.sandboxes.get(id).ok_or_else(|| no_sandbox(id))?;
        Ok(self.host.networks.describe_sandbox(sandbox))
    }
}

impl Host {
    pub(super) fn version(&self) -> VersionInfo {
        VersionInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: netd_api::API_VERSION,
            pid: std::process::id(),
            store: self.ledger.describe_store(),
            obstacles: Vec::new(),
        }
    }
}

impl Networks {
    /// A network by name, id, or an unambiguous prefix of an id.
    pub(super) fn find_network(&self, asked: &str) -> Result<NetworkId, ApiError> {
        let exact = self.values().find(|n| n.network.name.as_str() == asked || n.network.id.as_str() == asked);
        if let Some(state) = exact {
            return Ok(state.network.id.clone());
        }
        let mut starts = self.keys().filter(|id| !asked.is_empty() && id.as_str().starts_with(asked));
        match (starts.next(), starts.next()) {
            (Some(id), None) => Ok(id.clone()),
            (Some(_), Some(_)) => {
                Err(ApiError::new(ErrorKind::Invalid, format!("`{asked}` begins the id of several networks")))
            }
            (None, _) => Err(ApiError::new(ErrorKind::NotFound, format!("there is no network `{asked}`"))
                .hint("`rcr network ls` lists them")),
        }
    }

    pub(super) fn attachments_of(&self, sandbox: &Sandbox) -> Vec<AttachmentInfo> {
        let one = |attached: &super::records::Attached| {
            let a = &attached.attachment;
            let network = &self.get(&a.network)?.network;
            let linked = network.linked();
            let own_mac = drivers::of(&network.driver).own_macs(&network.driver);
            Some(AttachmentInfo {
                network: network.name.clone(),
                network_id: a.network.clone(),
                container: a.container.clone(),
                container_name: sandbox.record.name.clone(),
                ifname: linked.then(|| a.ifname.clone()),
                mac: own_mac.then_some(a.mac),
                addresses: a.addresses.clone(),
                gateways: a.gateways.iter().copied().filter(|gateway| !gateway.is_unspecified()).collect(),
                aliases: a.aliases.clone(),
            })
        };
        sandbox.attached.iter().filter_map(one).collect()
    }

    pub(super) fn describe_sandbox(&self, sandbox: &Sandbox) -> SandboxInfo {
        let attachments = self.attachments_of(sandbox);
        let named = attachments.iter().any(|a| a.ifname.is_some());
        // The host's own address of each family, on the first network that it has one on.
        let mut host_gateway: Vec<IpAddr> = Vec::new();
        let networks = attachments.iter().filter_map(|a| Some(&self.get(&a.network_id)?.network));
        for gateway in networks.flat_map(|network| drivers::of(&network.driver).host_addresses(network)) {
            if !host_gateway.iter().any(|g| g.is_ipv4() == gateway.is_ipv4()) {
                host_gateway.push(gateway);
            }
        }
        if sandbox.record.source == netd_api::NetnsSource::Host {
            host_gateway = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        }
        SandboxInfo {
            id: sandbox.record.id.clone(),
            name: sandbox.record.name.clone(),
            attachments,
            ports: sandbox.record.ports.clone(),
            nameserver: (named && sandbox.has_netns()).then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11))),
            host_gateway,
            obstacles: Vec::new(),
        }
    }
}
