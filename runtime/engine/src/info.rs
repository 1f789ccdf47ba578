//! This host as rcr sees it.

use crate::bundle::CgroupKind;
use crate::cgroup;
use crate::images;
use crate::inspect::ObstacleInspect;
use crate::instance::Instance;
use crate::net::Netd;
use crate::store::Status;
use netd_api::{Call, Reply, VersionInfo};
use rcr_base::Outcome;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What can be said of a host in a few lines, with Docker's names.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Info {
    /// How many there are.
    pub containers: usize,
    /// How many of them run.
    pub containers_running: usize,
    /// How many are paused.
    pub containers_paused: usize,
    /// How many neither run nor are paused.
    pub containers_stopped: usize,
    /// How many there are.
    pub images: usize,
    /// `overlay2`: what Docker calls overlayfs.
    pub driver: &'static str,
    /// How containers log.
    pub logging_driver: &'static str,
    /// rcr makes cgroups itself.
    pub cgroup_driver: &'static str,
    /// The system's name, from os-release(5).
    pub operating_system: String,
    /// As Go calls it: `linux`.
    #[serde(rename = "OSType")]
    pub os_type: &'static str,
    /// Processors.
    #[serde(rename = "NCPU")]
    pub cpus: usize,
    /// Bytes of memory.
    pub mem_total: u64,
    /// `1` or `2`.
    pub cgroup_version: &'static str,
    /// Names of controllers, in the kernel's order.
    pub cgroup_controllers: String,
    /// Memory can be limited.
    pub memory_limit: bool,
    /// So can the number of processes.
    pub pids_limit: bool,
    /// Processors' shares can be given.
    #[serde(rename = "CPUShares")]
    pub cpu_shares: bool,
    /// Processors can be chosen.
    #[serde(rename = "CPUSet")]
    pub cpu_set: bool,
    /// As uname(2) has it.
    pub kernel_version: String,
    /// As uname(2) has it.
    pub architecture: String,
    /// The host's name.
    pub name: String,
    /// The folder of the state that outlives a reboot.
    pub root_dir: PathBuf,
    /// The same by Docker's name.
    pub docker_root_dir: PathBuf,
    /// The folder of the state that does not.
    pub run_dir: PathBuf,
    /// The version of rcr.
    pub server_version: &'static str,
    /// netd's answer; absent: it does not run.
    pub netd: Option<VersionInfo>,
    /// Firewalls of others that cut networks off.
    pub obstacles: Vec<ObstacleInspect>,
    /// What new containers get.
    pub security_options: Vec<&'static str>,
}

/// Versions, with Docker's names. There is no daemon of containers: the server is the engine in this program.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    /// The command line.
    pub client: Release,
    /// The engine, with netd as one of its components.
    pub server: Release,
}

/// What one side is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Release {
    /// Of rcr.
    pub version: &'static str,
    /// The version of Docker's API whose words, flags and JSON this follows.
    pub api_version: &'static str,
    /// As Go calls it: `linux`.
    pub os: &'static str,
    /// As Go calls it: `amd64`.
    pub arch: &'static str,
    /// As uname(2) has it.
    pub kernel_version: String,
    /// netd, if it runs.
    pub components: Vec<Component>,
}

/// A program that belongs to it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Component {
    /// `netd`.
    pub name: &'static str,
    /// Its version.
    pub version: String,
    /// Its API, process and store.
    pub details: BTreeMap<&'static str, String>,
}

/// The version of Docker's API that is followed.
pub const DOCKER_API: &str = "1.48";

/// This machine by Go's name.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// All versions. netd is asked, not started.
pub fn version(instance: &Instance) -> Version {
    let release = |components| Release {
        version: env!("CARGO_PKG_VERSION"),
        api_version: DOCKER_API,
        os: "linux",
        arch: arch(),
        kernel_version: rustix::system::uname().release().to_string_lossy().into_owned(),
        components,
    };
    let netd = netd(instance).map(|info| Component {
        name: "netd",
        version: info.version,
        details: BTreeMap::from([
            ("ApiVersion", info.api.to_string()),
            ("Pid", info.pid.to_string()),
            ("Store", info.store),
        ]),
    });
    Version { client: release(Vec::new()), server: release(netd.into_iter().collect()) }
}

/// netd's answer, if it runs: it is asked, not started.
pub fn netd(instance: &Instance) -> Option<VersionInfo> {
    match Netd::connect_running(&instance.dirs)?.call(Call::Version) {
        Ok(Reply::Version(info)) => Some(info),
        _ => None,
    }
}

fn operating_system() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".into(), |name| name.trim_matches('"').to_owned())
}

/// Bytes, from proc_meminfo(5).
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Looks at the host.
pub fn info(instance: &Instance) -> Outcome<Info> {
    let containers = instance.containers().list()?;
    let images = images::store(instance).ok().and_then(|store| store.list().ok());
    let (cgroup_version, cgroup_controllers) = match cgroup::kind()? {
        CgroupKind::Unified => {
            ("2", std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default().trim().to_owned())
        }
        CgroupKind::Legacy(all) => ("1", all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")),
    };
    let uname = rustix::system::uname();
    let netd = netd(instance);
    let mut security_options = vec!["name=seccomp,profile=builtin", "name=cgroupns"];
    if instance.config.security.no_new_privileges {
        security_options.push("name=no-new-privileges");
    }
    // A hierarchy of v1 may have several.
    let has = |name: &str| cgroup_controllers.split([' ', ',']).any(|controller| controller == name);
    Ok(Info {
        containers: containers.len(),
        containers_running: containers.iter().filter(|c| c.state.status == Status::Running).count(),
        containers_paused: containers.iter().filter(|c| c.state.status == Status::Paused).count(),
        containers_stopped: containers.iter().filter(|c| !c.state.status.is_alive()).count(),
        driver: "overlay2",
        logging_driver: "json-file",
        cgroup_driver: "cgroupfs",
        operating_system: operating_system(),
        os_type: "linux",
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        mem_total: memory(),
        images: images.map_or(0, |list| list.len()),
        cgroup_version,
        memory_limit: has("memory"),
        pids_limit: has("pids"),
        cpu_shares: has("cpu"),
        cpu_set: has("cpuset"),
        cgroup_controllers,
        kernel_version: uname.release().to_string_lossy().into_owned(),
        architecture: uname.machine().to_string_lossy().into_owned(),
        name: uname.nodename().to_string_lossy().into_owned(),
        root_dir: instance.dirs.root.clone(),
        docker_root_dir: instance.dirs.root.clone(),
        run_dir: instance.dirs.run.clone(),
        server_version: env!("CARGO_PKG_VERSION"),
        obstacles: netd.iter().flat_map(|netd| &netd.obstacles).map(Into::into).collect(),
        netd,
        security_options,
    })
}
