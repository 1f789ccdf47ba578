//! What a container must not reach: the tunnels between the hosts of a cluster, and other networks by an internal one's
//! gateway.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tests::cluster::Cluster;
use tests::{Host, Netns, eventually};

/// A UDP server in the test's process, inside a namespace, on all its addresses; yields what came, and from where.
fn listen(netns: &Netns, port: u16) -> UdpSocket {
    let socket = netns.inside(move || UdpSocket::bind(("::", port)).unwrap());
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket
}

/// Whether something that is sent from `from` to `to` arrives.
fn arrives(from: &Netns, server: &UdpSocket, to: &str) -> bool {
    let mut buffer = [0; 64];
    server.set_nonblocking(true).unwrap();
    while server.recv(&mut buffer).is_ok() {}
    server.set_nonblocking(false).unwrap();
    send(from, to, b"datagram".to_vec());
    server.recv(&mut buffer).is_ok_and(|len| &buffer[..len] == b"datagram")
}

fn overlay(cluster: &Cluster, name: &str, flags: &[&str]) {
    let mut args = vec!["network", "create", "-d", "overlay"];
    args.extend(flags);
    args.push(name);
    cluster.hosts[0].ok(&args);
    for host in &cluster.hosts {
        eventually("the network is there", || host.ok(&["network", "ls"]).contains(name));
    }
}

/// A VXLAN datagram (RFC 7348, section 5) with a broadcast frame in it, which has a text in it.
fn vxlan(vni: u32, text: &str) -> Vec<u8> {
    let mut bytes = vec![8, 0, 0, 0];
    bytes.extend(&vni.to_be_bytes()[1..]);
    bytes.push(0);
    // Ethernet: to all, from a MAC of nobody's, of a kind for experiments (IEEE 802).
    bytes.extend([0xff; 6].iter().chain(&[2, 0, 0, 0, 0, 9]).chain(&[0x88, 0xb5]));
    bytes.extend(text.bytes());
    bytes.resize(bytes.len().max(80), 0);
    bytes
}

/// Hears all frames that come into a namespace.
struct Ear(std::os::fd::OwnedFd);

impl Ear {
    fn new(netns: &Netns) -> Self {
        netns.inside(|| {
            use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
            let flags = SockFlag::SOCK_NONBLOCK;
            Self(socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).unwrap())
        })
    }

    fn hears(&self, text: &str) -> bool {
        let end = Instant::now() + Duration::from_millis(600);
        let mut buffer = [0u8; 2048];
        while Instant::now() < end {
            match nix::unistd::read(&self.0, &mut buffer) {
                Ok(len) if buffer[..len].windows(text.len()).any(|w| w == text.as_bytes()) => return true,
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        false
    }
}

fn send(from: &Netns, to: &str, datagram: Vec<u8>) {
    let to: SocketAddr = to.parse().unwrap();
    from.inside(move || {
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap();
        for _ in 0..5 {
            let _ = socket.send_to(&datagram, to);
        }
    });
}

fn injection(v6: bool) {
    let cluster = Cluster::new(2, v6);
    overlay(&cluster, "mesh", &["--subnet", "10.4.0.0/16", "-o", "vni=4242"]);
    cluster.sleeper(1, "victim", &["--network", "mesh"]);
    let [a, b] = &cluster.hosts[..] else { panic!() };
    a.ok(&["network", "create", "--ipv6", "plain"]);
    cluster.sleeper(0, "evil", &["--cap-drop", "ALL", "--network", "plain"]);
    let evil = a.container_netns("evil");
    let target = if v6 { "[2001:db8:2::12]:4789" } else { "192.0.2.12:4789" };
    let ear = Ear::new(&b.container_netns("victim"));
    // That it could be heard: the host itself, which may, is.
    eventually("the host's own frame comes in", || {
        send(&a.netns, target, vxlan(4242, "from-the-host-itself"));
        ear.hears("from-the-host-itself")
    });
    let refused = |from: &Netns, when: &str| {
        send(from, target, vxlan(4242, "from-a-container"));
        assert!(!ear.hears("from-a-container"), "{when}");
    };
    refused(&evil, "the host has no container on the overlay network");
    cluster.sleeper(0, "c1", &["--network", "mesh"]);
    refused(&evil, "it has one");
    refused(&a.container_netns("c1"), "from the overlay network itself, by its way out");
    a.netns.run("nft add rule inet rcr-user user-forward meta mark set 0x726372");
    refused(&evil, "the administrator lets everything through");
    // The firewall is written again by the netd after one that was killed.
    a.kill_netd();
    a.ok(&["network", "ls"]);
    refused(&evil, "a new netd");
}

#[test]
fn a_container_puts_no_frame_into_an_overlay_network() {
    injection(false);
}

#[test]
fn nor_over_ipv6() {
    injection(true);
}

#[test]
fn a_port_that_only_other_hosts_have_a_tunnel_on_is_closed_too_and_others_are_open() {
    let cluster = Cluster::new(2, false);
    let [a, b] = &cluster.hosts[..] else { panic!() };
    a.ok(&["network", "create", "--ipv6", "plain"]);
    cluster.sleeper(0, "evil", &["--network", "plain"]);
    let (evil, server) = (a.container_netns("evil"), listen(&b.netns, 5500));
    for to in ["192.0.2.12:5500", "[2001:db8:2::12]:5500"] {
        eventually("a port of no tunnel", || arrives(&evil, &server, to));
    }
    // Once a network of the cluster has the port, wherever that network is.
    b.ok(&["network", "create", "-d", "overlay", "--subnet", "10.5.0.0/16", "-o", "vxlan_port=5500", "far"]);
    eventually("it is known", || a.ok(&["network", "ls"]).contains("far"));
    for to in ["192.0.2.12:5500", "[2001:db8:2::12]:5500"] {
        eventually("closed", || !arrives(&evil, &server, to));
    }
    assert!(arrives(&a.netns, &server, "192.0.2.12:5500"), "the host itself may");
    b.ok(&["network", "rm", "far"]);
    eventually("the network is gone", || !a.ok(&["network", "ls"]).contains("far"));
    eventually("open again", || arrives(&evil, &server, "192.0.2.12:5500"));
    // A host without a cluster has no such port.
    let alone = Host::new();
    alone.ok(&["run", "-d", "--name", "c", "alpine", "sleep", "1000"]);
    let set = alone.netns.run("nft list set inet rcr cluster-ports");
    assert!(!set.contains("elements"), "{set}");
}

#[test]
fn an_internal_network_reaches_no_published_port() {
    let host = Host::new();
    host.ok(&["network", "create", "--ipv6", "front"]);
    let serve = "while :; do echo hello | nc -l -p 80 > /dev/null; done";
    host.ok(&["run", "-d", "--name", "web", "--network", "front", "-p", "8080:80", "alpine", "sh", "-c", serve]);
    // One without IPv6: netd itself takes its port there.
    host.ok(&["run", "-d", "--name", "web4", "-p", "8081:80", "alpine", "sh", "-c", serve]);
    let reach_port = |netns: &Netns, to: &str, port: u16| {
        let to = if to.contains(':') { format!("[{to}]:{port}") } else { format!("{to}:{port}") };
        netns.tcp(&to, "").is_ok_and(|said| said.contains("hello"))
    };
    let reach = |netns: &Netns, to: &str| reach_port(netns, to, 8080);
    eventually("the relay answers", || reach_port(&host.outside, "2001:db8::1", 8081));
    let closed = |name: &str, flags: &[&str]| {
        let create = [&["network", "create", "--internal"][..], flags, &[name]].concat();
        host.ok(&create);
        let container = format!("in-{name}");
        let run = ["run", "-d", "--name", &container, "--network", name, "--add-host", "h:host-gateway", "alpine"];
        host.ok(&[&run[..], &["sleep", "1000"]].concat());
        let inside = host.container_netns(&container);
        let info: serde_json::Value = serde_json::from_str(&host.ok(&["network", "inspect", name])).unwrap();
        let subnets = info[0]["IPAM"]["Config"].as_array().expect("subnets").clone();
        // Also with routes of its own making, and by the host's other addresses.
        for (family, outside) in [("-4", "198.51.100.1"), ("-6", "2001:db8::1")] {
            let of_family = |gateway: &&str| gateway.contains(':') == (family == "-6");
            let gateways = subnets.iter().filter_map(|s| s["Gateway"].as_str()).filter(of_family);
            for gateway in gateways {
                inside.ip(&format!("{family} route replace default via {gateway}"));
                assert!(!reach(&inside, gateway), "{name}: by its gateway {gateway}");
                assert!(!reach_port(&inside, gateway, 8081), "{name}: by its gateway {gateway}, relayed");
                assert!(name != "plain" || !reach(&inside, outside), "{name}: by {outside}");
            }
        }
        host.ok(&["rm", "-f", &container]);
        host.ok(&["network", "rm", name]);
    };
    // Side by side: what is not let through is waited for.
    std::thread::scope(|scope| {
        for (name, flags) in [
            ("plain", &["--ipv6"][..]),
            ("access", &["--ipv6", "-o", "host_access=true"]),
            ("lone", &["--ipv6", "-o", "icc=false"]),
            ("mesh", &["-d", "overlay", "--ipv6"]),
        ] {
            let closed = &closed;
            scope.spawn(move || closed(name, flags));
        }
    });
    // That they could have failed: from a network that is not internal it is reached.
    host.ok(&["network", "create", "--ipv6", "other"]);
    host.ok(&["run", "-d", "--name", "out", "--network", "other", "alpine", "sleep", "1000"]);
    eventually("others do", || reach(&host.container_netns("out"), "198.51.100.1"));
    eventually("by IPv6, too", || reach(&host.container_netns("out"), "2001:db8::1"));
}
