//! Containers.

use crate::config::Config;
use crate::instance::Instance;
use crate::list;
use crate::store::Container;
use netd_api::{AttachmentInfo, ContainerId, IfName, NetworkId, PublishedPort, SandboxInfo};
use rcr_base::Outcome;
use rcr_shim::state::{State, Status};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A container.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerInspect {
    /// The whole id.
    pub id: ContainerId,
    /// Its name, without a slash before it.
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// The program.
    pub path: String,
    /// The program's arguments.
    pub args: Vec<String>,
    /// The image's id.
    pub image: String,
    /// How it is now.
    pub state: ContainerState,
    /// How often its restart policy started it again.
    pub restart_count: u32,
    /// The JSON-lines log.
    pub log_path: PathBuf,
    /// What it asks of the host.
    pub host_config: HostConfig,
    /// Its networks and ports, while it runs.
    pub network_settings: NetworkSettings,
    /// What it was asked to be.
    pub config: Config,
}

/// How a container is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerState {
    /// `created`, `running`, `restarting` or `exited`.
    pub status: &'static str,
    /// Its program runs.
    pub running: bool,
    /// Its program has ended and will be started again.
    pub restarting: bool,
    /// The program's pid on the host; 0: none.
    pub pid: i32,
    /// The shim's pid on the host; 0: none.
    pub shim_pid: i32,
    /// Of the last run; 0 before it has ended.
    pub exit_code: i32,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub finished_at: Option<String>,
    /// Why the last start failed; empty: it did not.
    pub error: String,
}

/// What a container asks of the host.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostConfig {
    /// As `--network` has it.
    pub network_mode: String,
}

/// A container's networks and ports.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkSettings {
    /// By the network's name.
    pub networks: BTreeMap<String, NetworkEndpoint>,
    /// By the container's port, `80/tcp`.
    pub ports: BTreeMap<String, Vec<PortBinding>>,
}

/// A container's place on a network. Addresses that it does not have are empty.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkEndpoint {
    /// The network's whole id.
    #[serde(rename = "NetworkID")]
    pub network_id: NetworkId,
    /// The interface's name in the container; absent on `host` and `none`.
    #[serde(rename = "Interface")]
    pub interface: Option<IfName>,
    /// The interface's MAC address.
    #[serde(rename = "MacAddress")]
    pub mac_address: String,
    /// The IPv4 address without its prefix.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// The IPv4 prefix's length.
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u8,
    /// The IPv4 gateway.
    #[serde(rename = "Gateway")]
    pub gateway: String,
    /// The IPv6 address without its prefix.
    #[serde(rename = "GlobalIPv6Address")]
    pub ipv6_address: String,
    /// The IPv6 prefix's length.
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub ipv6_prefix_len: u8,
    /// The IPv6 gateway.
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    /// Further names on this network.
    #[serde(rename = "Aliases")]
    pub aliases: Vec<String>,
}

/// Where a container's port is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PortBinding {
    /// The host's address; unspecified: all of them.
    pub host_ip: String,
    /// The host's port, as text like Docker's.
    pub host_port: String,
}

/// A container by name or id.
pub fn container(instance: &Instance, name: &str) -> Outcome<ContainerInspect> {
    let container = instance.containers().find(name)?;
    let sandbox = list::sandbox(instance, &container);
    let Container { config, state } = container;
    let (path, args) = config.process.args.split_first().map_or(("", &[][..]), |(path, args)| (path.as_str(), args));
    Ok(ContainerInspect {
        id: config.id.clone(),
        name: config.name.clone(),
        created: config.created.clone(),
        path: path.to_owned(),
        args: args.to_vec(),
        image: config.image.id.clone(),
        restart_count: state.restart_count,
        log_path: instance.dirs.log(&config.id),
        host_config: HostConfig { network_mode: config.network.mode.text() },
        network_settings: sandbox.as_ref().map(network_settings).unwrap_or_default(),
        state: shown(state),
        config,
    })
}

fn shown(state: State) -> ContainerState {
    ContainerState {
        status: state.status.name(),
        running: state.status == Status::Running,
        restarting: state.status == Status::Restarting,
        pid: state.init.map_or(0, |process| process.pid),
        shim_pid: state.shim.map_or(0, |process| process.pid),
        exit_code: state.exit_code.unwrap_or(0),
        started_at: state.started_at,
        finished_at: state.finished_at,
        error: state.error.unwrap_or_default(),
    }
}

fn network_settings(sandbox: &SandboxInfo) -> NetworkSettings {
    let networks = sandbox.attachments.iter().map(|a| (a.network.to_string(), endpoint(a)));
    NetworkSettings { networks: networks.collect(), ports: bindings(&sandbox.ports) }
}

fn bindings(ports: &[PublishedPort]) -> BTreeMap<String, Vec<PortBinding>> {
    let mut all: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for port in ports {
        for offset in 0..port.count {
            let host_port = (port.host_port + offset).to_string();
            let binding = PortBinding { host_ip: port.host_ip.to_string(), host_port };
            all.entry(format!("{}/{}", port.container_port + offset, port.proto)).or_default().push(binding);
        }
    }
    all
}

fn endpoint(attachment: &AttachmentInfo) -> NetworkEndpoint {
    let of = |v4: bool| attachment.addresses.iter().find(move |net| net.addr().is_ipv4() == v4);
    let address = |v4: bool| of(v4).map(|net| net.addr().to_string()).unwrap_or_default();
    let gateway = |v4: bool| {
        let found = attachment.gateways.iter().find(move |gateway| gateway.is_ipv4() == v4);
        found.map(ToString::to_string).unwrap_or_default()
    };
    NetworkEndpoint {
        network_id: attachment.network_id.clone(),
        interface: attachment.ifname.clone(),
        mac_address: attachment.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        ip_address: address(true),
        ip_prefix_len: of(true).map_or(0, |net| net.prefix_len()),
        gateway: gateway(true),
        ipv6_address: address(false),
        ipv6_prefix_len: of(false).map_or(0, |net| net.prefix_len()),
        ipv6_gateway: gateway(false),
        aliases: attachment.aliases.clone(),
    }
}
