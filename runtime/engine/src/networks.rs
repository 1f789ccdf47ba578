//! Networks, and the containers on them. What a network is, netd knows.

use crate::config::{Config, NetworkMode};
use crate::events::subjects;
use crate::instance::Instance;
use crate::net::{Netd, unexpected};
use crate::parse::filter::{Fits, NetworkFilter, PruneFilter, Test, fits_all};
use crate::start::network::{Planned, owner, plan as plan_network};
use netd_api::{
    AttachmentRequest, Call, DnsRequest, NameError, NetnsSource, NetworkChange, NetworkCreate, NetworkInfo,
    NetworkName, PlanView, PublishRequest, Reply, SandboxRequest, Scope,
};
use rcr_base::events::Object;
use rcr_base::{Error, Kind, Outcome, command};

/// A changed network, or the plan of the change.
#[derive(Debug)]
pub enum Changed {
    /// The network as it is now.
    Network(Box<NetworkInfo>),
    /// The plan alone: nothing was changed.
    Plan(PlanView),
}

fn changed(reply: Reply) -> Outcome<Changed> {
    match reply {
        Reply::Network(info) => Ok(Changed::Network(Box::new(info))),
        Reply::Plan(plan) => Ok(Changed::Plan(plan)),
        other => Err(unexpected(&other)),
    }
}

/// Creates a network, or says what that would do (`dry_run`).
pub fn create(instance: &Instance, spec: NetworkCreate, dry_run: bool) -> Outcome<Changed> {
    changed(instance.netd()?.call(Call::NetworkCreate { spec, dry_run })?)
}

/// Changes a network, in use or not. `change` is made from the network as it is.
pub fn update(
    instance: &Instance,
    network: &str,
    dry_run: bool,
    change: impl FnOnce(&NetworkInfo) -> Outcome<NetworkChange>,
) -> Outcome<Changed> {
    let mut netd = instance.netd()?;
    let change = change(&resolve(&mut netd, network)?)?;
    changed(netd.call(Call::NetworkUpdate { network: network.to_owned(), change, dry_run })?)
}

/// What attaching one more container to a network would do, with these ports published.
pub fn plan(instance: &Instance, network: &str, publish: Vec<PublishRequest>) -> Outcome<PlanView> {
    let id = "0".repeat(64).parse().map_err(|e: NameError| Error::new(Kind::System, e.to_string()))?;
    let spec = SandboxRequest {
        id,
        name: "example".into(),
        netns: NetnsSource::New,
        attachments: vec![AttachmentRequest::to(network)],
        publish,
        dns: DnsRequest::default(),
        host_gateway: false,
    };
    planned(instance.netd()?.call(Call::SandboxCreate { spec, dry_run: true })?)
}

/// What the start of a container would do to the kernel, or what was done for one that runs.
pub fn plan_of(instance: &Instance, container: &str) -> Outcome<PlanView> {
    let container = instance.containers().find(container)?;
    if container.state.status.is_alive() {
        let container = owner(instance, &container)?;
        return planned(instance.netd()?.call(Call::SandboxPlan { id: container.config.id })?);
    }
    plan_start(instance, &container.config)
}

fn plan_start(instance: &Instance, config: &Config) -> Outcome<PlanView> {
    let (network, dns, host_gateway) = (&config.network, &config.dns, config.wants_host_gateway());
    plan_network(instance, &Planned { id: config.id.clone(), name: &config.name, network, dns, host_gateway })
}

fn planned(reply: Reply) -> Outcome<PlanView> {
    match reply {
        Reply::Plan(plan) => Ok(plan),
        other => Err(unexpected(&other)),
    }
}

/// What [`connect`] would do.
pub fn plan_connect(instance: &Instance, container: &str, attachment: AttachmentRequest) -> Outcome<PlanView> {
    let mut container = instance.containers().find(container)?;
    let config = &mut container.config;
    let NetworkMode::Networks(list) = &mut config.network.mode else {
        return Err(not_its_own(config).during(format!("cannot connect container `{}` to a network", config.name)));
    };
    let mut netd = instance.netd()?;
    let info = resolve(&mut netd, &attachment.network)?;
    if list.iter().any(|a| is_network(&a.network, &info)) {
        return Err(already(config, &info));
    }
    if container.state.status.is_alive() {
        return planned(netd.call(Call::ConnectPlan { id: config.id.clone(), attachment })?);
    }
    list.clear();
    list.push(attachment);
    // Its ports stay where they are.
    config.network.publish.clear();
    config.network.publish_all = false;
    let mut view = PlanView::saying(format!("{} is attached at its next start", config.name));
    view.parts.extend(plan_start(instance, config)?.parts);
    Ok(view)
}

fn already(config: &Config, info: &NetworkInfo) -> Error {
    Error::new(Kind::Invalid, format!("container `{}` is on network `{}` already", config.name, info.name))
}

/// The networks that fit, sorted by name.
pub fn list(instance: &Instance, filters: &[NetworkFilter]) -> Outcome<Vec<NetworkInfo>> {
    match instance.netd()?.call(Call::NetworkList)? {
        Reply::Networks(mut list) => {
            let tests: Vec<_> = filters.iter().map(test).collect();
            list.retain(|info| fits_all(info, &tests));
            Ok(list)
        }
        other => Err(unexpected(&other)),
    }
}

/// All networks, if netd runs: it is not started for it.
pub fn known(instance: &Instance) -> Option<Vec<NetworkInfo>> {
    match Netd::connect_running(&instance.dirs)?.call(Call::NetworkList) {
        Ok(Reply::Networks(list)) => Some(list),
        _ => None,
    }
}

/// The test that a filter stands for.
fn test(filter: &NetworkFilter) -> Test<NetworkInfo> {
    let (kind, fits): (_, Fits<NetworkInfo>) = match filter.clone() {
        NetworkFilter::Name(name) => ("name", Box::new(move |info| name.is_match(info.name.as_str()))),
        NetworkFilter::Id(beginning) => ("id", Box::new(move |info| info.id.as_str().starts_with(&beginning))),
        NetworkFilter::Driver(name) => ("driver", Box::new(move |info| info.driver.name() == name)),
        NetworkFilter::Label(label) => ("label", Box::new(move |info| label.fits(&info.labels))),
        NetworkFilter::Scope(name) => {
            ("scope", Box::new(move |info| (info.scope == Scope::Global) == (name == "global")))
        }
        NetworkFilter::Builtin(wanted) => ("type", Box::new(move |info| info.predefined == wanted)),
        NetworkFilter::Dangling(wanted) => {
            ("dangling", Box::new(move |info| (info.attachments.is_empty() && !info.predefined) == wanted))
        }
    };
    Test { kind, fits }
}

/// One network.
pub fn inspect(instance: &Instance, name: &str) -> Outcome<NetworkInfo> {
    resolve(&mut instance.netd()?, name)
}

/// Whether a word that may be a container's or a network's is a container's. A whole name goes before the beginning of
/// an id, which may begin as anybody is called; of two whole names a network's goes first.
pub fn is_container(instance: &Instance, word: &str) -> bool {
    let Ok(container) = instance.containers().find(word) else { return false };
    let whole = |network: NetworkInfo| network.name.as_str() == word;
    match inspect(instance, word) {
        Ok(network) => container.config.name == word && !whole(network),
        Err(_) => true,
    }
}

/// Removes a network that no container is on. `force`: one that is not there is fine.
pub fn remove(instance: &Instance, name: &str, force: bool) -> Outcome<()> {
    match instance.netd()?.call(Call::NetworkRemove { network: name.to_owned() }) {
        Err(failure) if force && failure.kind == Kind::NotFound => Ok(()),
        other => other.map(drop),
    }
}

/// Removes all networks that no container is on or asks for, and that the filters let go; `removed` is called for each.
pub fn prune(instance: &Instance, filters: &[PruneFilter], mut removed: impl FnMut(&NetworkName)) -> Outcome<()> {
    let wanted: Vec<String> = instance
        .containers()
        .list()?
        .into_iter()
        .flat_map(|c| match c.config.network.mode {
            NetworkMode::Networks(list) => list.into_iter().map(|a| a.network).collect(),
            _ => Vec::new(),
        })
        .collect();
    let mut netd = instance.netd()?;
    for info in list(instance, &[])? {
        let named = wanted.iter().any(|name| name == info.name.as_str() || info.id.as_str().starts_with(name));
        let chosen = PruneFilter::all_fit(filters, info.created, &info.labels);
        if !info.predefined && info.attachments.is_empty() && !named && chosen {
            netd.call(Call::NetworkRemove { network: info.id.to_string() })?;
            removed(&info.name);
        }
    }
    subjects::pruned(&instance.dirs, Object::Network, 0);
    Ok(())
}

/// Puts a container on one more network, now if it runs.
pub fn connect(instance: &Instance, container: &str, attachment: AttachmentRequest) -> Outcome<()> {
    let container = instance.containers().find(container)?;
    let mut config = container.config;
    let NetworkMode::Networks(list) = &mut config.network.mode else {
        return Err(not_its_own(&config).during(format!("cannot connect container `{}` to a network", config.name)));
    };
    let mut netd = instance.netd()?;
    let info = resolve(&mut netd, &attachment.network)?;
    if list.iter().any(|a| is_network(&a.network, &info)) {
        return Err(already(&config, &info));
    }
    list.push(attachment.clone());
    let alive = container.state.status.is_alive();
    if alive {
        // A connect that was interrupted before it was recorded left this: do it again, as it is asked for now.
        if is_attached(&mut netd, &config, &info)? {
            netd.call(Call::Disconnect { id: config.id.clone(), network: info.id.to_string() })?;
        }
        netd.call(Call::Connect { id: config.id.clone(), attachment })?;
    }
    if let Err(failure) = instance.containers().save(&config) {
        let undone = match alive {
            true => netd.call(Call::Disconnect { id: config.id.clone(), network: info.id.to_string() }).map(drop),
            false => Ok(()),
        };
        let failure = failure.during(format!("cannot connect `{}` to network `{}`", config.name, info.name));
        return Err(match undone {
            Ok(()) => failure,
            Err(why) => failure.leaving([format!(
                "the connection ({}): {}",
                why.message,
                command::network_disconnect(info.name.as_str(), &config.name)
            )]),
        });
    }
    Ok(())
}

/// Whether netd has the container on the network, whatever its configuration says.
fn is_attached(netd: &mut Netd, config: &Config, info: &NetworkInfo) -> Outcome<bool> {
    match netd.call(Call::SandboxInspect { id: config.id.clone() }) {
        Ok(Reply::Sandbox(sandbox)) => Ok(sandbox.attachments.iter().any(|a| a.network_id == info.id)),
        Ok(other) => Err(unexpected(&other)),
        // It has no network at all; the next call says so.
        Err(_) => Ok(false),
    }
}

/// Why the networks of a container can't be changed.
fn not_its_own(config: &Config) -> Error {
    match &config.network.mode {
        NetworkMode::Container(id) => {
            Error::new(Kind::Invalid, format!("it shares the network namespace of container `{}`", id.short()))
                .hint(format!("connect or disconnect that one: {}", command::network_connect("NETWORK", id.short())))
        }
        NetworkMode::Path(path) => {
            Error::new(Kind::Invalid, format!("it runs in the network namespace `{}`, which is yours", path.display()))
                .hint("change that namespace by `ip -n`, or create the container with `--network` naming a network")
        }
        _ => Error::new(Kind::Invalid, "it runs on the host's network, or without any")
            .hint("create it with `--network` naming a network"),
    }
}

/// Takes a container off a network, now if it runs. With `force` it need not be on it.
pub fn disconnect(instance: &Instance, container: &str, network: &str, force: bool) -> Outcome<()> {
    let container = instance.containers().find(container)?;
    let mut config = container.config;
    let mut netd = instance.netd()?;
    let info = resolve(&mut netd, network)?;
    let attached = match &mut config.network.mode {
        NetworkMode::Networks(list) => {
            let before = list.len();
            list.retain(|a| !is_network(&a.network, &info));
            list.len() < before
        }
        NetworkMode::Container(_) | NetworkMode::Path(_) => {
            return Err(not_its_own(&config).during(format!("cannot disconnect container `{}`", config.name)));
        }
        NetworkMode::Host | NetworkMode::None => false,
    };
    let alive = container.state.status.is_alive();
    // A change that was interrupted can be undone from either half.
    let linked = alive && is_attached(&mut netd, &config, &info)?;
    if !attached && !linked {
        return match force {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Conflict,
                format!("container `{}` is not on network `{}`", config.name, info.name),
            )),
        };
    }
    // Recorded first: if that fails, nothing has changed, and if we are interrupted afterwards, the next call finishes
    // it.
    instance.containers().save(&config)?;
    if linked {
        netd.call(Call::Disconnect { id: config.id.clone(), network: info.id.to_string() })?;
    }
    Ok(())
}

fn resolve(netd: &mut Netd, name: &str) -> Outcome<NetworkInfo> {
    match netd.call(Call::NetworkInspect { network: name.to_owned() })? {
        Reply::Network(info) => Ok(info),
        other => Err(unexpected(&other)),
    }
}

fn is_network(text: &str, info: &NetworkInfo) -> bool {
    text == info.name.as_str() || (text.len() >= 4 && info.id.as_str().starts_with(text))
}
