//! This host as rcr sees it.

use crate::bundle::CgroupKind;
use crate::cgroup;
use crate::images;
use crate::inspect::ObstacleInspect;
use crate::instance::Instance;
use crate::net::Netd;
use netd_api::{Call, Reply, VersionInfo};
use rcr_base::Outcome;
use serde::Serialize;
use std::path::PathBuf;

/// What can be said of a host in a few lines, with Docker's names.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Info {
    /// How many there are.
    pub containers: usize,
    /// How many of them run.
    pub containers_running: usize,
    /// How many there are.
    pub images: usize,
    /// `1` or `2`.
    pub cgroup_version: &'static str,
    /// Names of controllers, in the kernel's order.
    pub cgroup_controllers: String,
    /// As uname(2) has it.
    pub kernel_version: String,
    /// As uname(2) has it.
    pub architecture: String,
    /// The host's name.
    pub name: String,
    /// The folder of the state that outlives a reboot.
    pub root_dir: PathBuf,
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

/// netd's answer, if it runs: it is asked, not started.
pub fn netd(instance: &Instance) -> Option<VersionInfo> {
    match Netd::connect_running(&instance.dirs)?.call(Call::Version) {
        Ok(Reply::Version(info)) => Some(info),
        _ => None,
    }
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
    let mut security_options = vec!["seccomp=default"];
    if instance.config.security.no_new_privileges {
        security_options.push("no-new-privileges");
    }
    Ok(Info {
        containers: containers.len(),
        containers_running: containers.iter().filter(|c| c.state.status.is_alive()).count(),
        images: images.map_or(0, |list| list.len()),
        cgroup_version,
        cgroup_controllers,
        kernel_version: uname.release().to_string_lossy().into_owned(),
        architecture: uname.machine().to_string_lossy().into_owned(),
        name: uname.nodename().to_string_lossy().into_owned(),
        root_dir: instance.dirs.root.clone(),
        run_dir: instance.dirs.run.clone(),
        server_version: env!("CARGO_PKG_VERSION"),
        obstacles: netd.iter().flat_map(|netd| &netd.obstacles).map(Into::into).collect(),
        netd,
        security_options,
    })
}
