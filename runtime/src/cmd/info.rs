//! `version`, `info`.

use super::network::obstacle;
use crate::cli::FormatArgs;
use crate::term::table;
use rcr_base::Outcome;
use rcr_engine::bundle::CgroupKind;
use rcr_engine::info;
use rcr_engine::instance::Instance;
use serde_json::{Map, Value, json};

/// `rcr version`. netd is asked, not started.
pub fn version(instance: &Instance, format: &FormatArgs) -> Outcome<i32> {
    let own = env!("CARGO_PKG_VERSION");
    let daemon = info::netd(instance);
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
    let host = info::info(instance)?;
    let uname = rustix::system::uname();
    let mut all = Map::new();
    let mut put = |key: &str, value: Value| drop(all.insert(key.to_owned(), value));
    put("Containers", json!(host.containers));
    put("ContainersRunning", json!(host.running));
    put("Images", json!(host.images));
    put("CgroupVersion", json!(if host.cgroup == CgroupKind::Unified { "2" } else { "1" }));
    put("CgroupControllers", json!(host.controllers));
    put("KernelVersion", json!(uname.release().to_string_lossy()));
    put("Architecture", json!(uname.machine().to_string_lossy()));
    put("Name", json!(uname.nodename().to_string_lossy()));
    put("RootDir", json!(instance.dirs.root));
    put("RunDir", json!(instance.dirs.run));
    put("ServerVersion", json!(env!("CARGO_PKG_VERSION")));
    let daemon = host.netd;
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
