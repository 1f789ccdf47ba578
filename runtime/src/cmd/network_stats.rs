//! `network stats`: what passes the containers' links.

use super::stats::{Screen, decimal};
use crate::cli::network::NetworkStatsArgs;
use crate::term::listing::{self, Row};
use crate::term::outlet::pause;
use netd_api::{EndpointView, LinkState, LinkView, NetworkView};
use rcr_base::{Kind, Outcome};
use rcr_engine::instance::Instance;
use rcr_engine::{explain, networks};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// From one look to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// A container on a network: what its link has received and sent since it is there.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    network: String,
    container: String,
    link: String,
    received: String,
    sent: String,
    received_packets: u64,
    sent_packets: u64,
    received_per_second: String,
    sent_per_second: String,
    dropped: u64,
}

impl Row for Line {
    const HEADINGS: &'static [(&'static str, &'static str)] = &[
        ("Network", "NETWORK"),
        ("Container", "CONTAINER"),
        ("Link", "LINK"),
        ("Received", "RECEIVED"),
        ("Sent", "SENT"),
        ("ReceivedPackets", "PACKETS RECEIVED"),
        ("SentPackets", "PACKETS SENT"),
        ("ReceivedPerSecond", "RECEIVED/S"),
        ("SentPerSecond", "SENT/S"),
        ("Dropped", "DROPPED"),
    ];
}

const COLUMNS: [&str; 9] = [
    "Network",
    "Container",
    "Received",
    "Sent",
    "ReceivedPackets",
    "SentPackets",
    "ReceivedPerSecond",
    "SentPerSecond",
    "Dropped",
];

/// Bytes received and sent, by the ids of network and container, and when that was.
struct Look {
    at: Instant,
    bytes: BTreeMap<(String, String), (u64, u64)>,
    views: Vec<NetworkView>,
}

/// `rcr network stats`.
pub fn stats(instance: &Instance, args: &NetworkStatsArgs) -> Outcome<i32> {
    let mut before = look(instance, &args.networks, true)?;
    let mut screen = Screen::new(args.format.format.as_ref());
    loop {
        pause(PERIOD)?;
        let now = look(instance, &args.networks, false)?;
        if !args.networks.is_empty() && now.views.is_empty() {
            return Ok(0);
        }
        let mut lines: Vec<Line> =
            now.views.iter().flat_map(|view| view.endpoints.iter().map(|one| line(view, one, &now, &before))).collect();
        lines.sort_by(|a, b| (&a.network, &a.container).cmp(&(&b.network, &b.container)));
        screen.show(&listing::lines(args.format.format.as_ref(), &COLUMNS, &lines)?)?;
        if args.no_stream {
            return Ok(0);
        }
        before = now;
    }
}

/// Looks at these networks, or at all; `first`: one that is not there is an error, later it was removed meanwhile.
fn look(instance: &Instance, named: &[String], first: bool) -> Outcome<Look> {
    let names: Vec<String> = match named {
        [] => networks::list(instance, &[])?.iter().map(|info| info.id.to_string()).collect(),
        named => named.to_vec(),
    };
    let must = first && !named.is_empty();
    let mut look = Look { at: Instant::now(), bytes: BTreeMap::new(), views: Vec::new() };
    for name in names {
        let view = match explain::show(instance, &name) {
            Err(error) if error.kind == Kind::NotFound && !must => continue,
            other => other?,
        };
        for one in &view.endpoints {
            let traffic = end(one).map(|link| (link.received.bytes, link.sent.bytes)).unwrap_or_default();
            look.bytes.insert(key(&view, one), traffic);
        }
        look.views.push(view);
    }
    look.views.sort_by(|a, b| a.network.name.as_str().cmp(b.network.name.as_str()));
    Ok(look)
}

fn key(view: &NetworkView, one: &EndpointView) -> (String, String) {
    (view.network.id.to_string(), one.attachment.container.to_string())
}

/// The container's end, as far as it could be looked at.
fn end(one: &EndpointView) -> Option<&LinkView> {
    one.inside.as_ref().filter(|link| matches!(link.state, LinkState::Up | LinkState::Down))
}

fn line(view: &NetworkView, one: &EndpointView, now: &Look, before: &Look) -> Line {
    let link = end(one);
    let (received, sent) = link.map(|link| (link.received, link.sent)).unwrap_or_default();
    let last = before.bytes.get(&key(view, one));
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    // A link that was made anew counts from 0.
    let rate = |bytes: u64, last: Option<u64>| {
        let more = last.map_or(0, |last| bytes.saturating_sub(last));
        decimal(if seconds > 0.0 { (more as f64 / seconds) as u64 } else { 0 })
    };
    Line {
        network: view.network.name.to_string(),
        container: one.attachment.container_name.clone(),
        link: link.map(|link| link.name.to_string()).unwrap_or_default(),
        received: decimal(received.bytes),
        sent: decimal(sent.bytes),
        received_packets: received.packets,
        sent_packets: sent.packets,
        received_per_second: rate(received.bytes, last.map(|last| last.0)),
        sent_per_second: rate(sent.bytes, last.map(|last| last.1)),
        dropped: received.dropped + sent.dropped,
    }
}
