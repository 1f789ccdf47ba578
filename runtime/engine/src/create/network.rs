//! A container's network out of its request: names looked up, and what does not go together refused.

use super::request::{Create, Mode, NetworkRequest};
use crate::config::{Exposed, Network, NetworkMode};
use crate::instance::Instance;
use crate::parse::ports;
use crate::start::network::open_netns;
use oci_spec::image::Config as ImageConfig;
use rcr_base::{Error, Kind, Outcome};

/// Looks up the network that the request names. Changes nothing.
pub(super) fn mode(instance: &Instance, wanted: &Create) -> Outcome<NetworkMode> {
    match &wanted.network.mode {
        Mode::Host => Ok(NetworkMode::Host),
        Mode::None if !wanted.network.publish.is_empty() => {
            Err(Error::new(Kind::Invalid, "cannot publish ports of a container without a network")
                .hint("leave `--network none` or `-p` out"))
        }
        Mode::None => Ok(NetworkMode::None),
        Mode::Networks(list) => Ok(NetworkMode::Networks(list.clone())),
        Mode::Container(name) => {
            let network = format!("container:{name}");
            refuse(&network, &of_its_owner(wanted), &format!("give it to `{name}`, whose network it is"))?;
            Ok(NetworkMode::Container(instance.containers().find(name)?.config.id))
        }
        Mode::Path(path) => {
            let network = format!("ns:{}", path.display());
            refuse(&network, &of_netd(wanted), "the namespace is yours: set its links up by `ip -n`")?;
            open_netns(path)?;
            Ok(NetworkMode::Path(path.clone()))
        }
    }
}

/// Options that need links of the container's own, each with whether it was given.
fn of_netd(wanted: &Create) -> Vec<(&'static str, bool)> {
    let network = &wanted.network;
    vec![("-p", !network.publish.is_empty()), ("-P", network.publish_all), ("--expose", !network.exposed.is_empty())]
}

/// Options that belong to the container whose network is shared: its files and its host name, too.
fn of_its_owner(wanted: &Create) -> Vec<(&'static str, bool)> {
    let mut all = of_netd(wanted);
    all.extend([
        ("--hostname", wanted.hostname.is_some()),
        ("--domainname", wanted.domainname.is_some()),
        ("--dns", !wanted.dns.servers.is_empty()),
        ("--dns-search", !wanted.dns.search.is_empty()),
        ("--dns-option", !wanted.dns.options.is_empty()),
        ("--add-host", !wanted.extra_hosts.is_empty()),
        ("--sysctl net.…", wanted.sysctls.keys().any(|key| key.starts_with("net."))),
    ]);
    all
}

fn refuse(network: &str, asked_for: &[(&'static str, bool)], hint: &str) -> Outcome<()> {
    match asked_for.iter().find(|(_, asked)| *asked) {
        Some((what, _)) => {
            Err(Error::new(Kind::Invalid, format!("`{what}` can't be combined with `--network {network}`"))
                .caused_by("the container gets no network of its own")
                .hint(hint))
        }
        None => Ok(()),
    }
}

/// The container's network, with what is published, and the ports of the image among the exposed ones.
pub(super) fn network(mode: NetworkMode, wanted: &NetworkRequest, image: Vec<Exposed>) -> Network {
    let mut exposed = wanted.exposed.clone();
    exposed.extend(image);
    exposed.sort();
    exposed.dedup();
    Network {
        // On the host's network ports are the host's own: there is nothing to publish.
        publish: if mode == NetworkMode::Host { Vec::new() } else { wanted.publish.clone() },
        publish_all: wanted.publish_all && matches!(mode, NetworkMode::Networks(_)),
        exposed,
        mode,
    }
}

/// The ports that an image exposes.
pub(super) fn image_ports(defaults: &ImageConfig) -> Vec<Exposed> {
    let ports = defaults.exposed_ports().clone().unwrap_or_default();
    ports.iter().filter_map(|text| ports::exposed(text).ok()).collect()
}
