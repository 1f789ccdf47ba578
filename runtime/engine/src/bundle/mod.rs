//! Image config + flags → OCI runtime spec ([`spec`]) → init plan ([`plan`]). Pure: what the host looks like comes in
//! as [`Facts`].

pub mod caps;
pub mod limits;
pub mod plan;
pub mod powers;
pub mod seccomp;
pub mod spec;

pub use rcr_shim::init::plan::DEFAULT_PATH;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Major and minor number of disks, by their paths.
pub type Disks = BTreeMap<PathBuf, (u32, u32)>;

/// What a plan needs to know of the host.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The container's folder below the root folder, with `upper` and `work`.
    pub container_dir: PathBuf,
    /// What lies below what the container writes, lowest first; never empty.
    pub lower: Vec<PathBuf>,
    /// The container's folder below the run folder, with the mount point.
    pub run_dir: PathBuf,
    /// The folder of `hosts`, `resolv.conf` and `hostname`: `run_dir`, or that of the container whose network it
    /// shares.
    pub files_dir: PathBuf,
    /// How cgroups are mounted.
    pub cgroup: CgroupKind,
    /// The capabilities that this process could pass on, as a bit mask.
    pub capabilities: u64,
    /// The devices of `--device`; with `--privileged` all of the host's.
    pub devices: Vec<Device>,
    /// The disks whose reading and writing is limited.
    pub disks: Disks,
    /// The shim's file, for `--init`.
    pub init_program: PathBuf,
    /// The container shares the host's network: its sysfs can't be mounted, and net sysctls are the host's own.
    pub host_network: bool,
}

/// How cgroups are mounted on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CgroupKind {
    /// cgroup v2.
    #[default]
    Unified,
    /// The hierarchies' names below `/sys/fs/cgroup`, each with its mount options.
    Legacy(Vec<(String, String)>),
}

/// A device node of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its path in the container.
    pub path: PathBuf,
    /// A block device, not a character device.
    pub block: bool,
    /// Its major number.
    pub major: u32,
    /// Its minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Of `r`, `w` and `m`.
    pub access: String,
}

/// Why a spec can't be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The config asks for something that can't be; what.
    #[error("{0}")]
    Invalid(String),
    /// A field of the spec is missing.
    #[error("build the OCI runtime spec")]
    Spec(#[from] oci_spec::OciSpecError),
    /// There is no seccomp filter for this machine.
    #[error(transparent)]
    Seccomp(#[from] seccomp::UnknownArchitecture),
}
