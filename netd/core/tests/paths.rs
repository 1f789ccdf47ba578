//! What a packet crosses: `docs/nftables.md` has the table, and this makes it from the rules. `UPDATE_GOLDENS=1` writes
//! it anew.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use netd_api::{IfName, Mac};
use netd_core::drivers;
use netd_core::firewall::{self, Chain, Datum, Element, Hook, Load, Match, PortAt, Rule, Set, Verdict};
use netd_core::model::{Attachment, Facts, Network};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

const BRIDGE: &str = "blue0";
const BRIDGE_MAC: &str = "02:00:00:00:04:01";
const OTHER_MAC: &str = "02:00:00:00:00:0b";

/// What connection tracking says of a packet.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    New,
    Established,
    Untracked,
}

/// A packet where it stands.
#[derive(Debug, Clone)]
struct Packet {
    iif: &'static str,
    oif: &'static str,
    to_mac: &'static str,
    from: IpAddr,
    to: IpAddr,
    proto: u8,
    source_port: u16,
    port: u16,
    state: State,
    translated: bool,
    to_host: bool,
}

impl Packet {
    fn new(from: &str, to: &str) -> Self {
        Self {
            iif: "",
            oif: "",
            to_mac: "",
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            proto: 6,
            source_port: 40_000,
            port: 80,
            state: State::New,
            translated: false,
            to_host: false,
        }
    }

    fn family(&self) -> u8 {
        if self.to.is_ipv4() { 2 } else { 10 }
    }

    fn load(&self, what: Load) -> Datum {
        let link = |name: &str| Datum::Link(name.parse::<IfName>().unwrap_or_else(|_| "none".parse().unwrap()));
        match what {
            Load::Iif => link(self.iif),
            Load::Oif => link(self.oif),
            Load::EtherDestination => Datum::Mac(self.to_mac.parse::<Mac>().expect("a packet of a bridge has a MAC")),
            Load::Saddr4 | Load::Saddr6 => self.from.into(),
            Load::Daddr4 | Load::Daddr6 => self.to.into(),
            Load::Proto => Datum::Proto(self.proto),
            Load::Dport => Datum::Port(self.port),
            Load::Family => Datum::Family(self.family()),
            Load::Vni => panic!("no tunnel here"),
        }
    }
}

/// A host with one network and one published port.
struct World {
    chains: Vec<Chain>,
    elements: BTreeSet<Element>,
}

impl World {
    fn new() -> Self {
        let network: Network = serde_json::from_value(json!({
            "id": "b".repeat(64), "name": "blue", "driver": {"driver": "bridge"}, "internal": false, "ipv6": false,
            "subnets": [{"subnet": "10.4.0.0/24", "gateway": "10.4.0.1", "aux_addresses": {}}], "interface": BRIDGE, "mac": BRIDGE_MAC,
            "labels": {}, "created": 0, "predefined": false,
        }))
        .unwrap();
        let attachment: Attachment = serde_json::from_value(json!({
            "network": network.id, "container": "c".repeat(64), "container_name": "web", "host_link": "ve1",
            "host_mac": "02:00:00:00:00:0a", "ifname": "eth0", "mac": OTHER_MAC, "addresses": ["10.4.0.2/24"],
            "gateways": ["10.4.0.1"], "aliases": [], "gw_priority": 0, "default_via": ["10.4.0.1"], "reused": [],
            "host_access": false,
            "ports": [{"host_ip": "0.0.0.0", "host_port": 8080, "container_port": 80, "count": 1, "proto": "tcp"}],
        }))
        .unwrap();
        let (facts, driver) = (Facts { ipv6: true, ..Facts::default() }, drivers::of(&network.driver));
        let plans = [
            drivers::base(&facts),
            driver.network(&network, Some(1500), &facts),
            driver.attach(&network, &attachment, Some(1500), &facts),
        ];
        let elements: BTreeSet<Element> = plans.iter().flat_map(|plan| plan.elements().cloned()).collect();
        let used: BTreeSet<Set> = elements.iter().map(|element| element.set).collect();
        let chains = [firewall::needed(&used, false), firewall::user_table().chains].concat();
        Self { chains, elements }
    }

    fn has(&self, packet: &Packet, loads: &[Load], set: Set) -> bool {
        let key: Vec<Datum> = loads.iter().map(|load| packet.load(*load)).collect();
        self.elements.iter().filter(|element| element.set == set).any(|element| {
            let last = element.last.as_ref().unwrap_or(&element.key);
            let fields = key.iter().zip(&element.key).zip(last);
            fields.into_iter().all(|((value, first), last)| first <= value && value <= last)
        })
    }

    fn matches(&self, packet: &Packet, one: &Match) -> bool {
        match one {
            Match::Family(family) => *family == packet.family(),
            Match::Proto(proto) => *proto == packet.proto,
            Match::IifNot(link) => *link != packet.iif,
            Match::In(loads, set) => self.has(packet, loads, *set),
            Match::NotIn(loads, set) => !self.has(packet, loads, *set),
            Match::Established => packet.state == State::Established,
            Match::Untracked => packet.state == State::Untracked,
            Match::Translated => packet.translated,
            Match::Unicast => true,
            Match::ToLocal => packet.to_host,
            Match::Mark(_) | Match::Syn | Match::Quoting(_) => false,
            Match::From(net) => net.contains(&packet.from),
            Match::To(net) => net.contains(&packet.to),
            Match::Port(port) => *port == packet.port,
            Match::SourcePort(port) => *port == packet.source_port,
        }
    }

    fn acts(&self, packet: &Packet, rule: &Rule) -> bool {
        let found = match rule.verdict {
            Verdict::DnatMap(loads, map) => self.has(packet, loads, map),
            _ => true,
        };
        rule.matches.iter().all(|one| self.matches(packet, one)) && found
    }

    /// Holds a packet against a chain's rules: how many, and the last verdict.
    fn walk(&self, packet: &mut Packet, chain: &Chain) -> (usize, Option<Verdict>) {
        for (at, rule) in chain.rules.iter().enumerate() {
            if !self.acts(packet, rule) {
                continue;
            }
            match rule.verdict {
                Verdict::Untrack => packet.state = State::Untracked,
                Verdict::ClampMss | Verdict::Offload => {}
                verdict => return (at + 1, Some(verdict)),
            }
        }
        (chain.rules.len(), None)
    }

    /// A packet at hooks, one after the other: what it crosses there.
    fn cross(&self, packet: &mut Packet, hook: Hook, told: &mut Vec<String>) {
        let mut chains: Vec<&Chain> = self.chains.iter().filter(|chain| chain.hook == hook).collect();
        chains.sort_by_key(|chain| chain.priority);
        let mut crossed = Vec::new();
        for chain in chains {
            // The kernel asks them about the first packet of a flow that it tracks.
            if chain.kind == "nat" && packet.state != State::New {
                continue;
            }
            let (rules, verdict) = self.walk(packet, chain);
            crossed.push(format!("`{}` {rules}", chain.name));
            assert_ne!(verdict, Some(Verdict::Drop), "{packet:?} in {}", chain.name);
            packet.translated |= matches!(verdict, Some(Verdict::DnatMap(..)));
        }
        if !crossed.is_empty() {
            told.push(format!("{}: {}", format!("{hook:?}").to_lowercase(), crossed.join(", ")));
        }
    }
}

/// A hook, and what becomes of the packet before it gets there.
type Place<'a> = (Hook, &'a dyn Fn(&mut Packet));

/// One row: the packet's places, and what it is at each.
fn row(world: &World, flow: &str, which: &str, mut packet: Packet, places: &[Place<'_>]) -> String {
    let mut told = Vec::new();
    for (hook, set) in places {
        set(&mut packet);
        world.cross(&mut packet, *hook, &mut told);
    }
    let tracked = if packet.state == State::Untracked { "no" } else { "yes" };
    let told = if told.is_empty() { "nothing".to_owned() } else { told.join("; ") };
    format!("| {flow} | {which} | {told} | {tracked} |\n")
}

const CLIENT: &str = "192.0.2.2";
const HOST: &str = "192.0.2.1";
const WEB: &str = "10.4.0.2";
const PEER: &str = "10.4.0.3";

fn arrives(iif: &'static str, mac: &'static str) -> impl Fn(&mut Packet) {
    move |packet| (packet.iif, packet.to_mac) = (iif, mac)
}

fn leaves(oif: &'static str) -> impl Fn(&mut Packet) {
    move |packet| packet.oif = oif
}

fn to_web(packet: &mut Packet) {
    (packet.to, packet.port, packet.to_host, packet.oif) = (WEB.parse().unwrap(), 80, false, BRIDGE);
}

fn known(mut packet: Packet) -> Packet {
    packet.state = State::Established;
    packet.translated = true;
    packet
}

fn through(world: &World) -> String {
    use Hook::{Forward, Input, Output, Postrouting, Prerouting};
    let stay = |_: &mut Packet| {};
    let (inner, to_uplink, to_bridge) = (arrives(BRIDGE, OTHER_MAC), leaves("eth0"), leaves(BRIDGE));
    let (from_web, from_uplink) = (arrives(BRIDGE, BRIDGE_MAC), arrives("eth0", BRIDGE_MAC));
    let mut text = String::new();
    let neighbours: [Place<'_>; 3] = [(Prerouting, &inner), (Forward, &to_bridge), (Postrouting, &stay)];
    text += &row(world, "container to container, one network", "each", Packet::new(PEER, WEB), &neighbours);
    let out: [Place<'_>; 3] = [(Prerouting, &from_web), (Forward, &to_uplink), (Postrouting, &stay)];
    let packet = Packet::new(WEB, CLIENT);
    text += &row(world, "container to the world", "first", packet.clone(), &out);
    text += &row(world, "", "further", known(packet), &out);
    let published: [Place<'_>; 3] = [(Prerouting, &from_uplink), (Forward, &to_web), (Postrouting, &stay)];
    let packet = Packet { port: 8080, to_host: true, ..Packet::new(CLIENT, HOST) };
    text += &row(world, "the world to a published port", "first", packet.clone(), &published);
    text += &row(world, "", "further", known(packet), &published);
    let local: [Place<'_>; 2] = [(Output, &stay), (Postrouting, &to_web)];
    let packet = Packet { port: 8080, to_host: true, ..Packet::new("127.0.0.1", "127.0.0.1") };
    text += &row(world, "the host to a published port", "first", packet.clone(), &local);
    text += &row(world, "", "further", known(packet), &local);
    let answer: [Place<'_>; 2] = [(Prerouting, &from_web), (Input, &stay)];
    text += &row(world, "", "answers", known(Packet::new(WEB, "10.4.0.1")), &answer);
    let own: [Place<'_>; 2] = [(Prerouting, &from_uplink), (Input, &stay)];
    let packet = Packet { port: 22, to_host: true, ..Packet::new(CLIENT, HOST) };
    text += &row(world, "the world to the host itself", "first", packet.clone(), &own);
    text + &row(world, "", "further", known(packet), &own)
}

fn names() -> String {
    let table = firewall::dns_table(5300, 5301);
    let world = World { chains: table.chains, elements: BTreeSet::new() };
    let resolver = "127.0.0.11";
    let question = Packet { proto: 17, port: 53, ..Packet::new("127.0.0.1", resolver) };
    let answer = Packet { proto: 17, source_port: 5300, ..Packet::new(resolver, "127.0.0.1") };
    let count = |mut packet: Packet, verdict| {
        let (rules, got) = world.walk(&mut packet, &world.chains[0]);
        assert_eq!(got, verdict);
        format!("loopback's ingress: `{}` {rules}", world.chains[0].name)
    };
    let asked = count(question, Some(Verdict::SetPort(PortAt::UdpDestination, 5300)));
    let answered = count(answer, Some(Verdict::SetPort(PortAt::UdpSource, 53)));
    let other = count(Packet::new("127.0.0.1", "127.0.0.1"), None);
    format!(
        "| a name, inside the container | question | {asked} | no |\n|  | answer | {answered} | no |\n\
         | the container to itself | each | {other} | no |\n"
    )
}

#[test]
fn the_page_says_what_a_packet_crosses() {
    let head = "| flow | packets | hooks, their chains, and how many rules a packet is held against | tracked |\n|---|---|---|---|\n";
    let table = format!("{head}{}{}", through(&World::new()), names());
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/nftables.md");
    let document = std::fs::read_to_string(&page).unwrap();
    let start = "<!-- what a packet crosses -->\n";
    let from = document.find(start).expect("the page has the table") + start.len();
    let to = from + document[from..].find("\n\n").expect("the table ends") + 1;
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&page, format!("{}{table}{}", &document[..from], &document[to..])).unwrap();
        return;
    }
    assert_eq!(&document[from..to], table, "`UPDATE_GOLDENS=1` and the test `paths` again, if this is meant");
}
