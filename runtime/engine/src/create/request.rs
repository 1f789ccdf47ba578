//! The request for a container.

use crate::config::{
    DeviceRule, DeviceUse, Dns, Exposed, HostTarget, Logging, Mount, OnFailure, Propagation, Resources,
};
use crate::images::Policy;
use crate::parse::security::SecurityOption;
use netd_api::{AttachmentRequest, PublishRequest};
use rcr_images::remote::Platform;
use rcr_shim::config::RestartPolicy;
use rcr_shim::init::plan::RlimitPlan;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The request. Absent fields are as in the image, else the default.
#[derive(Debug, Clone)]
pub struct Create {
    /// Absent: a random one.
    pub name: Option<String>,
    /// By name or id.
    pub image: String,
    /// When the image is pulled.
    pub pull: Policy,
    /// Absent: this machine's.
    pub platform: Option<Platform>,
    /// Empty: the image's.
    pub command: Vec<String>,
    /// An empty one: none.
    pub entrypoint: Option<String>,
    /// `NAME=value`, over what the image has.
    pub env: Vec<String>,
    /// An absolute path.
    pub workdir: Option<String>,
    /// `user[:group]`.
    pub user: Option<String>,
    /// Further groups, by number or by name.
    pub groups: Vec<String>,
    /// Absent: the id's first twelve digits.
    pub hostname: Option<String>,
    /// The NIS domain name.
    pub domainname: Option<String>,
    /// Added to the image's.
    pub labels: BTreeMap<String, String>,
    /// Its streams are a terminal.
    pub terminal: bool,
    /// Its stdin stays open.
    pub stdin: bool,
    /// Its stdin ends with the first client.
    pub stdin_once: bool,
    /// Folders of the host, and volumes.
    pub volumes: Vec<VolumeUse>,
    /// Other containers whose folders and volumes it has, too.
    pub volumes_from: Vec<VolumesFrom>,
    /// File systems in memory.
    pub tmpfs: Vec<Mount>,
    /// The root file system is read-only.
    pub read_only: bool,
    /// How it logs.
    pub log: Logging,
    /// Which namespaces it shares.
    pub namespaces: NamespaceRequest,
    /// What it may do to the host.
    pub security: SecurityRequest,
    /// Run a small first process that reaps orphans.
    pub init: bool,
    /// The number of the signal that stops it.
    pub stop_signal: Option<i32>,
    /// Seconds; -1: wait for ever.
    pub stop_timeout: i64,
    /// cgroup limits.
    pub resources: Resources,
    /// Resource limits, over the defaults.
    pub rlimits: Vec<RlimitPlan>,
    /// Namespaced sysctls, by name.
    pub sysctls: BTreeMap<String, String>,
    /// What happens when it ends.
    pub restart: RestartPolicy,
    /// It is removed when it ends.
    pub auto_remove: bool,
    /// Its network, and what it publishes.
    pub network: NetworkRequest,
    /// Search domains and options that are absent are the configuration's, else the host's.
    pub dns: Dns,
    /// Additional lines of `/etc/hosts`: a name and its address.
    pub extra_hosts: Vec<(String, HostTarget)>,
    /// Other containers, by name or id, and the names that they have here.
    pub links: Vec<(String, String)>,
    /// Devices of the host.
    pub devices: Vec<DeviceUse>,
    /// Devices by their vendors' names, `vendor.com/class=name`.
    pub named_devices: Vec<String>,
    /// What other programs note.
    pub annotations: BTreeMap<String, String>,
    /// Rules about device numbers.
    pub device_rules: Vec<DeviceRule>,
    /// Its health check, over the image's.
    pub health: HealthRequest,
}

/// A container's health check. What is absent is the image's, else Docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthRequest {
    /// It has none, whatever the image says.
    pub none: bool,
    /// A line for the shell.
    pub command: Option<String>,
    /// Between two runs.
    pub interval: Option<Duration>,
    /// A run that takes longer has failed.
    pub timeout: Option<Duration>,
    /// From the start: failures don't count yet.
    pub start_period: Option<Duration>,
    /// The interval meanwhile.
    pub start_interval: Option<Duration>,
    /// So many failures in a row make it unhealthy.
    pub retries: Option<u32>,
    /// What happens then.
    pub on_failure: Option<OnFailure>,
}

impl HealthRequest {
    /// Whether anything is asked of a check.
    pub fn is_given(&self) -> bool {
        *self != Self { none: self.none, ..Self::default() }
    }
}

/// Which network namespace a container is to run in.
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    /// The host's.
    Host,
    /// One of its own with loopback only.
    None,
    /// One of its own, on these networks.
    Networks(Vec<AttachmentRequest>),
    /// Another container's, by name or id.
    Container(String),
    /// The user's own, by its absolute path.
    Path(PathBuf),
}

/// Which namespaces a container is to share, beside its network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceRequest {
    /// Whose processes it sees.
    pub pid: PidRequest,
    /// Whose shared memory it has.
    pub ipc: IpcRequest,
    /// The host's host name.
    pub uts_host: bool,
    /// It sees its cgroup's path on the host.
    pub cgroup_host: bool,
}

/// Whose processes a container sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PidRequest {
    /// Its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// Another container's, by name or id.
    Container(String),
}

/// Whose shared memory a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IpcRequest {
    /// Its own, for nobody else.
    #[default]
    Private,
    /// Its own, for others, too.
    Shareable,
    /// Its own, without `/dev/shm`.
    None,
    /// The host's.
    Host,
    /// Another container's, by name or id.
    Container(String),
}

/// A container's network, and what it publishes.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkRequest {
    /// Where it runs.
    pub mode: Mode,
    /// Ports of the host that lead to it.
    pub publish: Vec<PublishRequest>,
    /// Every exposed port gets a port of the host's choice.
    pub publish_all: bool,
    /// Ports beside those of the image.
    pub exposed: Vec<Exposed>,
}

/// What a container may do to the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityRequest {
    /// As root on the host.
    pub privileged: bool,
    /// Capabilities by name, with or without `CAP_`, in any case; `ALL`.
    pub cap_add: Vec<String>,
    /// The same, taken away.
    pub cap_drop: Vec<String>,
    /// In order: the last one about a thing counts.
    pub options: Vec<SecurityOption>,
}

/// Where a volume's content comes from, before names are turned into folders.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A folder or file of the host, by its absolute path.
    Path(PathBuf),
    /// A volume by name, made if it is new.
    Volume(String),
    /// A volume that is removed with the container.
    Anonymous,
    /// The files of an image, by its name or id.
    Image(String),
}

/// A folder or a volume that a container is to have, before its source is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeUse {
    /// What is mounted.
    pub source: Source,
    /// Absolute path in the container.
    pub target: String,
    /// The container can't write to it.
    pub read_only: bool,
    /// With the mounts below the source.
    pub recursive: bool,
    /// Whether later mounts below it are seen on the other side.
    pub propagation: Propagation,
    /// Makes a missing source folder.
    pub create_source: bool,
    /// A new volume begins with what the image has there.
    pub copy: bool,
    /// Device files below it work.
    pub dev: bool,
    /// Setuid programs below it work.
    pub suid: bool,
    /// Mounts below a read-only source stay as they are.
    pub writable_below: bool,
    /// A folder or file below the source, instead of the whole.
    pub subpath: Option<String>,
    /// Labels of a volume that is made for it.
    pub labels: BTreeMap<String, String>,
    /// Options of a volume that is made for it.
    pub options: BTreeMap<String, String>,
}

impl VolumeUse {
    /// All of the source, with what is mounted below it.
    pub fn new(source: Source, target: String) -> Self {
        Self {
            source,
            target,
            read_only: false,
            recursive: true,
            propagation: Propagation::Private,
            create_source: false,
            copy: true,
            dev: false,
            suid: false,
            writable_below: false,
            subpath: None,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
        }
    }
}

/// Another container whose volumes one is to have, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumesFrom {
    /// By name or id.
    pub container: String,
    /// The container can't write to them.
    pub read_only: bool,
}
