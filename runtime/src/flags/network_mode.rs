//! `--network` and the flags around it → the container's network.

use super::text::{flag, flags};
use crate::cli::run::{CreateArgs, NetworkArgs};
use crate::cli::{attachment, value};
use netd_api::AttachmentRequest;
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::config::{Network, NetworkMode};
use rcr_engine::instance::Instance;
use rcr_engine::start::network::open_netns;
use std::path::PathBuf;

/// What the `--network` flags say together.
pub struct Mode {
    attachments: Vec<AttachmentRequest>,
    /// Absent: the attachments.
    lone: Option<NetworkMode>,
}

/// What stands alone: no other network beside it.
fn is_lone(name: &str) -> bool {
    ["host", "none"].contains(&name) || name.starts_with("container:") || name.starts_with("ns:")
}

/// Reads `--network`, and refuses what does not go with it. Nothing is touched.
pub fn mode(instance: &Instance, args: &CreateArgs) -> Outcome<Mode> {
    let attachments = flags("--network", &args.network.network, attachment::network)?;
    let Some(lone) = attachments.iter().map(|a| a.network.as_str()).find(|name| is_lone(name)) else {
        return Ok(Mode { attachments, lone: None });
    };
    if attachments.len() > 1 {
        return Err(Error::new(Kind::Invalid, format!("`--network {lone}` can't be combined with other networks")));
    }
    let lone = match lone.split_once(':') {
        Some(("container", name)) => {
            refuse_flags(lone, &of_another(args), &format!("give it to `{name}`, whose network it is"))?;
            let other = instance.containers().find(name)?;
            NetworkMode::Container(other.config.id)
        }
        Some((_, path)) => {
            let path = PathBuf::from(path);
            refuse_flags(lone, &of_netd(args), "the namespace is yours: set its links up by `ip -n`")?;
            open_netns(&path)?;
            NetworkMode::Path(path)
        }
        None if lone == "host" => NetworkMode::Host,
        None => NetworkMode::None,
    };
    Ok(Mode { attachments, lone: Some(lone) })
}

/// Flags about links and ports, each with whether it was given.
fn of_netd(args: &CreateArgs) -> Vec<(&'static str, bool)> {
    let net = &args.network;
    vec![
        ("-p", !net.publish.is_empty()),
        ("-P", net.publish_all),
        ("--expose", !net.expose.is_empty()),
        ("--ip", net.ip.is_some()),
        ("--ip6", net.ip6.is_some()),
        ("--mac-address", net.mac_address.is_some()),
        ("--network-alias", !net.network_alias.is_empty()),
    ]
}

/// All that belongs to the container whose network is shared: its files and its host name, too.
fn of_another(args: &CreateArgs) -> Vec<(&'static str, bool)> {
    let net = &args.network;
    let mut all = of_netd(args);
    all.extend([
        ("--hostname", args.hostname.is_some()),
        ("--domainname", args.domainname.is_some()),
        ("--dns", !net.dns.is_empty()),
        ("--dns-search", !net.dns_search.is_empty()),
        ("--dns-option", !net.dns_option.is_empty()),
        ("--add-host", !net.add_host.is_empty()),
        ("--sysctl net.…", args.security.sysctl.iter().any(|s| s.starts_with("net."))),
    ]);
    all
}

fn refuse_flags(lone: &str, flags: &[(&'static str, bool)], hint: &str) -> Outcome<()> {
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => {
            Err(Error::new(Kind::Invalid, format!("`{flag}` can't be combined with `--network {lone}`"))
                .caused_by("the container gets no network of its own")
                .hint(hint))
        }
        None => Ok(()),
    }
}

/// The network of a container, with what is published.
pub fn network(args: &NetworkArgs, mode: &Mode) -> Outcome<Network> {
    let mut attachments = mode.attachments.clone();
    if attachments.is_empty() {
        attachments.push(AttachmentRequest::to("bridge"));
    }
    static_addresses(args, mode, &mut attachments)?;
    if mode.lone.is_some() && !args.network_alias.is_empty() {
        return Err(Error::new(Kind::Invalid, "`--network-alias` needs a network with names"));
    }
    for attachment in &mut attachments {
        attachment.aliases.extend(args.network_alias.iter().cloned());
    }
    let publish = flags("--publish", &args.publish, value::publish)?;
    if !publish.is_empty() && mode.lone == Some(NetworkMode::None) {
        return Err(Error::new(Kind::Invalid, "cannot publish ports of a container without a network")
            .hint("leave `--network none` or `-p` out"));
    }
    Ok(Network {
        // On the host's network ports are the host's own: there is nothing to publish.
        publish: if mode.lone == Some(NetworkMode::Host) { Vec::new() } else { publish },
        publish_all: args.publish_all && mode.lone.is_none(),
        exposed: flags("--expose", &args.expose, value::exposed)?,
        mode: mode.lone.clone().unwrap_or(NetworkMode::Networks(attachments)),
    })
}

/// `--ip`, `--ip6` and `--mac-address`, which stand for the one network there is.
fn static_addresses(args: &NetworkArgs, mode: &Mode, attachments: &mut [AttachmentRequest]) -> Outcome<()> {
    let address = |name: &'static str, text: &Option<String>| text.clone().map(|text| (name, text));
    for (name, text) in
        [address("--ip", &args.ip), address("--ip6", &args.ip6), address("--mac-address", &args.mac_address)]
            .into_iter()
            .flatten()
    {
        let ([first], None) = (&mut *attachments, &mode.lone) else {
            return Err(Error::new(Kind::Invalid, format!("`{name}` needs exactly one network"))
                .hint("with several, write --network name=…,ip=…"));
        };
        match name {
            "--ip" => first.ip = Some(flag(name, &text, text.parse().map_err(|_| "not an IPv4 address".into()))?),
            "--ip6" => first.ip6 = Some(flag(name, &text, text.parse().map_err(|_| "not an IPv6 address".into()))?),
            _ => first.mac = Some(flag(name, &text, text.parse().map_err(|e: netd_api::NameError| e.to_string()))?),
        }
    }
    Ok(())
}
