//! `rcr network show`: what is known of a network, beside what the kernel says of it now.

use super::writer::Writer;
use crate::dns::lately::Asked;
use crate::kernel::{links_here, links_inside, rules_of_table};
use netd_api::{
    ApiError, AttachmentInfo, Call, ContainerId, EndpointView, IfName, LinkState, LinkView, NetworkInfo, NetworkView,
    QueryView, RemoteView, Reply, RuleView, Traffic,
};
use netd_core::firewall::{Set, host_table, user_table};
use netd_core::picture::{NetworkPicture, Picture};
use netd_core::seen::{RuleSeen, family_name};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};

/// The most questions of a network that are told.
const QUERIES: usize = 200;

type Links = Option<BTreeMap<IfName, LinkView>>;

/// A network as it is now.
pub fn show(writer: &Writer, asked: &str) -> Result<Reply, ApiError> {
    let info = match writer.ask(Call::NetworkInspect { network: asked.to_owned() }, Vec::new()).0 {
        Reply::Network(info) => info,
        other => return Ok(other),
    };
    let picture = writer.picture()?;
    let Some(network) = picture.networks.get(&info.id) else {
        // Somebody removed it meanwhile: the writer says so.
        return Ok(writer.ask(Call::NetworkInspect { network: asked.to_owned() }, Vec::new()).0);
    };
    let inside = info.attachments.iter().filter(|a| a.ifname.is_some()).map(|a| a.container.clone());
    let inside: Vec<ContainerId> = inside.collect();
    let netns = inside.iter().cloned().zip(writer.netns_of(inside.clone())?).collect();
    Ok(Reply::Shown(Box::new(looked_at(&picture, network, info, &netns))))
}

/// What a network's containers have asked for lately, the newest first.
pub fn queries(writer: &Writer, asked: &str) -> Result<Reply, ApiError> {
    let info = match writer.ask(Call::NetworkInspect { network: asked.to_owned() }, Vec::new()).0 {
        Reply::Network(info) => info,
        other => return Ok(other),
    };
    let lately = writer.lately(info.attachments.iter().map(|a| a.container.clone()).collect())?;
    let mut all: Vec<QueryView> = Vec::new();
    for (attachment, asked) in info.attachments.iter().zip(lately) {
        all.extend(asked.into_iter().map(|asked| query(attachment, asked)));
    }
    all.sort_by_key(|query| std::cmp::Reverse(query.at));
    all.truncate(QUERIES);
    Ok(Reply::Queries(all))
}

fn query(by: &AttachmentInfo, asked: Asked) -> QueryView {
    let Asked { at, name, kind, code, records, outside } = asked;
    let (container, container_name) = (by.container.clone(), by.container_name.clone());
    QueryView { at, container, container_name, name, kind, code, records, outside }
}

fn looked_at(
    picture: &Picture,
    network: &NetworkPicture,
    info: NetworkInfo,
    netns: &BTreeMap<ContainerId, Option<OwnedFd>>,
) -> NetworkView {
    let mut unseen = Vec::new();
    let host: Links = links_here().map_err(|error| unseen.push(format!("the host's links: {error}"))).ok();
    let own = if network.up { network.own_links() } else { Vec::new() };
    let endpoints = info.attachments.iter().map(|a| endpoint(picture, network, a, &host, netns, &mut unseen)).collect();
    let remotes = network.remotes.iter().map(|remote| RemoteView {
        name: remote.name.clone(),
        addresses: remote.addresses.clone(),
        mac: remote.mac,
        host: picture.host_name(&remote.node),
        address: network.vteps.get(&remote.node).map(|vtep| vtep.address),
    });
    NetworkView {
        mtu_from: network.mtu_from(&picture.facts),
        links: own.iter().map(|name| in_or_missing(&host, name)).collect(),
        endpoints,
        remotes: remotes.collect(),
        rules: rules(network, &mut unseen),
        network: info,
        unseen,
    }
}

fn endpoint(
    picture: &Picture,
    network: &NetworkPicture,
    info: &AttachmentInfo,
    host: &Links,
    netns: &BTreeMap<ContainerId, Option<OwnedFd>>,
    unseen: &mut Vec<String>,
) -> EndpointView {
    let container = picture.containers.get(&info.container);
    let attachment = container.and_then(|c| c.attachments.iter().find(|a| a.network == info.network_id));
    let own = container.zip(attachment);
    let inside = info.ifname.as_ref().map(|name| {
        let links = match netns.get(&info.container) {
            Some(Some(netns)) => links_inside(netns.as_fd()).map_err(|error| error.to_string()),
            _ => Err("its network namespace is gone".to_owned()),
        };
        let links = links.map_err(|why| unseen.push(format!("the links in `{}`: {why}", info.container_name)));
        in_or_missing(&links.ok(), name)
    });
    // A macvlan or ipvlan link has no other end: it sits on the parent.
    let has_pair = network.network.bridge().is_some();
    EndpointView {
        attachment: info.clone(),
        names: own.map(|(container, a)| container.names(&info.container, a)).unwrap_or_default(),
        outside: attachment.filter(|_| has_pair).map(|a| in_or_missing(host, &a.host_link)),
        inside,
        ports: attachment.map(|a| a.ports.clone()).unwrap_or_default(),
    }
}

fn in_or_missing(links: &Links, name: &IfName) -> LinkView {
    let state = if links.is_some() { LinkState::Missing } else { LinkState::Unknown };
    let lacking = || LinkView {
        name: name.clone(),
        state,
        mtu: None,
        mac: None,
        received: Traffic::default(),
        sent: Traffic::default(),
    };
    links.as_ref().and_then(|links| links.get(name)).cloned().unwrap_or_else(lacking)
}

/// Rules of ours that count and look up a set in which something of the network lies, and all of the administrator's.
fn rules(network: &NetworkPicture, unseen: &mut Vec<String>) -> Vec<RuleView> {
    if !network.up {
        return Vec::new();
    }
    let sets: BTreeSet<&str> = network.sets.iter().copied().map(Set::name).collect();
    let mut all = Vec::new();
    for (table, ours) in [(host_table(), true), (user_table(), false)] {
        match rules_of_table(table.family, table.name) {
            Ok(rules) => {
                let concerns = |rule: &RuleSeen| !ours || rule.sets.iter().any(|set| sets.contains(set.as_str()));
                all.extend(rules.into_iter().filter(concerns).filter_map(counting));
            }
            Err(error) => unseen.push(format!("the rules of table `{}`: {error}", table.name)),
        }
    }
    all
}

fn counting(rule: RuleSeen) -> Option<RuleView> {
    let (packets, bytes) = rule.counted?;
    let table = format!("{} {}", family_name(rule.family), rule.table);
    let comment = rule.comment.unwrap_or_default();
    Some(RuleView { table, chain: rule.chain, handle: rule.handle, comment, packets, bytes })
}
