//! Golden plans: what networks and attachments do to a kernel, as text, without root. `UPDATE_GOLDENS=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use ipnet::IpNet;
use netd_api::*;
use netd_core::drivers;
use netd_core::drivers::wireguard::Peer;
use netd_core::model::{Attachment, Facts, Network, OwnLink, Parent, Peers, Remote, Subnet, Vtep};
use netd_core::plan::{Child, LinkSeen, Mtu, Plan, show};
use std::net::IpAddr;
use std::path::Path;

fn facts(on: bool) -> Facts {
    let accept_ra = if on { Vec::new() } else { vec!["enp1s0".parse().unwrap()] };
    Facts {
        uplink_mtu: Some(1450),
        uplinks: vec![name("enp1s0")],
        forward4: on,
        forward6: on,
        accept_ra,
        ipv6: true,
        underlay: None,
        underlay_mtu: None,
    }
}

/// A container on a network that has just been made.
fn attach(network: &Network, attachment: &Attachment, facts: &Facts) -> Plan {
    let driver = drivers::of(&network.driver);
    driver.attach(network, attachment, driver.mtu(network, facts), facts)
}

fn network(change: impl FnOnce(&mut Network, &mut BridgeOptions)) -> Network {
    let subnet = |net: &str, gateway: &str| Subnet {
        subnet: net.parse().unwrap(),
        gateway: Some(gateway.parse().unwrap()),
        ip_range: None,
        aux_addresses: Default::default(),
    };
    let mut options = BridgeOptions::default();
    let mut network = Network {
        id: "b".repeat(64).parse().unwrap(),
        name: "blue".parse().unwrap(),
        driver: DriverSpec::None,
        internal: false,
        ipv6: true,
        subnets: vec![subnet("10.4.0.0/24", "10.4.0.1"), subnet("fd00:4::/64", "fd00:4::1")],
        interface: Some("br-bbbbbbbbbbbb".parse().unwrap()),
        parent: None,
        own_link: None,
        mac: "02:00:00:00:04:01".parse().unwrap(),
        dns: Vec::new(),
        shared: false,
        labels: Default::default(),
        created: 0,
        predefined: false,
        version: 0,
    };
    change(&mut network, &mut options);
    network.driver = DriverSpec::Bridge(options);
    network
}

fn attachment(network: &Network, change: impl FnOnce(&mut Attachment)) -> Attachment {
    let gateways: Vec<IpAddr> = network.subnets.iter().filter_map(|s| s.gateway).collect();
    let addresses: Vec<IpNet> = ["10.4.0.7/24", "fd00:4::7/64"].map(|a| a.parse().unwrap()).to_vec();
    let mut attachment = Attachment {
        network: network.id.clone(),
        container: "c".repeat(64).parse().unwrap(),
        container_name: "web".into(),
        host_link: "ve3f2a910000".parse().unwrap(),
        host_mac: "02:00:00:00:00:0a".parse().unwrap(),
        ifname: "eth0".parse().unwrap(),
        mac: "02:00:00:00:00:0b".parse().unwrap(),
        addresses,
        default_via: gateways.clone(),
        gateways,
        aliases: Vec::new(),
        gw_priority: 0,
        reused: Vec::new(),
        host_access: false,
        sysctls: Default::default(),
        lease: None,
        ports: Vec::new(),
    };
    change(&mut attachment);
    attachment
}

fn port(host_ip: &str, host_port: u16, container_port: u16, count: u16, proto: Proto) -> PublishedPort {
    PublishedPort { host_ip: host_ip.parse().unwrap(), host_port, container_port, count, proto }
}

fn golden(name: &str, title: &str, plan: &Plan) {
    let text = show(title, plan, None);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no golden {}", path.display()));
    assert_eq!(wanted, text, "{name}: `UPDATE_GOLDENS=1 cargo test -p netd-core --test plans` if this is meant");
}

#[test]
fn the_base_of_all_networks() {
    golden("base-fresh.txt", "the host", &drivers::base(&facts(false)));
    golden("base-router.txt", "the host, which is a router already", &drivers::base(&facts(true)));
}

#[test]
fn networks() {
    let plan = |network: &Network| drivers::fresh(network, &facts(true));
    golden("network.txt", "create blue (bridge)", &plan(&network(|_, _| {})));
    golden(
        "network-internal.txt",
        "create blue (bridge, internal, icc off)",
        &plan(&network(|network, options| {
            network.internal = true;
            network.subnets.truncate(1);
            options.icc = false;
            options.mtu = Some(9000);
        })),
    );
    golden(
        "network-modes.txt",
        "create blue (bridge, v4 routed, v6 isolated)",
        &plan(&network(|_, options| {
            options.gateway_mode_ipv4 = GatewayMode::Routed;
            options.gateway_mode_ipv6 = GatewayMode::Isolated;
            options.host_access = true;
            options.flowtable = true;
        })),
    );
}

#[test]
fn attachments() {
    let plan = |network: &Network, attachment: &Attachment| attach(network, attachment, &facts(true));
    let blue = network(|_, _| {});
    golden("attach.txt", "attach web to blue (bridge)", &plan(&blue, &attachment(&blue, |_| {})));
    golden(
        "attach-beside.txt",
        "attach web to blue (bridge), a port, another network with the default route, a name and a sysctl of its interface",
        &plan(
            &blue,
            &attachment(&blue, |a| {
                a.default_via.clear();
                a.ifname = "lan0".parse().unwrap();
                a.sysctls.insert("net/ipv4/conf/lan0/log_martians".into(), "1".into());
                a.ports = vec![port("0.0.0.0", 8080, 80, 1, Proto::Tcp)];
            }),
        ),
    );
    golden(
        "attach-publish.txt",
        "attach web to blue (bridge), ports, host-gateway, a reused address",
        &plan(
            &blue,
            &attachment(&blue, |a| {
                a.host_access = true;
                a.reused = vec!["10.4.0.7".parse().unwrap()];
                a.ports = vec![
                    port("0.0.0.0", 8080, 80, 1, Proto::Tcp),
                    port("::", 8080, 80, 1, Proto::Tcp),
                    port("127.0.0.1", 5353, 53, 1, Proto::Udp),
                    port("0.0.0.0", 3000, 3000, 500, Proto::Tcp),
                    port("0.0.0.0", 4000, 5000, 2, Proto::Tcp),
                ];
            }),
        ),
    );
    let fast = network(|_, options| options.redirect_peer = true);
    golden(
        "attach-redirect.txt",
        "attach web to blue (bridge, redirect_peer)",
        &plan(&fast, &attachment(&fast, |_| {})),
    );
    let routed = network(|network, options| {
        network.subnets.truncate(1);
        options.gateway_mode_ipv4 = GatewayMode::Routed;
        options.icc = false;
        options.flowtable = true;
    });
    golden(
        "attach-routed.txt",
        "attach web to blue (bridge, routed, icc off)",
        &plan(
            &routed,
            &attachment(&routed, |a| {
                a.addresses.truncate(1);
                a.default_via.truncate(1);
                a.ports = vec![port("0.0.0.0", 8080, 80, 1, Proto::Tcp)];
            }),
        ),
    );
}

/// `blue` on a parent; `driver` says which.
fn on_parent(driver: DriverSpec, parent: Parent) -> Network {
    let mut network = network(|_, _| {});
    network.interface = Some(parent.name().clone());
    (network.driver, network.parent) = (driver, Some(parent));
    network
}

fn name(name: &str) -> IfName {
    name.parse().unwrap()
}

#[test]
fn macvlan_and_ipvlan() {
    let made = |network: &Network| drivers::fresh(network, &facts(true));
    let attached = |network: &Network, attachment: &Attachment| attach(network, attachment, &facts(true));
    let vlan = Parent::Vlan { name: name("eth0.50"), on: name("eth0"), id: 50 };
    let macvlan = on_parent(DriverSpec::Macvlan(MacvlanOptions::default()), vlan);
    golden("macvlan-vlan.txt", "create blue (macvlan on eth0.50)", &made(&macvlan));
    golden("macvlan-attach.txt", "attach web to blue (macvlan)", &attached(&macvlan, &attachment(&macvlan, |_| {})));
    let given = on_parent(DriverSpec::Macvlan(MacvlanOptions::default()), Parent::Given(name("eth0")));
    assert!(made(&given).steps.is_empty(), "the host's own link is left as it is");
    let passthru = MacvlanOptions { mode: MacvlanMode::Passthru, ..MacvlanOptions::default() };
    let passthru = on_parent(DriverSpec::Macvlan(passthru), Parent::Given(name("eth0")));
    golden(
        "macvlan-passthru-attach.txt",
        "attach web to blue (macvlan passthru), a gateway outside the subnet",
        &attached(&passthru, &attachment(&passthru, |a| a.default_via = vec!["192.0.2.1".parse().unwrap()])),
    );
    let mut seen = on_parent(DriverSpec::Macvlan(MacvlanOptions::default()), Parent::Given(name("eth0")));
    let addresses = |all: &[&str]| all.iter().map(|a| a.parse().unwrap()).collect();
    let (own, of_host) = (addresses(&["10.4.0.254", "fd00:4::ff"]), addresses(&["10.4.0.3"]));
    seen.own_link = Some(OwnLink { name: name("sh-bbbbbbbbbbbb"), addresses: own, of_host });
    golden("macvlan-host-access.txt", "create blue (macvlan, host_access)", &made(&seen));
    let publish = |a: &mut Attachment| a.ports = vec![port("0.0.0.0", 5353, 53, 1, Proto::Udp)];
    golden(
        "macvlan-host-access-attach.txt",
        "attach web to blue (macvlan, host_access), a port",
        &attached(&seen, &attachment(&seen, publish)),
    );
    let lan = LanOptions { mtu: Some(9000), ..LanOptions::default() };
    let l3 = IpvlanOptions { lan, mode: IpvlanMode::L3, flag: IpvlanFlag::Private };
    let l3 = on_parent(DriverSpec::Ipvlan(l3), Parent::Own(name("dm-bbbbbbbbbbbb")));
    golden("ipvlan-own.txt", "create blue (ipvlan l3, no parent)", &made(&l3));
    let direct = |a: &mut Attachment| a.default_via = vec!["0.0.0.0".parse().unwrap(), "::".parse().unwrap()];
    golden("ipvlan-l3-attach.txt", "attach web to blue (ipvlan l3 private)", &attached(&l3, &attachment(&l3, direct)));
}

/// A host that has this address among the cluster's hosts.
fn underlay(address: &str) -> Facts {
    Facts { underlay: Some(address.parse().unwrap()), underlay_mtu: Some(1500), ..facts(true) }
}

/// The MTUs of the links that a plan makes, in bytes.
fn mtus(plan: &Plan) -> Vec<u32> {
    let mtu = |mtu| match mtu {
        Mtu::Of(bytes) => Some(bytes),
        Mtu::Like(_) => None,
    };
    plan.steps.iter().flat_map(|step| step.op.ends()).filter_map(|end| mtu(end.mtu)).collect()
}

#[test]
fn overlay() {
    let mut mesh = network(|_, _| {});
    let vni = Some(Vni::try_from(5001).unwrap());
    mesh.driver = DriverSpec::Overlay(OverlayOptions { vni, ..OverlayOptions::default() });
    mesh.shared = true;
    let made = |facts: &Facts| drivers::fresh(&mesh, facts);
    golden("overlay.txt", "create mesh (overlay over 192.0.2.11)", &made(&underlay("192.0.2.11")));
    golden("overlay-v6.txt", "create mesh (overlay over 2001:db8::11)", &made(&underlay("2001:db8::11")));
    golden("overlay-alone.txt", "create mesh (overlay, no cluster)", &made(&facts(true)));
    let attached = attach(&mesh, &attachment(&mesh, |_| {}), &underlay("192.0.2.11"));
    golden("overlay-attach.txt", "attach web to mesh (overlay)", &attached);
    let node: NodeId = "d".repeat(32).parse().unwrap();
    let remote = Remote {
        node: node.clone(),
        container: "e".repeat(64).parse().unwrap(),
        name: "far".into(),
        aliases: Vec::new(),
        addresses: vec!["10.4.0.9".parse().unwrap(), "fd00:4::9".parse().unwrap()],
        mac: "02:00:00:00:00:09".parse().unwrap(),
    };
    let vtep = |address: &str| Vtep { address: address.parse().unwrap(), key: None };
    let peers = Peers { vteps: [(node.clone(), vtep("192.0.2.12"))].into(), remotes: vec![remote.clone()] };
    let here = Some("192.0.2.11".parse().unwrap());
    golden("overlay-peers.txt", "a container on another host", &drivers::overlay::peers(&mesh, &peers, here));
    // A host that can't be reached from here, and one that claims the gateway or an address of elsewhere.
    let six = Peers { vteps: [(node.clone(), vtep("2001:db8::12"))].into(), ..peers.clone() };
    assert!(drivers::overlay::peers(&mesh, &six, here).steps.is_empty());
    let thief = Remote { addresses: vec!["10.4.0.1".parse().unwrap(), "198.51.100.7".parse().unwrap()], ..remote };
    let thief = drivers::overlay::peers(&mesh, &Peers { remotes: vec![thief], ..peers }, here);
    let addresses = thief.steps.iter().filter(|step| step.op.name() == "neighbour").count();
    assert_eq!(addresses, 1, "its own link-local one: {thief:?}");
    let hosts = ["192.0.2.12".parse().unwrap()].into();
    let guard = drivers::overlay::Guard { ports: [4789].into(), hosts, ..Default::default() };
    golden("overlay-guard.txt", "who may send frames", &drivers::overlay::guard(&guard));
}

fn key(generation: u32, byte: u8) -> KeyInfo {
    KeyInfo { generation, public: PublicKey([byte; 32]), port: 51_889 + generation as u16, made: 0 }
}

#[test]
fn encrypted_overlay() {
    let mut mesh = network(|_, _| {});
    let vni = Some(Vni::try_from(5001).unwrap());
    mesh.driver = DriverSpec::Overlay(OverlayOptions { vni, encrypted: true, ..OverlayOptions::default() });
    mesh.shared = true;
    let (four, six) = (underlay("192.0.2.11"), underlay("2001:db8::11"));
    let made = |facts: &Facts| drivers::fresh(&mesh, facts);
    golden("overlay-encrypted.txt", "create mesh (overlay over 192.0.2.11, encrypted)", &made(&four));
    assert_eq!((mtus(&made(&four)), mtus(&made(&six))), (vec![1370, 1370], vec![1350, 1350]));

    // Another host: before it has a key, with one, and with two.
    let node: NodeId = "d".repeat(32).parse().unwrap();
    let here = Some("192.0.2.11".parse().unwrap());
    let vtep = |key| Vtep { address: "192.0.2.12".parse().unwrap(), key };
    let peers = |key| Peers { vteps: [(node.clone(), vtep(key))].into(), remotes: Vec::new() };
    assert!(drivers::overlay::peers(&mesh, &peers(None), here).steps.is_empty(), "never in the clear");
    let with_key = drivers::overlay::peers(&mesh, &peers(Some(key(1, 0xb1).public)), here);
    golden("overlay-encrypted-peers.txt", "a host that has the network", &with_key);

    let guard = drivers::overlay::Guard {
        cluster: [4789, 51890, 51891].into(),
        ports: [4789].into(),
        encrypted: vni.into_iter().collect(),
        wireguard: [51_890, 51_891].into(),
        hosts: ["192.0.2.12".parse().unwrap()].into(),
    };
    golden("overlay-encrypted-guard.txt", "who may send frames, and by which way", &drivers::overlay::guard(&guard));
}

#[test]
fn wireguard_between_hosts() {
    let (four, six) = (underlay("192.0.2.11"), underlay("2001:db8::11"));
    let peer =
        |keys: &[KeyInfo], knows| vec![Peer { address: "192.0.2.12".parse().unwrap(), keys: keys.to_vec(), knows }];
    let (a1, a2, b1, b2) = (key(1, 0xa1), key(2, 0xa2), key(1, 0xb1), key(2, 0xb2));
    let links = |own: &[KeyInfo], peers: &[Peer]| drivers::wireguard::links(own, peers, &four);
    golden("wireguard.txt", "WireGuard to one host", &links(&[a1], &peer(&[b1], None)));
    golden(
        "wireguard-renewed.txt",
        "this host has a new key that the other knows",
        &links(&[a1, a2], &peer(&[b1], Some(2))),
    );
    golden(
        "wireguard-both.txt",
        "both have new keys, and ours is not known",
        &links(&[a1, a2], &peer(&[b1, b2], None)),
    );
    assert_eq!(mtus(&drivers::wireguard::links(&[a1], &[], &six)), [1420]);
    // One that can't be reached from here, and one that claims our own key.
    let far = Peer { address: "2001:db8::12".parse().unwrap(), keys: vec![b1], knows: None };
    let thief = Peer { address: "192.0.2.13".parse().unwrap(), keys: vec![KeyInfo { port: 9, ..a1 }], knows: None };
    assert_eq!(links(&[a1], &[far, thief]), links(&[a1], &[]));
    // Two hosts never have one address inside.
    assert_ne!(drivers::wireguard::inner(&b1.public), drivers::wireguard::inner(&b2.public));
}

#[test]
fn what_cannot_be_on_one_parent() {
    use drivers::lan::{ParentUse, fits_link, fits_others};
    let l2 = Child::Ipvlan { mode: IpvlanMode::L2, flag: IpvlanFlag::Bridge };
    let l3 = Child::Ipvlan { mode: IpvlanMode::L3, flag: IpvlanFlag::Bridge };
    let mac = |mode| Child::Macvlan { mode };
    let fits = |kind, theirs| {
        let other = ParentUse { network: "lan".into(), parent: name("eth0"), kind: theirs };
        assert_eq!(fits_others(&name("eth1"), kind, std::slice::from_ref(&other)), Ok(()), "another parent");
        fits_others(&name("eth0"), kind, &[other])
    };
    assert_eq!(fits(l2, l2), Ok(()));
    assert_eq!(fits(mac(MacvlanMode::Bridge), mac(MacvlanMode::Private)), Ok(()));
    assert!(fits(l2, l3).unwrap_err().why.contains("one ipvlan mode"));
    assert!(fits(mac(MacvlanMode::Bridge), l3).unwrap_err().why.contains("carries ipvlan links (network `lan`)"));
    assert!(fits(l2, mac(MacvlanMode::Bridge)).unwrap_err().hint.unwrap().contains("-d macvlan"));
    assert!(fits(mac(MacvlanMode::Passthru), mac(MacvlanMode::Bridge)).is_err());

    let up = LinkSeen { up: true, ..LinkSeen::default() };
    let link = |seen: Option<&LinkSeen>, wireless, kind| fits_link(&name("eth0"), seen, wireless, kind);
    assert_eq!(link(Some(&up), false, l2), Ok(()));
    assert_eq!(link(Some(&up), true, l2), Ok(()), "ipvlan is what works on a wireless parent");
    assert!(link(Some(&up), true, mac(MacvlanMode::Bridge)).unwrap_err().why.contains("wireless"));
    assert!(link(None, false, l2).unwrap_err().why.contains("no link `eth0`"));
    assert!(link(Some(&LinkSeen::default()), false, l2).unwrap_err().why.contains("down"));
    let port = LinkSeen { up: true, controller: Some(7), ..LinkSeen::default() };
    assert!(link(Some(&port), false, l2).unwrap_err().why.contains("port"));
}

#[test]
fn a_network_s_record_of_before_has_the_host_s_own_link() {
    let mut lan = on_parent(DriverSpec::Macvlan(MacvlanOptions::default()), Parent::Given(name("eth0")));
    let (addresses, of_host) = (vec!["10.4.0.254".parse().unwrap()], Vec::new());
    lan.own_link = Some(OwnLink { name: name("sh-bbbbbbbbbbbb"), addresses, of_host });
    let mut record = serde_json::to_value(&lan).unwrap();
    let link = record.as_object_mut().unwrap().remove("own_link").unwrap();
    record["shim"] = link;
    assert_eq!(serde_json::from_value::<Network>(record).unwrap(), lan);
}

#[test]
fn the_same_input_gives_the_same_plan() {
    let blue = network(|_, _| {});
    let plan = || drivers::fresh(&blue, &facts(false));
    assert_eq!(plan(), plan());
}
