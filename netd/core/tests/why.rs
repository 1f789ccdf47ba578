//! What `why` says of what was seen: the cases that no kernel at hand can make, and those where the truth of a probe
//! counts more than what looks broken.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use netd_api::{
    Asleep, BridgeOptions, ContainerId, DriverSpec, Fault, IfName, MacvlanOptions, NetnsSource, NetworkId, Proto,
    Reach, WhyAnswer, WhyRequest,
};
use netd_core::model::{Attachment, Network};
use netd_core::picture::{Inhabitant, NetworkPicture, Picture};
use netd_core::plan::LinkSeen;
use netd_core::seen::{
    FullSizeSeen, NameOutcome, NameSeen, NeighbourSeen, NeighbourState, PlaceSeen, ProbeOutcome, ProbeSeen, RouteSeen,
    Seen, TraceSeen, WaySeen,
};
use netd_core::why::{Own, Question, Start, ask, explain};
use serde_json::json;

fn own() -> Own {
    Own { addresses: vec!["198.51.100.1".parse().unwrap()], ..Own::default() }
}

fn network(name: &str, id: char, driver: DriverSpec) -> NetworkPicture {
    let driver = serde_json::to_value(driver).unwrap();
    let network: Network = serde_json::from_value(json!({
        "id": id.to_string().repeat(64), "name": name, "driver": driver, "internal": false, "ipv6": false,
        "subnets": [{"subnet": "10.9.0.0/24", "gateway": "10.9.0.1", "ip_range": null, "aux_addresses": {}}],
        "interface": "br-x", "mac": "02:00:00:00:00:01", "labels": {}, "created": 0, "predefined": false,
    }))
    .unwrap();
    NetworkPicture {
        network,
        up: true,
        mtu: Some(1500),
        pools: vec![(2, 251)],
        vteps: Default::default(),
        remotes: Vec::new(),
        sets: Default::default(),
    }
}

fn container(number: u8, network: &NetworkId, addresses: &[&str]) -> (ContainerId, Inhabitant) {
    let id: ContainerId = format!("{number:02x}").repeat(32).parse().unwrap();
    let attachment: Attachment = serde_json::from_value(json!({
        "network": network, "container": id, "container_name": format!("c{number}"), "host_link": format!("ve{number}"),
        "host_mac": "02:00:00:00:01:00", "ifname": "eth0", "mac": format!("02:00:00:00:00:{number:02x}"),
        "addresses": addresses, "gateways": ["10.9.0.1"], "aliases": [], "gw_priority": 0,
        "default_via": ["10.9.0.1"], "reused": [], "host_access": false, "ports": [],
    }))
    .unwrap();
    let inhabitant = Inhabitant {
        name: format!("c{number}"),
        source: NetnsSource::New,
        attachments: vec![attachment],
        ports: Vec::new(),
        dns: Default::default(),
        host_gateway: false,
        withheld: false,
    };
    (id, inhabitant)
}

fn picture(network: NetworkPicture) -> Picture {
    let id = network.network.id.clone();
    let two = [container(1, &id, &["10.9.0.11/24"]), container(2, &id, &["10.9.0.12/24"])];
    Picture { networks: [(id, network)].into(), containers: two.into(), ..Picture::default() }
}

fn bridge() -> Picture {
    picture(network("blue", 'a', DriverSpec::Bridge(BridgeOptions::default())))
}

fn request(from: &str, to: &str, port: Option<u16>) -> WhyRequest {
    WhyRequest { from: from.into(), to: to.into(), port, proto: Proto::Tcp, asleep: Vec::new() }
}

fn question(picture: &Picture, from: &str, to: &str, port: Option<u16>) -> Question {
    match ask(picture, &request(from, to, port), &own()).unwrap() {
        Start::Ask(question) => *question,
        Start::Told(hops) => panic!("{hops:?}"),
    }
}

fn up(index: u32) -> LinkSeen {
    LinkSeen { index, up: true, mtu: 1500, controller: Some(1), forwards: true, ..LinkSeen::default() }
}

fn place(links: &[(&str, u32)], addresses: &[(&str, &str)], by: &str) -> PlaceSeen {
    let name = |text: &str| -> IfName { text.parse().unwrap() };
    PlaceSeen {
        links: links.iter().map(|(link, index)| (name(link), up(*index))).collect(),
        addresses: addresses.iter().map(|(link, net)| (name(link), net.parse().unwrap())).collect(),
        way: RouteSeen::Way(WaySeen { link: by.into(), ..WaySeen::default() }),
        ..PlaceSeen::default()
    }
}

/// Everything as it should be, and nothing came back.
fn silent() -> Seen {
    Seen {
        source: Some(place(&[("eth0", 2)], &[("eth0", "10.9.0.11/24")], "eth0")),
        host: Some(place(&[("br-x", 1), ("ve1", 3), ("ve2", 4)], &[], "br-x")),
        target: Some(place(&[("eth0", 2)], &[("eth0", "10.9.0.12/24")], "eth0")),
        probe: Some(ProbeSeen { outcome: ProbeOutcome::Silent, waited: 150 }),
        ..Seen::default()
    }
}

fn answered() -> Seen {
    Seen { probe: Some(ProbeSeen { outcome: ProbeOutcome::Answered, waited: 1 }), ..silent() }
}

#[track_caller]
fn fault(answer: &WhyAnswer) -> Fault {
    assert_eq!(answer.reach, Reach::No, "{answer:#?}");
    answer.hops.last().and_then(|hop| hop.fault).expect("a fault")
}

#[test]
fn what_nothing_explains_is_said_to_be_unexplained() {
    let picture = bridge();
    let asked = question(&picture, "c1", "c2", None);
    let answer = explain(&picture, &asked, &silent());
    assert_eq!(fault(&answer), Fault::Unexplained);
    assert_eq!(explain(&picture, &asked, &answered()).reach, Reach::Yes);
    // Nothing was seen at all: nothing is claimed.
    assert_eq!(explain(&picture, &asked, &Seen::default()).reach, Reach::Unknown);
}

#[test]
fn a_full_table_of_flows_is_named_only_while_something_is_wrong() {
    let picture = bridge();
    let asked = question(&picture, "c1", "c2", Some(80));
    let full = Seen { conntrack: Some((65536, 65536)), ..silent() };
    assert_eq!(fault(&explain(&picture, &asked, &full)), Fault::ConntrackFull);
    let room = Seen { conntrack: Some((65535, 65536)), ..silent() };
    assert_eq!(fault(&explain(&picture, &asked, &room)), Fault::NotListening);
    let fine = Seen { conntrack: Some((65536, 65536)), ..answered() };
    assert_eq!(explain(&picture, &asked, &fine).reach, Reach::Yes);
}

#[test]
fn a_probe_that_comes_back_counts_more_than_what_looks_broken() {
    let picture = bridge();
    let asked = question(&picture, "c1", "c2", Some(80));
    let mut seen = answered();
    let wrong = NeighbourSeen {
        link: 2,
        address: "10.9.0.12".parse().unwrap(),
        mac: Some("02:00:00:00:00:99".parse().unwrap()),
        state: NeighbourState::Known,
    };
    seen.source.as_mut().unwrap().neighbours.push(wrong.clone());
    assert_eq!(explain(&picture, &asked, &seen).reach, Reach::Yes);
    let mut seen = silent();
    seen.source.as_mut().unwrap().neighbours.push(wrong);
    assert_eq!(fault(&explain(&picture, &asked, &seen)), Fault::StaleNeighbour);
}

#[test]
fn a_lease_that_is_lost_and_an_endpoint_without_a_network() {
    let mut picture = picture(network("lan", 'b', DriverSpec::Macvlan(MacvlanOptions::default())));
    for inhabitant in picture.containers.values_mut() {
        inhabitant.attachments[0].addresses.clear();
    }
    let Start::Told(hops) = ask(&picture, &request("c1", "c2", None), &own()).unwrap() else { panic!("asked") };
    assert_eq!(hops.last().unwrap().fault, Some(Fault::NoNetwork));
    let asked = question(&picture, "c1", "192.0.2.1", None);
    assert_eq!(fault(&explain(&picture, &asked, &silent())), Fault::LeaseLost);
}

#[test]
fn a_network_that_is_full_is_why_a_container_does_not_run() {
    let mut picture = bridge();
    let asleep = Asleep {
        asked: "c3".into(),
        name: "c3".into(),
        status: "created".into(),
        networks: vec!["blue".into()],
        publish: Vec::new(),
    };
    let asked = WhyRequest { asleep: vec![asleep], ..request("c1", "c3", None) };
    let told = |picture: &Picture| match ask(picture, &asked, &own()).unwrap() {
        Start::Told(hops) => hops.last().unwrap().fault,
        Start::Ask(question) => panic!("{question:?}"),
    };
    assert_eq!(told(&picture), Some(Fault::NotRunning));
    let id = picture.networks.keys().next().unwrap().clone();
    // A bridge has 1023 ports.
    let (_, one) = container(9, &id, &["10.9.0.99/24"]);
    let crowd = vec![one.attachments[0].clone(); 1023];
    picture.containers.values_mut().next().unwrap().attachments.extend(crowd);
    assert_eq!(told(&picture), Some(Fault::NetworkFull));
    let mut picture = bridge();
    picture.networks.get_mut(&id).unwrap().pools = vec![(253, 0)];
    assert_eq!(told(&picture), Some(Fault::NetworkFull));
}

#[test]
fn a_port_that_somebody_has_is_why_a_container_does_not_run() {
    let picture = bridge();
    let publish = serde_json::from_value(json!([{
        "host_port": {"exact": 8080}, "container_port": 80, "count": 1, "proto": "tcp",
    }]))
    .unwrap();
    let asleep =
        Asleep { asked: "c3".into(), name: "c3".into(), status: "created".into(), networks: Vec::new(), publish };
    let asked = WhyRequest { asleep: vec![asleep], ..request("outside", "c3", Some(80)) };
    let told = |own: &Own| match ask(&picture, &asked, own).unwrap() {
        Start::Told(hops) => hops.last().unwrap().fault,
        Start::Ask(question) => panic!("{question:?}"),
    };
    let socket = |port| netd_core::ports::Busy { proto: Proto::Tcp, address: "0.0.0.0".parse().unwrap(), port };
    assert_eq!(told(&Own { sockets: vec![socket(8080)], ..own() }), Some(Fault::PortTaken));
    assert_eq!(told(&Own { sockets: vec![socket(8081)], ..own() }), Some(Fault::NotRunning));
}

#[test]
fn names_that_nobody_answers() {
    let picture = bridge();
    let asked = question(&picture, "c1", "example.org", None);
    assert!(asked.name.is_some());
    let seen = |outcome| {
        let name = NameSeen {
            name: "example.org".into(),
            outcome,
            servers: vec![("192.0.2.53".parse().unwrap(), false)],
            domains: Vec::new(),
        };
        Seen { name: Some(name), ..Seen::default() }
    };
    for (outcome, wanted) in [
        (NameOutcome::Silent, Fault::ResolverSilent),
        (NameOutcome::Failed("SERVFAIL".into()), Fault::ResolverSilent),
        (NameOutcome::NoSuchName, Fault::NoSuchName),
    ] {
        assert_eq!(fault(&explain(&picture, &asked, &seen(outcome))), wanted);
    }
    // A container whose names depend on its health.
    let mut picture = bridge();
    let (id, _) = picture.containers.iter().find(|(_, c)| c.name == "c2").unwrap();
    let id = id.clone();
    picture.containers.get_mut(&id).unwrap().withheld = true;
    let asked = question(&picture, "c1", "c2", None);
    assert_eq!(fault(&explain(&picture, &asked, &seen(NameOutcome::NoSuchName))), Fault::NameWithheld);
}

#[test]
fn a_hole_is_told_with_its_link_where_that_is_on_this_host() {
    let picture = bridge();
    let asked = question(&picture, "c1", "c2", None);
    let full_size = FullSizeSeen { size: 1500, small_answered: true, answered: false, told: None };
    let mut seen = Seen { full_size: Some(full_size.clone()), ..answered() };
    assert_eq!(fault(&explain(&picture, &asked, &seen)), Fault::MtuHole);
    seen.host.as_mut().unwrap().links.get_mut(&"ve2".parse::<IfName>().unwrap()).unwrap().mtu = 1300;
    let answer = explain(&picture, &asked, &seen);
    assert!(answer.hops.last().unwrap().repair[0].contains("ve2 mtu 1500"), "{answer:#?}");
    // Whoever is told makes smaller packets.
    let told = FullSizeSeen { told: Some(1400), ..full_size };
    assert_eq!(explain(&picture, &asked, &Seen { full_size: Some(told), ..answered() }).reach, Reach::Yes);
}

#[test]
fn udp_is_sure_only_where_somebody_waits_and_nothing_drops() {
    let picture = bridge();
    let mut asked = question(&picture, "c1", "c2", Some(53));
    asked.proto = Proto::Udp;
    let passes = TraceSeen { arrived: true, drops: Vec::new() };
    let mut seen = Seen { trace: Some(passes), ..silent() };
    assert_eq!(fault(&explain(&picture, &asked, &seen)), Fault::NotListening);
    let socket = netd_core::ports::Busy { proto: Proto::Udp, address: "0.0.0.0".parse().unwrap(), port: 53 };
    seen.target.as_mut().unwrap().sockets.push(socket);
    assert_eq!(explain(&picture, &asked, &seen).reach, Reach::Yes);
    seen.trace = None;
    assert_eq!(explain(&picture, &asked, &seen).reach, Reach::Unknown, "the firewall was not followed");
}

#[test]
fn an_echo_in_place_of_sctp_says_nothing_of_the_port() {
    let picture = bridge();
    let mut asked = question(&picture, "c1", "c2", Some(5000));
    asked.proto = Proto::Sctp;
    assert_eq!(explain(&picture, &asked, &answered()).reach, Reach::Unknown);
    assert_eq!(fault(&explain(&picture, &asked, &Seen { conntrack: Some((9, 9)), ..silent() })), Fault::ConntrackFull);
}

#[test]
fn hostile_ends_are_refused_or_are_nobodys_name() {
    let picture = bridge();
    let long = "x".repeat(300);
    for to in ["", long.as_str()] {
        assert!(ask(&picture, &request("c1", to, None), &own()).is_err());
    }
    for to in ["c", "aa", "..", "/", "\u{1b}[2J", "0", "*"] {
        assert!(ask(&picture, &request("c1", to, None), &own()).is_ok(), "{to}");
        assert!(ask(&picture, &request(to, "c1", None), &own()).is_err(), "{to}");
    }
}
