//! This host as rcr sees it.

use crate::bundle::CgroupKind;
use crate::cgroup;
use crate::images;
use crate::instance::Instance;
use crate::net::Netd;
use netd_api::{Call, Reply, VersionInfo};
use rcr_base::Outcome;

/// What can be said of a host in a few lines.
#[derive(Debug)]
pub struct Info {
    pub containers: usize,
    pub running: usize,
    pub images: usize,
    pub cgroup: CgroupKind,
    /// Names of controllers, in the kernel's order.
    pub controllers: String,
    /// Absent: netd does not run.
    pub netd: Option<VersionInfo>,
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
    let cgroup = cgroup::kind()?;
    let controllers = match &cgroup {
        CgroupKind::Unified => {
            std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default().trim().to_owned()
        }
        CgroupKind::Legacy(all) => all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" "),
    };
    Ok(Info {
        containers: containers.len(),
        running: containers.iter().filter(|c| c.state.status.is_alive()).count(),
        images: images.map_or(0, |list| list.len()),
        cgroup,
        controllers,
        netd: netd(instance),
    })
}
