//! `Config`: what does not depend on the host.

use crate::config::{Config, HealthCheck};
use rcr_shim::config::RestartPolicy;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a container was asked to be.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// The host name.
    pub hostname: String,
    /// The NIS domain name.
    pub domainname: String,
    /// `user[:group]`; empty: root.
    pub user: String,
    /// It takes input of whoever started it.
    pub attach_stdin: bool,
    /// It was started attached.
    pub attach_stdout: bool,
    /// It was started attached.
    pub attach_stderr: bool,
    /// Ports that it offers, as keys: `80/tcp`.
    pub exposed_ports: BTreeMap<String, Empty>,
    /// Its streams are a terminal.
    pub tty: bool,
    /// Its stdin is open.
    pub open_stdin: bool,
    /// Its stdin ends with the first client.
    pub stdin_once: bool,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// What is run, or the arguments of the entrypoint.
    pub cmd: Option<Vec<String>>,
    /// The image by name, as it was asked for.
    pub image: String,
    /// Where volumes without a name are mounted, as keys.
    pub volumes: Option<BTreeMap<String, Empty>>,
    /// The working directory.
    pub working_dir: String,
    /// What is run first.
    pub entrypoint: Option<Vec<String>>,
    /// The user's labels over the image's.
    pub labels: BTreeMap<String, String>,
    /// The signal that stops it: `SIGTERM`.
    pub stop_signal: String,
    /// Seconds; -1: for ever.
    pub stop_timeout: i64,
    /// How it is asked whether it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
}

/// A health check; times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `CMD` and a program, or `CMD-SHELL` and a line.
    pub test: Vec<String>,
    /// Between two runs.
    pub interval: u64,
    /// A run that takes longer has failed.
    pub timeout: u64,
    /// From the start: failures don't count yet.
    pub start_period: u64,
    /// The interval meanwhile.
    pub start_interval: u64,
    /// So many failures in a row make it unhealthy.
    pub retries: u32,
}

fn healthcheck(check: &HealthCheck) -> Healthcheck {
    let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let schedule = &check.schedule;
    Healthcheck {
        test: check.test.clone(),
        interval: nanoseconds(schedule.interval),
        timeout: nanoseconds(schedule.timeout),
        start_period: nanoseconds(schedule.start_period),
        start_interval: nanoseconds(schedule.start_interval),
        retries: schedule.retries,
    }
}

/// Go's `struct{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Empty {}

/// From a container's own file.
pub fn container_config(config: &Config) -> ContainerConfig {
    let process = &config.process;
    let ports = config.network.exposed.iter().flat_map(|exposed| {
        (0..exposed.count)
            .map(|offset| (format!("{}/{}", exposed.port.saturating_add(offset), exposed.proto), Empty {}))
    });
    let anonymous = config.mounts.iter().filter_map(|mount| match &mount.kind {
        crate::config::MountKind::Volume { anonymous: true, .. } => Some((mount.target.clone(), Empty {})),
        _ => None,
    });
    let volumes: BTreeMap<String, Empty> = anonymous.collect();
    // An older rcr did not note what was whose.
    let known = process.entrypoint.is_some() || process.command.is_some();
    ContainerConfig {
        hostname: config.hostname.clone().unwrap_or_default(),
        domainname: config.domainname.clone().unwrap_or_default(),
        user: process.user.clone(),
        attach_stdin: process.stdin_once,
        attach_stdout: process.stdin_once || !process.stdin,
        attach_stderr: process.stdin_once || !process.stdin,
        exposed_ports: ports.collect(),
        tty: process.terminal,
        open_stdin: process.stdin,
        stdin_once: process.stdin_once,
        env: process.env.clone(),
        cmd: if known { process.command.clone() } else { Some(process.args.clone()) },
        image: config.image.reference.clone(),
        volumes: Some(volumes).filter(|volumes| !volumes.is_empty()),
        working_dir: process.cwd.clone(),
        entrypoint: process.entrypoint.clone(),
        labels: config.labels.clone(),
        stop_signal: signal_name(config.stop_signal),
        stop_timeout: config.stop_timeout,
        healthcheck: config.health.as_ref().map(healthcheck),
    }
}

fn signal_name(number: i32) -> String {
    let known = nix::sys::signal::Signal::try_from(number);
    known.map_or_else(|_| number.to_string(), |signal| signal.as_str().to_owned())
}

/// `no`, `on-failure`, `always`, `unless-stopped`, and how often at most (0: no limit).
pub fn restart(policy: RestartPolicy) -> (&'static str, u32) {
    match policy {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::OnFailure(most) => ("on-failure", most.unwrap_or(0)),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
    }
}
