//! `inspect`, of whatever has the name.

use super::each::print_found;
use super::{image, network, volume};
use crate::cli::container::InspectArgs;
use netd_api::SandboxInfo;
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::instance::Instance;
use rcr_engine::list;
use rcr_engine::store::Container;
use serde_json::{Value, json};

/// `rcr inspect`.
pub fn inspect(instance: &Instance, args: &InspectArgs) -> Outcome<i32> {
    print_found(&args.names, args.format.is_json(), |name| any(instance, name, args.kind.as_deref()))
}

/// `rcr container inspect`.
pub fn containers(instance: &Instance, names: &[String]) -> Outcome<i32> {
    print_found(names, false, |name| container(instance, name))
}

fn could_be_an_id(name: &str) -> bool {
    name.len() < 12 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

fn any(instance: &Instance, name: &str, kind: Option<&str>) -> Outcome<Value> {
    let missing = |_: Error| {
        Error::new(Kind::NotFound, format!("no such object: `{name}`"))
            .hint("`rcr ps -a`, `rcr images`, `rcr network ls` and `rcr volume ls` list what there is")
    };
    match kind {
        Some("container") => container(instance, name),
        Some("image") => image::describe(instance, name),
        Some("network") => network::describe(instance, name),
        Some("volume") => volume::describe(instance, name),
        _ => match container(instance, name) {
            // Not allowed to look is not the same as not there.
            Err(failure) if failure.kind != Kind::NotFound => Err(failure),
            // What could be the beginning of an image's id is perhaps a name: that goes first.
            Err(_) if could_be_an_id(name) => network::describe(instance, name)
                .or_else(|_| volume::describe(instance, name))
                .or_else(|_| image::describe(instance, name))
                .map_err(missing),
            found => found
                .or_else(|_| image::describe(instance, name))
                .or_else(|_| network::describe(instance, name))
                .or_else(|_| volume::describe(instance, name))
                .map_err(missing),
        },
    }
}

fn container(instance: &Instance, name: &str) -> Outcome<Value> {
    let container = instance.containers().find(name)?;
    let sandbox = list::sandbox(instance, &container);
    let Container { config, state } = container;
    let (path, args) = config.process.args.split_first().map_or(("", &[][..]), |(path, args)| (path.as_str(), args));
    Ok(json!({
        "Id": config.id,
        "Name": config.name,
        "Created": config.created,
        "Path": path,
        "Args": args,
        "Image": config.image.id,
        "State": {
            "Status": state.status.name(),
            "Running": state.status == rcr_shim::state::Status::Running,
            "Restarting": state.status == rcr_shim::state::Status::Restarting,
            "Pid": state.init.map_or(0, |p| p.pid),
            "ShimPid": state.shim.map_or(0, |p| p.pid),
            "ExitCode": state.exit_code.unwrap_or(0),
            "StartedAt": state.started_at,
            "FinishedAt": state.finished_at,
            "Error": state.error.clone().unwrap_or_default(),
        },
        "RestartCount": state.restart_count,
        "LogPath": instance.dirs.log(&config.id),
        "HostConfig": { "NetworkMode": config.network.mode.text() },
        "NetworkSettings": network_settings(sandbox.as_ref()),
        "Config": config,
    }))
}

/// Docker's form: networks by name, ports by `port/proto`.
fn network_settings(sandbox: Option<&SandboxInfo>) -> Value {
    let Some(sandbox) = sandbox else { return json!({ "Networks": {}, "Ports": {} }) };
    let mut ports = serde_json::Map::new();
    for port in &sandbox.ports {
        for offset in 0..port.count {
            let key = format!("{}/{}", port.container_port + offset, port.proto);
            let entry = json!({ "HostIp": port.host_ip, "HostPort": (port.host_port + offset).to_string() });
            match ports.entry(key).or_insert_with(|| json!([])) {
                Value::Array(list) => list.push(entry),
                _ => unreachable!("only lists are inserted here"),
            }
        }
    }
    let networks: serde_json::Map<String, Value> = sandbox
        .attachments
        .iter()
        .map(|a| {
            let of = |v4: bool| a.addresses.iter().find(move |net| net.addr().is_ipv4() == v4);
            let gateway = |v4: bool| a.gateways.iter().find(move |g| g.is_ipv4() == v4).map(ToString::to_string);
            let value = json!({
                "NetworkID": a.network_id,
                "Interface": a.ifname,
                "MacAddress": a.mac.map(|m| m.to_string()).unwrap_or_default(),
                "IPAddress": of(true).map(|n| n.addr().to_string()).unwrap_or_default(),
                "IPPrefixLen": of(true).map_or(0, |n| n.prefix_len()),
                "Gateway": gateway(true).unwrap_or_default(),
                "GlobalIPv6Address": of(false).map(|n| n.addr().to_string()).unwrap_or_default(),
                "GlobalIPv6PrefixLen": of(false).map_or(0, |n| n.prefix_len()),
                "IPv6Gateway": gateway(false).unwrap_or_default(),
                "Aliases": a.aliases,
            });
            (a.network.to_string(), value)
        })
        .collect();
    json!({ "Networks": networks, "Ports": ports })
}
