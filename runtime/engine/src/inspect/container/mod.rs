//! Containers, in Docker's shape: an HTTP API can serve the same. What is ours alone is below `Rcr`. Docker's
//! `GraphDriver` is left out: what lies where is rcr's own business.

mod config;
mod host;
mod limits;
mod network;

pub use config::{ContainerConfig, Healthcheck, container_config};
pub use host::{DeviceMapping, HostConfig, LogSettings, RestartSettings, Ulimit};
pub use network::{NetworkEndpoint, NetworkSettings, PortBinding};

use crate::config::{Config, Mount, MountKind, Propagation};
use crate::instance::Instance;
use crate::list;
use crate::store::Container;
use netd_api::{ContainerId, IfName, SandboxInfo};
use rcr_base::Outcome;
use rcr_shim::health::Health;
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
    /// RFC 3339.
    pub created: String,
    /// The program.
    pub path: String,
    /// The program's arguments.
    pub args: Vec<String>,
    /// How it is now.
    pub state: ContainerState,
    /// The image's id.
    pub image: String,
    /// The file in its `/etc`, on the host.
    pub resolv_conf_path: PathBuf,
    /// The file in its `/etc`, on the host.
    pub hostname_path: PathBuf,
    /// The file in its `/etc`, on the host.
    pub hosts_path: PathBuf,
    /// The JSON-lines log.
    pub log_path: PathBuf,
    /// Its name behind a slash, as Docker has it.
    pub name: String,
    /// How often its restart policy started it again.
    pub restart_count: u32,
    /// `overlay2`: what Docker calls overlayfs.
    pub driver: &'static str,
    /// `linux`.
    pub platform: &'static str,
    /// What it asks of the host.
    pub host_config: HostConfig,
    /// Bytes that it has written; only if they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_rw: Option<u64>,
    /// The same with its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_root_fs: Option<u64>,
    /// Its mounts beside the image.
    pub mounts: Vec<MountInspect>,
    /// What it was asked to be.
    pub config: ContainerConfig,
    /// Its networks and ports.
    pub network_settings: NetworkSettings,
    /// What Docker does not have.
    pub rcr: Own,
}

/// How a container is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerState {
    /// `created`, `running`, `paused`, `restarting` or `exited`.
    pub status: &'static str,
    /// Its shim runs: its program, too, unless it is paused or about to be started again.
    pub running: bool,
    /// Its program is frozen.
    pub paused: bool,
    /// Its program has ended and will be started again.
    pub restarting: bool,
    /// The kernel killed one of its processes for its memory limit.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// Docker's state of a container that could not be removed: never here.
    pub dead: bool,
    /// The program's pid on the host; 0: none.
    pub pid: i32,
    /// Of the last run; 0 before it has ended.
    pub exit_code: i32,
    /// Why the last start failed; empty: it did not.
    pub error: String,
    /// RFC 3339; the year 1: never.
    pub started_at: String,
    /// RFC 3339; the year 1: never.
    pub finished_at: String,
    /// What its health check has found, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// A mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MountInspect {
    /// `bind`, `volume` or `tmpfs`.
    #[serde(rename = "Type")]
    pub kind: &'static str,
    /// A volume's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// On the host; empty: in memory.
    pub source: String,
    /// In the container.
    pub destination: String,
    /// `local`, of volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<&'static str>,
    /// Options, e.g. of a tmpfs.
    pub mode: String,
    /// The container can write to it.
    #[serde(rename = "RW")]
    pub writable: bool,
    /// mount_namespaces(7).
    pub propagation: &'static str,
}

/// What Docker does not have.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Own {
    /// The shim's pid on the host; 0: none.
    pub shim_pid: i32,
    /// The interfaces in the container, by network.
    pub interfaces: BTreeMap<String, IfName>,
    /// The container's own file.
    pub config: Config,
}

/// A container by name or id. `size`: with what it takes on the disk.
pub fn container(instance: &Instance, name: &str, size: bool) -> Outcome<ContainerInspect> {
    let container = instance.containers().find(name)?;
    let sandbox = list::sandbox(instance, &container);
    let size = size.then(|| list::size(instance, &container));
    let Container { config, state } = container;
    let (path, args) = config.process.args.split_first().map_or(("", &[][..]), |(path, args)| (path.as_str(), args));
    let run = instance.dirs.container_run(&config.id);
    Ok(ContainerInspect {
        id: config.id.clone(),
        created: config.created.clone(),
        path: path.to_owned(),
        args: args.to_vec(),
        image: config.image.id.clone(),
        resolv_conf_path: run.join("resolv.conf"),
        hostname_path: run.join("hostname"),
        hosts_path: run.join("hosts"),
        log_path: instance.dirs.log(&config.id),
        name: format!("/{}", config.name),
        restart_count: state.restart_count,
        driver: "overlay2",
        platform: "linux",
        host_config: host::host_config(&config),
        size_rw: size.map(|size| size.own),
        size_root_fs: size.map(|size| size.whole),
        mounts: config.mounts.iter().map(mount).collect(),
        config: config::container_config(&config),
        network_settings: network::network_settings(&config, sandbox.as_ref()),
        rcr: own(&config, &state, sandbox.as_ref()),
        state: shown(state, config.health.is_some().then(|| Health::read(&run).unwrap_or_else(Health::starting))),
    })
}

fn own(config: &Config, state: &State, sandbox: Option<&SandboxInfo>) -> Own {
    let attached = sandbox.into_iter().flat_map(|sandbox| &sandbox.attachments);
    Own {
        shim_pid: state.shim.as_ref().map_or(0, |process| process.pid),
        interfaces: attached.filter_map(|a| Some((a.network.to_string(), a.ifname.clone()?))).collect(),
        config: config.clone(),
    }
}

/// Go's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

fn shown(state: State, health: Option<Health>) -> ContainerState {
    ContainerState {
        status: state.status.name(),
        running: state.status.is_alive(),
        paused: state.status == Status::Paused,
        restarting: state.status == Status::Restarting,
        oom_killed: state.oom_killed,
        dead: false,
        pid: state.init.map_or(0, |process| process.pid),
        exit_code: state.exit_code.unwrap_or(0),
        started_at: state.started_at.unwrap_or_else(|| NEVER.into()),
        finished_at: state.finished_at.unwrap_or_else(|| NEVER.into()),
        error: state.error.unwrap_or_default(),
        health,
    }
}

fn mount(mount: &Mount) -> MountInspect {
    let base = MountInspect {
        kind: "tmpfs",
        name: None,
        source: String::new(),
        destination: mount.target.clone(),
        driver: None,
        mode: String::new(),
        writable: !mount.read_only,
        propagation: "",
    };
    match &mount.kind {
        MountKind::Bind { source, propagation, recursive, .. } => {
            let propagation = match (propagation, recursive) {
                (Propagation::Private, true) => "rprivate",
                (Propagation::Private, false) => "private",
                (Propagation::Slave, true) => "rslave",
                (Propagation::Slave, false) => "slave",
                (Propagation::Shared, true) => "rshared",
                (Propagation::Shared, false) => "shared",
            };
            MountInspect { kind: "bind", source: source.display().to_string(), propagation, ..base }
        }
        MountKind::Volume { name, source, .. } => MountInspect {
            kind: "volume",
            name: Some(name.clone()),
            source: source.display().to_string(),
            driver: Some("local"),
            ..base
        },
        MountKind::Image { reference, .. } => MountInspect { kind: "image", source: reference.clone(), ..base },
        MountKind::Tmpfs { options } => MountInspect { mode: options.join(","), ..base },
    }
}
