//! `HostConfig`: what a container asks of the host.

use super::config::restart;
use super::limits::{Shares, shares};
use super::network::{PortBinding, published};
use crate::config::{Config, HostTarget, Mount, MountKind};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a container asks of the host. Limits that it does not have are 0, as Docker has it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostConfig {
    /// Folders of the host and volumes: `source:target[:ro]`.
    pub binds: Option<Vec<String>>,
    /// How it logs.
    pub log_config: LogSettings,
    /// As `--network` has it.
    pub network_mode: String,
    /// What `-p` asked for, by the container's port.
    pub port_bindings: BTreeMap<String, Vec<PortBinding>>,
    /// What happens when it ends.
    pub restart_policy: RestartSettings,
    /// It is removed when it ends.
    pub auto_remove: bool,
    /// Capabilities by name, with `CAP_`.
    pub cap_add: Option<Vec<String>>,
    /// The same, taken away.
    pub cap_drop: Option<Vec<String>>,
    /// DNS servers for outside names.
    pub dns: Vec<String>,
    /// Options of resolv.conf(5).
    pub dns_options: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// `name:address`.
    pub extra_hosts: Option<Vec<String>>,
    /// Further groups.
    pub group_add: Option<Vec<String>>,
    /// Other containers, and their names here: `/web:/own/db`.
    pub links: Option<Vec<String>>,
    /// -1000 to 1000.
    pub oom_score_adj: i32,
    /// All capabilities and devices.
    pub privileged: bool,
    /// `-P`.
    pub publish_all_ports: bool,
    /// The root file system is read-only.
    pub readonly_rootfs: bool,
    /// As `--security-opt` has it.
    pub security_opt: Option<Vec<String>>,
    /// File systems in memory: target and options.
    pub tmpfs: Option<BTreeMap<String, String>>,
    /// Bytes of `/dev/shm`.
    pub shm_size: u64,
    /// Namespaced sysctls.
    pub sysctls: Option<BTreeMap<String, String>>,
    /// `rcr`.
    pub runtime: &'static str,
    /// It runs below a small init.
    pub init: bool,
    /// Bytes.
    pub memory: i64,
    /// Bytes, with swap; -1: unlimited.
    pub memory_swap: i64,
    /// Billionths of a processor.
    pub nano_cpus: u64,
    /// Lists such as `0-2,4`.
    pub cpuset_cpus: String,
    /// Memory nodes, as such a list.
    pub cpuset_mems: String,
    /// How many processes and threads it may have.
    pub pids_limit: Option<i64>,
    /// Devices of the host.
    pub devices: Vec<DeviceMapping>,
    /// Rules about device numbers.
    pub device_cgroup_rules: Option<Vec<String>>,
    /// Resource limits of its processes.
    pub ulimits: Vec<Ulimit>,
    /// Further limits, and what it shares.
    #[serde(flatten)]
    pub shares: Shares,
}

/// How a container logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogSettings {
    /// `json-file`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Its options.
    pub config: BTreeMap<String, String>,
}

/// What happens when a container ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RestartSettings {
    /// `no`, `on-failure`, `always`, `unless-stopped`.
    pub name: &'static str,
    /// 0: no limit.
    pub maximum_retry_count: u32,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceMapping {
    /// Its path on the host.
    pub path_on_host: String,
    /// Its path in the container.
    pub path_in_container: String,
    /// Of `r`, `w` and `m`.
    pub cgroup_permissions: String,
}

/// A resource limit (getrlimit(2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ulimit {
    /// Without `RLIMIT_`, in lower case.
    pub name: String,
    /// -1: unlimited.
    pub hard: i64,
    /// -1: unlimited.
    pub soft: i64,
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

/// From a container's own file.
pub fn host_config(config: &Config) -> HostConfig {
    let (resources, security) = (&config.resources, &config.security);
    let (name, maximum_retry_count) = restart(config.restart);
    let capabilities = |list: &[String]| some(list.iter().map(|name| capability(name)).collect());
    let texts = |list: &[std::net::IpAddr]| list.iter().map(ToString::to_string).collect();
    let tmpfs: BTreeMap<String, String> = config.mounts.iter().filter_map(in_memory).collect();
    HostConfig {
        binds: some(config.mounts.iter().filter_map(bind).collect()),
        log_config: LogSettings { kind: config.log.driver.clone(), config: config.log.options.clone() },
        network_mode: config.network.mode.text(),
        port_bindings: published(&config.network.publish),
        restart_policy: RestartSettings { name, maximum_retry_count },
        auto_remove: config.auto_remove,
        cap_add: capabilities(&security.cap_add),
        cap_drop: capabilities(&security.cap_drop),
        dns: texts(&config.dns.servers),
        dns_options: config.dns.options.clone(),
        dns_search: config.dns.search.clone(),
        extra_hosts: some(config.extra_hosts.iter().map(extra_host).collect()),
        group_add: some(groups(config)),
        links: some(config.links.iter().map(|(id, name)| format!("/{id}:/{}/{name}", config.name)).collect()),
        oom_score_adj: resources.oom_score_adj.unwrap_or(0),
        privileged: security.privileged,
        publish_all_ports: config.network.publish_all,
        readonly_rootfs: config.read_only,
        security_opt: some(security_options(config)),
        tmpfs: Some(tmpfs).filter(|map| !map.is_empty()),
        shm_size: resources.shm_size,
        sysctls: Some(config.sysctls.clone()).filter(|map| !map.is_empty()),
        runtime: "rcr",
        init: config.init,
        memory: resources.memory.unwrap_or(0),
        memory_swap: resources.memory_swap.unwrap_or(0),
        nano_cpus: resources.nano_cpus.unwrap_or(0),
        cpuset_cpus: resources.cpuset_cpus.clone().unwrap_or_default(),
        cpuset_mems: resources.cpuset_mems.clone().unwrap_or_default(),
        pids_limit: Some(resources.pids).filter(|limit| *limit > 0),
        devices: config.devices.iter().map(device).collect(),
        device_cgroup_rules: some(config.device_rules.iter().map(rule).collect()),
        ulimits: config.rlimits.iter().map(ulimit).collect(),
        shares: shares(config),
    }
}

fn capability(name: &str) -> String {
    if name == "ALL" || name.starts_with("CAP_") { name.to_owned() } else { format!("CAP_{name}") }
}

fn bind(mount: &Mount) -> Option<String> {
    let source = match &mount.kind {
        MountKind::Bind { source, .. } => source.display().to_string(),
        MountKind::Volume { name, anonymous: false, .. } => name.clone(),
        _ => return None,
    };
    Some(format!("{source}:{}{}", mount.target, if mount.read_only { ":ro" } else { "" }))
}

fn in_memory(mount: &Mount) -> Option<(String, String)> {
    match &mount.kind {
        MountKind::Tmpfs { options } => Some((mount.target.clone(), options.join(","))),
        _ => None,
    }
}

fn extra_host((name, target): &(String, HostTarget)) -> String {
    match target {
        HostTarget::Address(address) => format!("{name}:{address}"),
        HostTarget::HostGateway => format!("{name}:host-gateway"),
    }
}

fn groups(config: &Config) -> Vec<String> {
    let numbers = config.process.group_add.iter().map(ToString::to_string);
    numbers.chain(config.process.group_names.iter().cloned()).collect()
}

fn security_options(config: &Config) -> Vec<String> {
    let mut all = Vec::new();
    if config.security.no_new_privs {
        all.push("no-new-privileges".to_owned());
    }
    if !config.security.seccomp {
        all.push("seccomp=unconfined".to_owned());
    }
    if config.security.seccomp_profile.is_some() {
        all.push("seccomp=profile".to_owned());
    }
    if config.security.open_paths {
        all.push("systempaths=unconfined".to_owned());
    }
    if config.security.writable_cgroups {
        all.push("writable-cgroups=true".to_owned());
    }
    all
}

fn device(device: &crate::config::DeviceUse) -> DeviceMapping {
    DeviceMapping {
        path_on_host: device.host.display().to_string(),
        path_in_container: device.container.display().to_string(),
        cgroup_permissions: device.access.clone(),
    }
}

fn rule(rule: &crate::config::DeviceRule) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    format!("{} {}:{} {}", rule.kind, number(rule.major), number(rule.minor), rule.access)
}

fn ulimit(limit: &crate::config::RlimitPlan) -> Ulimit {
    let number = |value: u64| if value == libc::RLIM_INFINITY { -1 } else { i64::try_from(value).unwrap_or(i64::MAX) };
    let name = crate::parse::limits::name(limit.resource).unwrap_or("unknown");
    Ulimit { name: name.to_owned(), hard: number(limit.hard), soft: number(limit.soft) }
}
