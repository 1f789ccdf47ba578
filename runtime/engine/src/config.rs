//! What a container was asked to be: the request and the image's defaults, resolved and checked at creation, kept as
//! `<root>/containers/<id>/config.json`. A start only reads it.

mod devices;
mod logging;
mod mounts;
mod namespaces;
mod resources;

pub use devices::{DeviceRule, DeviceUse};
pub use logging::Logging;
pub use mounts::{FileSystem, Mount, MountKind, Propagation};
pub use namespaces::{IpcMode, Namespaces, PidMode};
use netd_api::{AttachmentRequest, ContainerId, Proto, PublishRequest};
pub use rcr_shim::config::RestartPolicy;
pub use rcr_shim::health::{OnFailure, Schedule};
pub use rcr_shim::init::plan::RlimitPlan;
pub use resources::{BlockIo, DiskLimit, Resources};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// The file's name, and the version of its form.
pub const CONFIG_NAME: &str = "config.json";
/// The version that this build writes, and the newest that it reads.
pub const CONFIG_VERSION: u32 = 1;

/// A whole container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// [`CONFIG_VERSION`] of the build that wrote it.
    pub version: u32,
    /// Chosen by chance at creation.
    pub id: ContainerId,
    /// Unique on this host; can be changed.
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// The image, and its layers.
    pub image: ImageUse,
    /// Absent: as the namespace has it.
    pub hostname: Option<String>,
    /// The NIS domain name.
    pub domainname: Option<String>,
    /// The image's labels, and the user's over them.
    pub labels: BTreeMap<String, String>,
    /// The program.
    pub process: Process,
    /// The user's mounts and the image's volumes.
    pub mounts: Vec<Mount>,
    /// The root file system is read-only.
    pub read_only: bool,
    /// How it logs.
    #[serde(default)]
    pub log: Logging,
    /// Which namespaces it shares.
    #[serde(default)]
    pub namespaces: Namespaces,
    /// What it may do to the host.
    pub security: Security,
    /// It runs below rcr's small init.
    pub init: bool,
    /// The number of the signal that stops it.
    pub stop_signal: i32,
    /// Seconds; -1: wait for ever.
    pub stop_timeout: i64,
    /// cgroup limits.
    pub resources: Resources,
    /// Resource limits of its processes.
    pub rlimits: Vec<RlimitPlan>,
    /// Namespaced sysctls, by name.
    pub sysctls: BTreeMap<String, String>,
    /// What happens when it ends.
    pub restart: RestartPolicy,
    /// It is removed when it ends.
    pub auto_remove: bool,
    /// Its network, and what it publishes.
    pub network: Network,
    /// Its resolver.
    pub dns: Dns,
    /// Additional lines of `/etc/hosts`: a name and its address.
    pub extra_hosts: Vec<(String, HostTarget)>,
    /// `--link`: another container, and the name that it has here.
    #[serde(default)]
    pub links: Vec<(String, String)>,
    /// `--device`.
    #[serde(default)]
    pub devices: Vec<DeviceUse>,
    /// `--device vendor.com/class=name`, `--gpus`.
    #[serde(default)]
    pub named_devices: Vec<String>,
    /// What other programs note.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// `--device-cgroup-rule`.
    #[serde(default)]
    pub device_rules: Vec<DeviceRule>,
    /// How it is asked whether it is well.
    #[serde(default)]
    pub health: Option<HealthCheck>,
    /// The addresses that it had last; a start asks for them again.
    #[serde(default)]
    pub last_addresses: BTreeMap<String, Vec<IpAddr>>,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// As an image has it: `CMD` and a program with its arguments, or `CMD-SHELL` and a line for a shell.
    pub test: Vec<String>,
    /// The shell of `CMD-SHELL`.
    pub shell: Vec<String>,
    /// When it is run, and what its failures mean.
    #[serde(flatten)]
    pub schedule: Schedule,
}

impl HealthCheck {
    /// The program and its arguments.
    pub fn command(&self) -> Vec<String> {
        match self.test.split_first() {
            Some((kind, line)) if kind == "CMD-SHELL" => self.shell.iter().chain(line).cloned().collect(),
            Some((_, program)) => program.to_vec(),
            None => Vec::new(),
        }
    }
}

/// The image that a container is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageUse {
    /// As the user wrote it.
    pub reference: String,
    /// The config's digest.
    pub id: String,
    /// Unpacked layers, lowest first.
    pub layers: Vec<PathBuf>,
}

/// The program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// The program and its arguments; never empty.
    pub args: Vec<String>,
    /// The part of them that is the entrypoint; absent: there is none, or an older rcr did not say.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// The part of them that is the command.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// The working directory, absolute.
    pub cwd: String,
    /// `user[:group]`; empty: root.
    pub user: String,
    /// Additional groups by number.
    pub group_add: Vec<u32>,
    /// The same by name, looked up in the container.
    #[serde(default)]
    pub group_names: Vec<String>,
    /// Its streams are a terminal.
    pub terminal: bool,
    /// Its stdin is open.
    pub stdin: bool,
    /// stdin ends with the first client.
    pub stdin_once: bool,
}

/// What the container may do to the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Security {
    /// All capabilities and devices, no filter, nothing hidden.
    pub privileged: bool,
    /// Names without `CAP_`, upper case, or `ALL`.
    pub cap_add: Vec<String>,
    /// The same, taken away.
    pub cap_drop: Vec<String>,
    /// Setuid programs and file capabilities give nothing.
    pub no_new_privs: bool,
    /// False: `--security-opt seccomp=unconfined`.
    pub seccomp: bool,
    /// A profile as JSON; absent: ours.
    #[serde(default)]
    pub seccomp_profile: Option<String>,
    /// Nothing of `/proc` and `/sys` is hidden or read-only.
    #[serde(default)]
    pub open_paths: bool,
    /// It can change its cgroups.
    #[serde(default)]
    pub writable_cgroups: bool,
}

/// `--network` and `-p`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// The network namespace, and the networks in it.
    pub mode: NetworkMode,
    /// `-p`.
    pub publish: Vec<PublishRequest>,
    /// `--expose` and the image's: what `-P` publishes.
    pub exposed: Vec<Exposed>,
    /// `-P`.
    pub publish_all: bool,
}

/// Ports that the image or the user exposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Exposed {
    /// The first one.
    pub port: u16,
    /// 1 or more.
    pub count: u16,
    /// The protocol.
    pub proto: Proto,
}

/// Which network namespace the container runs in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// The host's own.
    Host,
    /// Loopback only.
    None,
    /// Its own, on these networks; the first one comes first in listings.
    Networks(Vec<AttachmentRequest>),
    /// Another container's, with its hosts, resolv.conf and host name.
    Container(ContainerId),
    /// The user's own, by its path (`/run/netns/blue`).
    Path(PathBuf),
}

impl NetworkMode {
    /// As `--network` has it, and `inspect` shows it: `host`, `none`, the first network's name, `container:ID`,
    /// `ns:PATH`.
    pub fn text(&self) -> String {
        match self {
            NetworkMode::Host => "host".into(),
            NetworkMode::None => "none".into(),
            NetworkMode::Networks(list) => list.first().map_or("none".into(), |a| a.network.clone()),
            NetworkMode::Container(id) => format!("container:{id}"),
            NetworkMode::Path(path) => format!("ns:{}", path.display()),
        }
    }
}

/// DNS of the container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dns {
    /// Servers for outside names; empty: the network's or the host's.
    pub servers: Vec<IpAddr>,
    /// Search domains; `.` alone: none.
    pub search: Vec<String>,
    /// Options of resolv.conf(5).
    pub options: Vec<String>,
    /// Its own names are answered only while it is healthy.
    #[serde(default)]
    pub healthy_only: bool,
}

/// The right side of `--add-host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostTarget {
    /// This address.
    Address(IpAddr),
    /// `host-gateway`: the host, as this container reaches it.
    HostGateway,
}

impl Config {
    /// Whether it needs an image, by the digest of its config.
    pub fn uses_image(&self, image: &str) -> bool {
        let mounted = |mount: &Mount| matches!(&mount.kind, MountKind::Image { id, .. } if id == image);
        self.image.id == image || self.mounts.iter().any(mounted)
    }

    /// The layers of its image, and of the images that it mounts.
    pub fn layers(&self) -> impl Iterator<Item = &PathBuf> {
        let mounted = self.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Image { layers, .. } => Some(layers),
            _ => None,
        });
        std::iter::once(&self.image.layers).chain(mounted).flatten()
    }

    /// Whether a container's `/etc/hosts` names the host.
    pub fn wants_host_gateway(&self) -> bool {
        self.extra_hosts.iter().any(|(_, target)| *target == HostTarget::HostGateway)
    }
}

impl Network {
    /// `-p` and, with `-P`, every exposed port that `-p` does not publish, each on a port that the host chooses.
    pub fn to_publish(&self) -> Vec<PublishRequest> {
        let mut all = self.publish.clone();
        if !self.publish_all {
            return all;
        }
        for exposed in &self.exposed {
            let range = exposed.port..=exposed.port.saturating_add(exposed.count - 1);
            for port in range {
                let taken = self.publish.iter().any(|p| {
                    p.proto == exposed.proto && (p.container_port..=p.container_port + (p.count - 1)).contains(&port)
                });
                if !taken {
                    all.push(PublishRequest {
                        host_ip: None,
                        host_port: netd_api::HostPort::Ephemeral,
                        container_port: port,
                        count: 1,
                        proto: exposed.proto,
                    });
                }
            }
        }
        all
    }
}
