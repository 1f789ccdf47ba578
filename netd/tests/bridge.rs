//! Bridge networks end to end: reach, isolation, names, options, live changes, nothing left.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::lab::*;
use netd::store::{Change, Durability, Embedded, Store};
use netd_api::*;
use netd_core::model::Network;

#[test]
fn two_containers_ping_each_other_and_the_world_and_nothing_is_left() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let net = lab.network_with("blue", |spec, _| spec.ipv6 = true);
    assert_eq!(net.mtu, Some(1400), "the uplink's");
    let (a, b) = (lab.container("a", "blue"), lab.container("b", "blue"));
    for v6 in [false, true] {
        assert!(a.netns.ping(b.ip(v6)), "{}", b.ip(v6));
        assert!(b.netns.ping(a.ip(v6)));
    }
    assert!(a.netns.ping(OUTSIDE), "masqueraded");
    assert!(a.netns.ping("2001:db8::2"), "masqueraded");
    assert!(lab.host.ping(a.ip(false)), "the host reaches its containers");
    lab.end(a);
    lab.end(b);
    let Reply::Done = lab.call(Call::NetworkRemove { network: "blue".into() }) else { panic!() };
    lab.clean(&before);
}

#[test]
fn a_container_that_ended_is_silent_though_somebody_keeps_its_namespace() {
    let mut lab = Lab::new();
    lab.network("blue");
    let (first, other) = (lab.container("first", "blue"), lab.container("other", "blue"));
    let (kept, address) = (first.netns.clone(), first.ip(false));
    assert!(other.netns.ping(address) && lab.host.ping(address));
    lab.end(first);
    // Its interface is still up in there and would answer ARP requests: also the host's, with a fresh neighbour table.
    lab.host.sh("ip neigh flush all");
    other.netns.sh("ip neigh flush all");
    assert!(!lab.host.ping(address));
    assert!(!other.netns.ping(address));
    let next =
        lab.container_with("next", "blue", |spec| spec.attachments[0].ip = Some(address.to_string().parse().unwrap()));
    eventually("the next one answers", || lab.host.ping(address) && other.netns.ping(address));
    drop((kept, next));
}

#[test]
fn the_default_network_leaves_nothing_when_nobody_uses_it() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let a = lab.container("a", "bridge");
    assert!(a.netns.ping(OUTSIDE));
    assert_eq!(lab.host.sh("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
    lab.end(a);
    lab.clean(&before);
}

#[test]
fn ip_forward_that_was_on_stays_on() {
    let mut lab = Lab::bare();
    lab.host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
    lab.start();
    let before = lab.dump();
    let a = lab.container("a", "bridge");
    assert!(!lab.host.sh("nft list set inet rcr guard").contains("ipv4"));
    lab.end(a);
    lab.clean(&before);
}

#[test]
fn the_host_does_not_become_a_router() {
    let mut lab = Lab::new();
    lab.host.sh("ip link add r0 type veth peer name r1 && ip addr add 198.51.100.1/24 dev r0 && ip link set r0 up");
    let other = lab.outside.clone();
    lab.host.sh(&format!("ip link set r1 netns {}", other.path()));
    other.sh("ip addr add 198.51.100.2/24 dev r1 && ip link set r1 up");
    let _a = lab.container("a", "bridge");
    // A packet from the one side to the other's far end would be forwarded.
    other.sh("ip route add 203.0.113.0/24 via 192.0.2.1");
    lab.host.sh("ip route add 203.0.113.0/24 via 198.51.100.2");
    let _ = other.try_sh("ping -c1 -W1 203.0.113.1");
    let drops = lab.host.sh("nft list chain inet rcr forward");
    let guard = drops.lines().find(|l| l.contains("@guard")).unwrap();
    assert!(!guard.contains("packets 0 "), "{guard}");
}

#[test]
fn networks_are_closed_to_each_other_and_to_the_hosts_ports() {
    let mut lab = Lab::new();
    lab.network("red");
    lab.network("green");
    let (a, b) = (lab.container("a", "red"), lab.container("b", "green"));
    assert!(!a.netns.ping(b.ip(false)));
    let _server = Server::tcp(&lab.host, "0.0.0.0:7000");
    let gateway = a.info.host_gateway[0];
    assert!(a.netns.ping(gateway));
    assert!(a.netns.fetch(&format!("{gateway}:7000")).is_err(), "the host's own ports are closed");
    assert!(a.netns.fetch(&format!("{HOST}:7000")).is_err());
    let c = lab.container_with("c", "red", |spec| spec.host_gateway = true);
    assert_eq!(c.netns.fetch(&format!("{gateway}:7000")).unwrap(), format!("{} at 7000", c.ip(false)));
    lab.network_with("open", |_, options| options.host_access = true);
    let d = lab.container("d", "open");
    assert!(d.netns.fetch(&format!("{}:7000", d.info.host_gateway[0])).is_ok());
    // From outside, by a route through the host.
    lab.outside.sh(&format!("ip route add {}/32 via {HOST}", a.ip(false)));
    assert!(!lab.outside.ping(a.ip(false)), "closed to other hosts");
}

#[test]
fn internal_networks_have_no_way_out() {
    let mut lab = Lab::new();
    lab.network_with("cellar", |spec, _| spec.internal = true);
    let (a, b) = (lab.container("a", "cellar"), lab.container("b", "cellar"));
    assert!(a.netns.ping(b.ip(false)));
    assert!(!a.netns.sh("ip route").contains("default"));
    a.netns.sh(&format!("ip route add default via {}", lab_gateway(&mut lab, "cellar")));
    assert!(!a.netns.ping(OUTSIDE), "also with a route");
}

fn lab_gateway(lab: &mut Lab, network: &str) -> String {
    match lab.call(Call::NetworkInspect { network: network.into() }) {
        Reply::Network(info) => info.subnets[0].gateway.unwrap().to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn icc_off_separates_the_containers_of_a_network() {
    for br_netfilter in ["0", "1"] {
        let mut lab = Lab::new();
        lab.host.sh(&format!("echo {br_netfilter} > /proc/sys/net/bridge/bridge-nf-call-iptables"));
        lab.network_with("quiet", |_, options| options.icc = false);
        lab.network("chatty");
        let (a, b) = (lab.container("a", "quiet"), lab.container("b", "quiet"));
        assert!(!a.netns.ping(b.ip(false)));
        let gateway = lab_gateway(&mut lab, "quiet");
        // Nor by way of the host's router.
        a.netns.sh(&format!("ip route add {}/32 via {gateway}", b.ip(false)));
        assert!(!a.netns.ping(b.ip(false)));
        assert!(a.netns.ping(gateway));
        assert!(a.netns.ping(OUTSIDE));
        let (c, d) = (lab.container("c", "chatty"), lab.container("d", "chatty"));
        assert!(c.netns.ping(d.ip(false)), "bridge-nf-call-iptables={br_netfilter}");
    }
}

#[test]
fn static_addresses_macs_names_and_several_networks() {
    let mut lab = Lab::new();
    let subnet = |net: &str| SubnetRequest {
        subnet: net.parse().unwrap(),
        gateway: None,
        no_gateway: false,
        ip_range: None,
        aux_addresses: Default::default(),
    };
    lab.network_with("one", |spec, options| {
        spec.subnets = vec![subnet("10.20.0.0/24")];
        options.mtu = Some(1300);
        options.bridge_name = Some("mybridge".parse().unwrap());
    });
    lab.network_with("two", |spec, _| spec.subnets = vec![subnet("10.21.0.0/24"), subnet("fd00:21::/64")]);
    let a = lab.container_with("a", "one", |spec| {
        spec.attachments[0].ip = Some("10.20.0.77".parse().unwrap());
        spec.attachments[0].mac = Some("02:00:00:00:00:77".parse().unwrap());
        spec.attachments.push(AttachmentRequest {
            gw_priority: 1,
            ifname: Some("lan".parse().unwrap()),
            ..AttachmentRequest::to("two")
        });
    });
    let shown = a.netns.sh("ip addr; ip route; ip -6 route");
    for wanted in
        ["10.20.0.77/24", "02:00:00:00:00:77", "mtu 1300", "lan@", "fd00:21::2/64", "default via 10.21.0.1 dev lan"]
    {
        assert!(shown.contains(wanted), "{wanted} in {shown}");
    }
    assert!(lab.host.sh("ip -d link show mybridge").contains("alias rcr:one"));
    let taken = lab.try_container("b", "one", |spec| spec.attachments[0].ip = Some("10.20.0.77".parse().unwrap()));
    let error = taken.err().unwrap();
    assert_eq!(error.kind, ErrorKind::InUse);
    assert!(causes(&error).contains("address `10.20.0.77` is in use"), "{error:?}");
    // The bridge keeps its MAC whatever ports come.
    let mac = || lab.host.sh("cat /sys/class/net/mybridge/address 2>/dev/null; ip -br link show mybridge");
    let first = mac();
    let _c = lab.try_container("c", "one", |spec| spec.attachments[0].mac = Some("02:00:00:00:00:01".parse().unwrap()));
    assert_eq!(first, lab.host.sh("cat /sys/class/net/mybridge/address 2>/dev/null; ip -br link show mybridge"));
}

#[test]
fn v4_only_containers_have_no_ipv6_and_loopback_has() {
    let mut lab = Lab::new();
    let a = lab.container("a", "bridge");
    assert_eq!(a.netns.sh("cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "1\n");
    assert!(a.netns.ping("::1"));
    assert_eq!(
        a.netns.sh("cat /proc/sys/net/ipv4/ping_group_range").split_whitespace().collect::<Vec<_>>(),
        ["0", "2147483647"]
    );
    assert_eq!(a.netns.sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "0\n");
}

#[test]
fn connect_and_disconnect_while_running() {
    let mut lab = Lab::new();
    let before = lab.dump();
    lab.network("one");
    lab.network("two");
    let a = lab.container("a", "one");
    let b = lab.container("b", "two");
    let request = AttachmentRequest { gw_priority: 5, aliases: vec!["db".into()], ..AttachmentRequest::to("two") };
    let Reply::Sandbox(info) = lab.call(Call::Connect { id: a.id.clone(), attachment: request }) else { panic!() };
    assert_eq!(info.attachments.len(), 2);
    assert!(a.netns.ping(b.ip(false)));
    let gateway = info.attachments[1].gateways[0];
    assert!(a.netns.sh("ip route").contains(&format!("default via {gateway} dev eth1")));
    let Reply::Sandbox(info) = lab.call(Call::Disconnect { id: a.id.clone(), network: "two".into() }) else { panic!() };
    assert_eq!(info.attachments.len(), 1);
    assert!(!a.netns.sh("ip link").contains("eth1"));
    assert!(a.netns.sh("ip route").contains("default via"), "the default route goes back");
    assert!(a.netns.ping(OUTSIDE));
    let refused = lab.try_call(Call::NetworkRemove { network: "one".into() }).unwrap_err();
    assert!(causes(&refused).contains("attached: `a`"), "{refused:?}");
    lab.end(a);
    lab.end(b);
    for network in ["one", "two"] {
        lab.call(Call::NetworkRemove { network: network.into() });
    }
    lab.clean(&before);
}

/// Asks a container's resolver for `web`.
fn ask_for_web(container: &Netns) -> std::io::Result<Vec<u8>> {
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x00\x00\x01\x00\x01";
    container.run(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
        socket.connect("127.0.0.11:53")?;
        socket.send(query)?;
        let mut buffer = [0; 512];
        let len = socket.recv(&mut buffer)?;
        Ok(buffer[..len].to_vec())
    })
}

#[test]
fn names_resolve_inside_and_a_server_on_port_53_is_not_in_the_way() {
    let mut lab = Lab::new();
    lab.network("blue");
    let (a, b) = (lab.container("a", "blue"), lab.container("web", "blue"));
    let _own = Server::udp(&a.netns, "0.0.0.0:53", "own");
    let answer = ask_for_web(&a.netns).unwrap();
    let std::net::IpAddr::V4(ip) = b.ip(false) else { panic!() };
    assert!(answer.windows(4).any(|w| w == ip.octets()), "{answer:?}");
    assert_eq!(a.info.nameserver.unwrap().to_string(), "127.0.0.11");
}

#[test]
fn a_container_is_tracked_by_nothing_inside() {
    let mut lab = Lab::new();
    lab.network("blue");
    let (a, b) = (lab.container("a", "blue"), lab.container("b", "blue"));
    let _server = Server::tcp(&b.netns, "0.0.0.0:80");
    assert!(a.netns.fetch(&format!("{}:80", b.ip(false))).is_ok());
    ask_for_web(&a.netns).unwrap();
    a.netns.run(|| std::net::TcpStream::connect("127.0.0.11:53").unwrap());
    for of in [&a, &b] {
        let tracked = of.netns.sh("conntrack -L 2>/dev/null");
        assert_eq!(tracked, "", "connection tracking is on inside");
    }
}

#[test]
fn the_tracking_table_of_an_older_netd_is_replaced() {
    let mut lab = Lab::new();
    let a = lab.container("a", "bridge");
    lab.kill();
    // A process that was killed has its sockets for a moment more.
    let refused = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    eventually("without netd it fails at once", || ask_for_web(&a.netns).is_err_and(refused));
    let old = "type nat hook output priority -100; ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:5300;";
    a.netns.sh(&format!("nft flush ruleset && nft 'table ip rcr-dns {{ chain names {{ {old} }}; }}'"));
    lab.start();
    let answered = ask_for_web(&a.netns);
    assert!(answered.is_ok(), "{answered:?}");
    let tables = a.netns.sh("nft list tables");
    assert_eq!(tables.trim(), "table netdev rcr-dns");
}

#[test]
fn bad_input_is_refused_and_leaves_nothing() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let mut refuse = |change: &dyn Fn(&mut NetworkCreate, &mut BridgeOptions), kind, text: &str| {
        let call = Call::NetworkCreate { spec: network_spec("bad", change), dry_run: false };
        let error = lab.try_call(call).unwrap_err();
        assert_eq!(error.kind, kind, "{error:?}");
        assert!(causes(&error).contains(text), "{error:?}");
    };
    let subnet = |net: &str| SubnetRequest {
        subnet: net.parse().unwrap(),
        gateway: None,
        no_gateway: false,
        ip_range: None,
        aux_addresses: Default::default(),
    };
    refuse(
        &|s, _| s.subnets = vec![subnet("192.0.2.0/25")],
        ErrorKind::InUse,
        "overlaps the host's route to `192.0.2.0/24` (`up0`)",
    );
    refuse(&|s, _| s.subnets = vec![subnet("172.18.0.0/16")], ErrorKind::InUse, "overlaps network `bridge`");
    refuse(&|s, _| s.subnets = vec![subnet("10.0.0.1/24")], ErrorKind::Invalid, "host bits");
    refuse(&|_, o| o.gateway_mode_ipv4 = GatewayMode::Isolated, ErrorKind::Invalid, "isolated");
    refuse(&|_, o| o.bridge_name = Some("up0".parse().unwrap()), ErrorKind::InUse, "belongs to somebody else");
    refuse(&|s, _| s.name = "host".parse().unwrap(), ErrorKind::InUse, "already");
    let error = lab.try_container("a", "nope", |_| {}).err().unwrap();
    assert!(causes(&error).contains("there is no network `nope`"), "{error:?}");
    lab.clean(&before);
}

#[test]
fn a_full_network_says_so_and_freed_addresses_come_back_oldest_first() {
    let mut lab = Lab::new();
    lab.network_with("tiny", |spec, _| {
        let aux_addresses = Default::default();
        spec.subnets = vec![SubnetRequest {
            subnet: "10.9.0.0/29".parse().unwrap(),
            gateway: None,
            no_gateway: false,
            ip_range: None,
            aux_addresses,
        }];
    });
    let mut all: Vec<Container> = (0..5).map(|i| lab.container(&format!("c{i}"), "tiny")).collect();
    let error = lab.try_container("more", "tiny", |_| {}).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Exhausted);
    assert!(causes(&error).contains("no free address in `10.9.0.0/29`: 5 of 5 in use"), "{error:?}");
    let (third, first) = (all.remove(3), all.remove(1));
    let (ip3, ip1) = (third.ip(false), first.ip(false));
    lab.end(third);
    lab.end(first);
    let x = lab.container("x", "tiny");
    let y = lab.container("y", "tiny");
    assert_eq!((x.ip(false), y.ip(false)), (ip3, ip1));
    assert!(all[0].netns.ping(x.ip(false)), "the new MAC is known at once");
}

#[test]
fn a_caller_may_bring_a_namespace_of_its_own() {
    let mut lab = Lab::new();
    let before = lab.dump();
    lab.network("blue");
    let b = lab.container("b", "blue");
    let given = Netns::new();
    let file = std::fs::File::open(given.path()).unwrap();
    let spec = sandbox_spec("a", "blue", |spec| spec.netns = NetnsSource::Given);
    let id = spec.id.clone();
    let missing = Call::SandboxCreate { spec: spec.clone(), dry_run: false };
    assert!(causes(&lab.try_call(missing).unwrap_err()).contains("no network namespace came with the request"));
    let call = Call::SandboxCreate { spec, dry_run: false };
    let (reply, _) = lab.request_with(call, &[std::os::fd::AsFd::as_fd(&file)]).unwrap();
    assert!(matches!(reply, Reply::Sandbox(_)), "{reply:?}");
    assert!(given.ping(OUTSIDE) && given.ping(b.ip(false)));
    assert!(given.sh("cat /proc/net/udp").contains("0B00007F"), "its resolver listens on 127.0.0.11");
    // The caller keeps its namespace; what netd put into it goes.
    lab.call(Call::SandboxRelease { id });
    eventually("the link is gone", || !given.sh("ip link").contains("eth0"));
    lab.end(b);
    let Reply::Done = lab.call(Call::NetworkRemove { network: "blue".into() }) else { panic!() };
    lab.clean(&before);
}

/// The default network comes up with its first container, whatever kernel it was made on.
#[test]
fn a_network_with_a_flow_table_works_on_a_kernel_that_has_none() {
    let mut lab = Lab::new();
    lab.kill();
    let mut store = Embedded::open(&lab.lib_dir().join("netd/netd.redb")).unwrap();
    let records = store.range("network/").unwrap();
    let mut all = records.iter().map(|(key, value)| (key, serde_json::from_slice::<Network>(value).unwrap()));
    let (key, mut network) = all.find(|(_, network)| network.name.as_str() == "bridge").unwrap();
    let DriverSpec::Bridge(options) = &mut network.driver else { panic!("{:?}", network.driver) };
    options.flowtable = true;
    store.txn(&[Change::put(key.clone(), &network).unwrap()], Durability::Durable).unwrap();
    drop(store);
    let before = lab.dump();
    lab.start();
    let a = lab.container_with("a", "bridge", |spec| spec.publish = vec![publish(8080, 80)]);
    assert!(a.netns.ping(OUTSIDE));
    assert!(lab.ruleset("list set inet rcr flow-ports").contains("elements = "), "it still says that it wants one");
    lab.end(a);
    lab.clean(&before);
}
