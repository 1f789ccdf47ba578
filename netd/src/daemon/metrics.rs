//! What a scrape is told: what was counted, what the writer knows, and what the kernel says. A thread of the scrape's own
//! looks; the writer only hands out a picture, and if it does not in time, the rest is told without it.

use super::input::Inbox;
use super::writer::Writer;
use crate::clock::since_epoch;
use crate::kernel::{conntrack, links_here, links_inside, rules_of_table};
use crate::metrics::Metrics;
use crate::metrics::counters::Repaired;
use crate::metrics::families as of;
use crate::metrics::passed::{Both, Passed};
use crate::metrics::text::{Form, Text};
use netd_api::{ContainerId, IfName, LinkView, NetworkId, Traffic};
use netd_core::firewall::host_table;
use netd_core::picture::{Inhabitant, Picture};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the writer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Places of containers on networks that have numbers of their own: each costs four series.
const PLACES: usize = 256;
/// Rules that have numbers of their own. Our table has some dozens.
const RULES: usize = 256;

type Place = (NetworkId, ContainerId);

/// Who answers scrapes.
pub struct Scrapes {
    inbox: Inbox,
    metrics: Arc<Metrics>,
    /// Whether this host is one of a cluster.
    shared: bool,
    started: Duration,
    /// Held while one scrape looks, so that several together cost no more than one at a time.
    passed: Mutex<Passed>,
}

impl Scrapes {
    /// None so far.
    pub fn new(inbox: Inbox, metrics: Arc<Metrics>, shared: bool) -> Self {
        Self { inbox, metrics, shared, started: since_epoch(), passed: Mutex::default() }
    }

    /// All numbers as text.
    pub fn text(&self, form: Form) -> String {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = Text::new(form);
        self.own(&mut text);
        let writer = Writer { inbox: self.inbox.clone(), connection: 0 };
        let measured = writer.measured(PATIENCE);
        text.number(&of::ANSWERS_BY_WRITER, measured.is_some().into());
        text.number(&of::QUEUE, self.metrics.queue.get());
        if let Some((picture, debts)) = measured {
            text.number(&of::DEBTS, debts as u64);
            listed(&mut text, &picture);
            let seen = links(&writer, &picture);
            passed.look(seen.clone(), picture.networks.keys());
            traffic(&mut text, &picture, &passed, &seen);
            if self.shared {
                cluster(&mut text, &picture);
            }
        }
        drop(passed);
        rules(&mut text);
        if let Some((flows, most)) = conntrack() {
            text.number(&of::FLOWS, flows);
            text.number(&of::MOST_FLOWS, most);
        }
        self.counted(&mut text);
        text.finish()
    }

    fn own(&self, text: &mut Text) {
        text.numbers(&of::BUILD, [([env!("CARGO_PKG_VERSION")], 1)]);
        text.number(&of::STARTED, self.started.as_secs());
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(kib) =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse().ok())
        {
            text.number(&of::MEMORY, u64::saturating_mul(kib, 1024));
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // One of them is the folder's.
            text.number(&of::DESCRIPTORS, (open.count() as u64).saturating_sub(1));
        }
    }

    fn counted(&self, text: &mut Text) {
        let metrics = &self.metrics;
        let answers = [("local", &metrics.local), ("forwarded", &metrics.forwarded)];
        let answers =
            answers.into_iter().flat_map(|(source, all)| all.seen().map(move |(code, n)| ([source, code], n)));
        text.numbers(&of::QUERIES, answers);
        text.times(&of::ATTACH, &[([], metrics.attach.seen())]);
        text.number(&of::ATTACH_FAILED, metrics.attach_failed.get());
        text.times(&of::STORE, &[(["durable"], metrics.durable.seen()), (["lazy"], metrics.lazy.seen())]);
        text.number(&of::STORE_FAILED, metrics.store_failed.get());
        let repairs = [("network", Repaired::Network), ("table", Repaired::Table)];
        text.numbers(&of::REPAIRS, repairs.map(|(name, what)| ([name], metrics.repairs(what))));
    }
}

fn listed(text: &mut Text, picture: &Picture) {
    text.number(&of::CONTAINERS, picture.containers.len() as u64);
    let mut drivers: BTreeMap<&str, u64> = BTreeMap::new();
    for network in picture.networks.values() {
        *drivers.entry(network.network.driver.name()).or_default() += 1;
    }
    text.numbers(&of::NETWORKS, drivers.into_iter().map(|(name, count)| ([name], count)));
    let on = |id: &NetworkId| {
        let containers = picture.containers.values();
        containers.filter(|c| c.attachments.iter().any(|a| a.network == *id)).count() as u64
    };
    let places = picture.networks.iter().map(|(id, n)| ([n.network.name.as_str()], on(id)));
    text.numbers(&of::ATTACHMENTS, places);
}

/// What the links of all containers have counted. A container with a pair is seen by the host's end of it: what that
/// sends, the container receives. Links on a parent are looked at in their namespaces.
fn links(writer: &Writer, picture: &Picture) -> BTreeMap<Place, Both> {
    // What can't be looked at has counted nothing new.
    let host = links_here().unwrap_or_default();
    let mut all = BTreeMap::new();
    for (id, container) in &picture.containers {
        let mut inside: Option<BTreeMap<IfName, LinkView>> = None;
        for attachment in &container.attachments {
            let Some(network) = picture.networks.get(&attachment.network).filter(|n| n.network.linked()) else {
                continue;
            };
            let place = (attachment.network.clone(), id.clone());
            let both = if network.network.bridge().is_some() {
                let outer = host.get(&attachment.host_link);
                outer.map(|link| Both { received: link.sent, sent: link.received })
            } else {
                let inside = inside.get_or_insert_with(|| links_of(writer, id));
                inside.get(&attachment.ifname).map(|link| Both { received: link.received, sent: link.sent })
            };
            all.extend(both.map(|both| (place, both)));
        }
    }
    all
}

fn links_of(writer: &Writer, id: &ContainerId) -> BTreeMap<IfName, LinkView> {
    let netns = writer.netns_within(vec![id.clone()], PATIENCE).into_iter().next().flatten();
    netns.and_then(|netns| links_inside(netns.as_fd()).ok()).unwrap_or_default()
}

fn traffic(text: &mut Text, picture: &Picture, passed: &Passed, seen: &BTreeMap<Place, Both>) {
    let linked: Vec<_> = picture.networks.iter().filter(|(_, n)| n.network.linked()).collect();
    type Pick = fn(&Both) -> u64;
    let sums: [(&of::Family, Pick); 5] = [
        (&of::NET_RECEIVED_BYTES, |both| both.received.bytes),
        (&of::NET_RECEIVED_PACKETS, |both| both.received.packets),
        (&of::NET_SENT_BYTES, |both| both.sent.bytes),
        (&of::NET_SENT_PACKETS, |both| both.sent.packets),
        (&of::NET_DROPPED_PACKETS, dropped),
    ];
    for (family, pick) in sums {
        let numbers = linked.iter().map(|(id, n)| ([n.network.name.as_str()], pick(&passed.of(id))));
        text.numbers(family, numbers);
    }
    let named = seen.iter().filter_map(|((network, id), both)| {
        let network = picture.networks.get(network)?.network.name.as_str();
        Some(([called(id, picture.containers.get(id)?), network], both))
    });
    // By their labels: a text that has the same ones twice is taken by nobody.
    let places: BTreeMap<[&str; 2], &Both> = named.collect();
    text.number(&of::LEFT_OUT, places.len().saturating_sub(PLACES) as u64);
    let own: [(&of::Family, Pick); 4] = [
        (&of::RECEIVED_BYTES, |both| both.received.bytes),
        (&of::RECEIVED_PACKETS, |both| both.received.packets),
        (&of::SENT_BYTES, |both| both.sent.bytes),
        (&of::SENT_PACKETS, |both| both.sent.packets),
    ];
    for (family, pick) in own {
        text.numbers(family, places.iter().take(PLACES).map(|(labels, both)| (*labels, pick(both))));
    }
}

fn dropped(both: &Both) -> u64 {
    let sum = |one: Traffic, other: Traffic| one.dropped.wrapping_add(other.dropped);
    sum(both.received, both.sent)
}

fn called<'a>(id: &'a ContainerId, container: &'a Inhabitant) -> &'a str {
    if container.name.is_empty() { id.short() } else { &container.name }
}

fn cluster(text: &mut Text, picture: &Picture) {
    text.number(&of::STORE_UP, picture.store_away.is_none().into());
    let count = |alive: bool| picture.nodes.values().filter(|node| node.alive == alive).count() as u64;
    text.numbers(&of::HOSTS, [(["alive"], count(true)), (["silent"], count(false))]);
}

/// Rules of our table that count: those that drop. Several of one comment in a chain are one.
fn rules(text: &mut Text) {
    let table = host_table();
    let mut all: BTreeMap<[String; 2], (u64, u64)> = BTreeMap::new();
    for rule in rules_of_table(table.family, table.name).unwrap_or_default() {
        let Some((packets, bytes)) = rule.counted else { continue };
        let sum = all.entry([rule.chain, rule.comment.unwrap_or_default()]).or_default();
        *sum = (sum.0.wrapping_add(packets), sum.1.wrapping_add(bytes));
    }
    text.numbers(&of::RULE_PACKETS, all.iter().take(RULES).map(|(labels, sum)| (labels.each_ref(), sum.0)));
    text.numbers(&of::RULE_BYTES, all.iter().take(RULES).map(|(labels, sum)| (labels.each_ref(), sum.1)));
}
