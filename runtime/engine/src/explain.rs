//! Networks shown as they are in the kernel, and explained. What is looked at, netd looks at.

use crate::config::NetworkMode;
use crate::instance::Instance;
use crate::list::networks;
use crate::net::unexpected;
use crate::store::Container;
use netd_api::{Asleep, Call, CheckView, GraphView, NetworkView, Proto, QueryView, Reply, WhyAnswer, WhyRequest};
use rcr_base::{Error, Kind, Outcome};
use std::path::Path;

/// A network with all its links, names and rules as they are now.
pub fn show(instance: &Instance, network: &str) -> Outcome<NetworkView> {
    match instance.netd()?.call(Call::NetworkShow { network: network.to_owned() })? {
        Reply::Shown(view) => Ok(*view),
        other => Err(unexpected(&other)),
    }
}

/// What a network's containers have asked their resolver for lately, the newest first.
pub fn queries(instance: &Instance, network: &str) -> Outcome<Vec<QueryView>> {
    match instance.netd()?.call(Call::NetworkQueries { network: network.to_owned() })? {
        Reply::Queries(queries) => Ok(queries),
        other => Err(unexpected(&other)),
    }
}

/// Networks with their containers, as a picture has them: these, or all; `container`: what that one is on.
pub fn graph(instance: &Instance, networks: &[String], container: Option<&str>) -> Outcome<GraphView> {
    let container = container.map(|name| instance.containers().find(name)).transpose()?.map(|found| found.config.id);
    match instance.netd()?.call(Call::NetworkGraph { networks: networks.to_vec(), container })? {
        Reply::Graph(view) => Ok(view),
        other => Err(unexpected(&other)),
    }
}

/// What of all networks differs from what was made, on all hosts of the cluster; with `repair` each makes its own again.
pub fn check(instance: &Instance, repair: bool) -> Outcome<CheckView> {
    checked(instance, repair, false)
}

/// The same on this host alone.
pub fn check_here(instance: &Instance, repair: bool) -> Outcome<CheckView> {
    checked(instance, repair, true)
}

fn checked(instance: &Instance, repair: bool, here: bool) -> Outcome<CheckView> {
    match instance.netd()?.call(Call::NetworkCheck { repair, here })? {
        Reply::Checked(view) => Ok(*view),
        other => Err(unexpected(&other)),
    }
}

/// Whether `from` reaches `to`, and if not, why.
pub fn why(instance: &Instance, from: &str, to: &str, port: Option<(u16, Proto)>) -> Outcome<WhyAnswer> {
    let mut asleep = Vec::new();
    let [from, to] = [end(instance, from, &mut asleep)?, end(instance, to, &mut asleep)?];
    let (port, proto) = port.map_or((None, Proto::Tcp), |(port, proto)| (Some(port), proto));
    let question = WhyRequest { from, to, port, proto, asleep };
    match instance.netd()?.call(Call::NetworkWhy { question })? {
        Reply::Why(answer) => Ok(*answer),
        other => Err(unexpected(&other)),
    }
}

/// How netd knows an end. A container that joined another's network namespace is that one; what does not run is told.
fn end(instance: &Instance, asked: &str, asleep: &mut Vec<Asleep>) -> Outcome<String> {
    let reserved = ["host", "outside"].contains(&asked) || asked.parse::<std::net::IpAddr>().is_ok();
    let Some(container) = instance.containers().find(asked).ok().filter(|_| !reserved) else {
        return Ok(asked.to_owned());
    };
    if !container.state.status.is_alive() {
        asleep.push(not_running(asked, &container));
        return Ok(asked.to_owned());
    }
    match &container.config.network.mode {
        NetworkMode::Container(id) => instance.containers().find(id.as_str()).map(|owner| owner.config.name),
        NetworkMode::Path(path) => {
            Err(not_ours(&container.config.name, path).hint("ask about an address that it reaches, from the host"))
        }
        _ => Ok(container.config.name),
    }
}

/// Of a container whose network namespace somebody else made, nothing is known.
pub(crate) fn not_ours(name: &str, path: &Path) -> Error {
    Error::new(Kind::Unsupported, format!("cannot look at the network of container `{name}`"))
        .caused_by(format!("it runs in the network namespace `{}`, which is yours", path.display()))
}

fn not_running(asked: &str, container: &Container) -> Asleep {
    Asleep {
        asked: asked.to_owned(),
        name: container.config.name.clone(),
        status: container.state.status.name().to_owned(),
        networks: networks(&container.config),
        publish: container.config.network.to_publish().to_vec(),
    }
}
