//! `NetworkSettings`: where a container is, and what is published.

use crate::config::{Config, NetworkMode};
use netd_api::{AttachmentInfo, HostPort, PublishRequest, PublishedPort, SandboxInfo};
use serde::Serialize;
use std::collections::BTreeMap;

/// A container's networks and ports.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkSettings {
    /// By the container's port, `80/tcp`; a port that is only exposed has none.
    pub ports: BTreeMap<String, Option<Vec<PortBinding>>>,
    /// Its address on the network `bridge`, where Docker has it for old scripts.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// The gateway there.
    pub gateway: String,
    /// The MAC address there.
    pub mac_address: String,
    /// By the network's name.
    pub networks: BTreeMap<String, NetworkEndpoint>,
}

/// A container's place on a network. Addresses that it does not have are empty.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NetworkEndpoint {
    /// Further names on this network.
    #[serde(rename = "Aliases")]
    pub aliases: Vec<String>,
    /// The interface's MAC address.
    #[serde(rename = "MacAddress")]
    pub mac_address: String,
    /// The network with the highest priority gives the default route.
    #[serde(rename = "GwPriority")]
    pub gw_priority: i32,
    /// The network's whole id.
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// The IPv4 gateway.
    #[serde(rename = "Gateway")]
    pub gateway: String,
    /// The IPv4 address without its prefix.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// The IPv4 prefix's length.
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u8,
    /// The IPv6 gateway.
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    /// The IPv6 address without its prefix.
    #[serde(rename = "GlobalIPv6Address")]
    pub ipv6_address: String,
    /// The IPv6 prefix's length.
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub ipv6_prefix_len: u8,
    /// What it is called there.
    #[serde(rename = "DNSNames")]
    pub dns_names: Vec<String>,
}

/// Where a container's port is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PortBinding {
    /// The host's address; unspecified: all of them.
    pub host_ip: String,
    /// The host's port, as text like Docker's; empty: the host chooses.
    pub host_port: String,
}

/// The network on which Docker's old fields look.
const DEFAULT: &str = "bridge";

/// From what netd knows; of a container that does not run, from its own file.
pub fn network_settings(config: &Config, sandbox: Option<&SandboxInfo>) -> NetworkSettings {
    let networks: BTreeMap<String, NetworkEndpoint> = match sandbox {
        Some(sandbox) => sandbox.attachments.iter().map(|a| (a.network.to_string(), endpoint(config, a))).collect(),
        None => asked_for(config),
    };
    let default = networks.get(DEFAULT).cloned().unwrap_or_default();
    NetworkSettings {
        ports: ports(config, sandbox),
        ip_address: default.ip_address,
        gateway: default.gateway,
        mac_address: default.mac_address,
        networks,
    }
}

fn asked_for(config: &Config) -> BTreeMap<String, NetworkEndpoint> {
    let NetworkMode::Networks(list) = &config.network.mode else { return BTreeMap::new() };
    let empty = |a: &netd_api::AttachmentRequest| NetworkEndpoint {
        aliases: a.aliases.clone(),
        gw_priority: a.gw_priority,
        ..NetworkEndpoint::default()
    };
    list.iter().map(|a| (a.network.clone(), empty(a))).collect()
}

/// Published ports, and those that are only exposed.
fn ports(config: &Config, sandbox: Option<&SandboxInfo>) -> BTreeMap<String, Option<Vec<PortBinding>>> {
    let Some(sandbox) = sandbox else { return BTreeMap::new() };
    let mut all: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    for exposed in &config.network.exposed {
        for offset in 0..exposed.count {
            all.insert(format!("{}/{}", exposed.port.saturating_add(offset), exposed.proto), None);
        }
    }
    for port in &sandbox.ports {
        bind(port, &mut all);
    }
    all
}

fn bind(port: &PublishedPort, all: &mut BTreeMap<String, Option<Vec<PortBinding>>>) {
    for offset in 0..port.count {
        let host_port = (port.host_port + offset).to_string();
        let binding = PortBinding { host_ip: port.host_ip.to_string(), host_port };
        let key = format!("{}/{}", port.container_port + offset, port.proto);
        all.entry(key).or_default().get_or_insert_default().push(binding);
    }
}

/// What `-p` asked for, by the container's port.
pub fn published(requests: &[PublishRequest]) -> BTreeMap<String, Vec<PortBinding>> {
    let mut all: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for request in requests {
        for offset in 0..request.count {
            let host_port = match request.host_port {
                HostPort::Ephemeral => String::new(),
                HostPort::Exact(first) => first.saturating_add(offset).to_string(),
                HostPort::AnyOf(first, last) => format!("{first}-{last}"),
            };
            let host_ip = request.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
            let key = format!("{}/{}", request.container_port.saturating_add(offset), request.proto);
            all.entry(key).or_default().push(PortBinding { host_ip, host_port });
        }
    }
    all
}

fn endpoint(config: &Config, attachment: &AttachmentInfo) -> NetworkEndpoint {
    let of = |v4: bool| attachment.addresses.iter().find(move |net| net.addr().is_ipv4() == v4);
    let address = |v4: bool| of(v4).map(|net| net.addr().to_string()).unwrap_or_default();
    let gateway = |v4: bool| {
        let found = attachment.gateways.iter().find(move |gateway| gateway.is_ipv4() == v4);
        found.map(ToString::to_string).unwrap_or_default()
    };
    let mut dns_names = vec![config.name.clone()];
    dns_names.extend(attachment.aliases.iter().cloned());
    dns_names.push(config.id.short().to_owned());
    let priority = match &config.network.mode {
        NetworkMode::Networks(list) => list.iter().find(|a| a.network == attachment.network.as_str()),
        _ => None,
    };
    NetworkEndpoint {
        aliases: attachment.aliases.clone(),
        mac_address: attachment.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        gw_priority: priority.map_or(0, |a| a.gw_priority),
        network_id: attachment.network_id.to_string(),
        gateway: gateway(true),
        ip_address: address(true),
        ip_prefix_len: of(true).map_or(0, |net| net.prefix_len()),
        ipv6_gateway: gateway(false),
        ipv6_address: address(false),
        ipv6_prefix_len: of(false).map_or(0, |net| net.prefix_len()),
        dns_names,
    }
}
