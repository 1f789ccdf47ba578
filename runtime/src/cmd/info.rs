//! `version`, `info`.

use super::network::obstacle;
use super::table;
use crate::bundle::CgroupKind;
use crate::cgroup;
use crate::cli::FormatArgs;
use crate::container::lifecycle::Instance;
use crate::net::Netd;
use crate::report::Outcome;
use netd_api::{Call, Reply, VersionInfo};
use serde_json::{Map, Value, json};

fn netd(instance: &Instance) -> Option<VersionInfo> {
    match Netd::connect_running(&instance.dirs)?.call(Call::Version) {
        Ok(Reply::Version(info)) => Some(info),
        _ => None,
    }
}

/// `rcr version`. netd is asked, not started.
pub fn version(instance: &Instance, format: &FormatArgs) -> Outcome<i32> {
    let own = env!("CARGO_PKG_VERSION");
    let daemon = netd(instance);
    if format.is_json() {
        table::print_json(
            &json!({ "Client": { "Version": own, "ApiVersion": netd_api::API_VERSION }, "Server": daemon }),
        );
        return Ok(0);
    }
    println!("rcr   {own} (api {})", netd_api::API_VERSION);
    match daemon {
        Some(info) => println!("netd  {} (api {}, pid {}, store {})", info.version, info.api, info.pid, info.store),
        None => println!("netd  not running (it is started on demand)"),
    }
    Ok(0)
}

/// `rcr info`.
pub fn info(instance: &Instance, format: &FormatArgs) -> Outcome<i32> {
    let containers = instance.containers().list()?;
    let running = containers.iter().filter(|c| c.state.status.is_alive()).count();
    let images = super::image::store(instance).ok().and_then(|store| store.list().ok()).map_or(0, |list| list.len());
    let uname = rustix::system::uname();
    let kind = cgroup::kind()?;
    let (cgroups, controllers) = match &kind {
        CgroupKind::Unified => {
            ("2", std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default().trim().to_owned())
        }
        CgroupKind::Legacy(all) => ("1", all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")),
    };
    let mut all = Map::new();
    let mut put = |key: &str, value: Value| drop(all.insert(key.to_owned(), value));
    put("Containers", json!(containers.len()));
    put("ContainersRunning", json!(running));
    put("Images", json!(images));
    put("CgroupVersion", json!(cgroups));
    put("CgroupControllers", json!(controllers));
    put("KernelVersion", json!(uname.release().to_string_lossy()));
    put("Architecture", json!(uname.machine().to_string_lossy()));
    put("Name", json!(uname.nodename().to_string_lossy()));
    put("RootDir", json!(instance.dirs.root));
    put("RunDir", json!(instance.dirs.run));
    put("ServerVersion", json!(env!("CARGO_PKG_VERSION")));
    let daemon = netd(instance);
    put("Obstacles", json!(daemon.iter().flat_map(|d| &d.obstacles).map(obstacle).collect::<Vec<_>>()));
    put("Netd", json!(daemon));
    let mut security = vec!["seccomp=default"];
    if instance.config.security.no_new_privileges {
        security.push("no-new-privileges");
    }
    put("SecurityOptions", json!(security));
    if format.is_json() {
        table::print_json(&all);
        return Ok(0);
    }
    for (key, value) in &all {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        println!("{key}: {text}");
    }
    Ok(0)
}
