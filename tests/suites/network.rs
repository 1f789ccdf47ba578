//! Networks: names, addresses, isolation, connect and disconnect.
#![allow(clippy::unwrap_used)]

use tests::host::{HOST_V4, HOST_V6, pings, sleeper};
use tests::{Host, eventually};

#[test]
fn the_main_job_two_containers_ping_each_other_by_name() {
    let host = Host::new();
    let before = host.snapshot();
    host.ok(&["network", "create", "-d", "bridge", "eui_bridge"]);
    host.ok(&["container", "run", "-d", "--name", "c1", "--network", "eui_bridge", "alpine", "sleep", "1d"]);
    sleeper(&host, "c2", &["--network", "eui_bridge"]);
    assert!(pings(&host, "c2", "c1") && pings(&host, "c1", "c2"));
    let busy = host.rcr(&["network", "rm", "eui_bridge"]);
    assert!(busy.code == 1 && busy.stderr.contains("c1") && busy.stderr.contains("c2"), "{busy:?}");
    host.ok(&["rm", "-f", "c1", "c2"]);
    host.ok(&["network", "rm", "eui_bridge"]);
    before.assert_restored(&host);
}

#[test]
fn names_aliases_ids_networks_and_reverse() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    let id = host.ok(&[
        "run",
        "-d",
        "--name",
        "c1",
        "--network",
        "name=blue,alias=db",
        "--network-alias",
        "cache",
        "alpine",
        "sleep",
        "1000",
    ]);
    sleeper(&host, "c2", &["--network", "blue"]);
    for name in ["c1", "C1", "db", "cache", &id[..12], "c1.blue", "db.blue"] {
        assert!(pings(&host, "c2", name), "{name}");
    }
    assert!(!pings(&host, "c2", "nobody"));
    let address = host.address("c1", "blue");
    let reverse = host.ok(&["exec", "c2", "nslookup", &address]);
    assert!(reverse.contains("c1.blue"), "{reverse}");
    host.ok(&["rename", "c1", "renamed"]);
    assert!(pings(&host, "c2", "renamed") && !pings(&host, "c2", "c1"));
    // The default network has names, too.
    sleeper(&host, "d1", &[]);
    sleeper(&host, "d2", &[]);
    assert!(pings(&host, "d1", "d2"));
}

#[test]
fn an_alias_of_several_containers_answers_with_all_in_turn() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    for name in ["a", "b"] {
        sleeper(&host, name, &["--network", "blue", "--network-alias", "web"]);
    }
    sleeper(&host, "c", &["--network", "blue"]);
    let all = host.ok(&["exec", "c", "nslookup", "web"]);
    assert!(all.contains(&host.address("a", "blue")) && all.contains(&host.address("b", "blue")), "{all}");
    let first = || host.ok(&["exec", "c", "ping", "-c", "1", "web"]).lines().next().unwrap().to_owned();
    let one = first();
    eventually("the other one comes first, too", || first() != one);
}

#[test]
fn ping_works_for_any_user_and_a_dns_server_can_run_on_port_53() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    sleeper(&host, "c1", &["--network", "blue"]);
    assert!(
        host.sh(&["--network", "blue", "-u", "1000", "--cap-drop", "ALL"], "ping -c 1 c1").contains(" 0% packet loss")
    );
    let server = format!("{}:/answer", env!("CARGO_BIN_EXE_answer"));
    let script = "/answer udp 53 x & /answer tcp 53 x & \
        for i in $(seq 100); do n=$(netstat -ltun | grep -c ':53 '); [ $n = 2 ] && break; sleep 0.05; done; \
        ping -c 1 c1 >/dev/null && echo $n";
    assert_eq!(host.sh(&["--network", "blue", "-v", &server], script), "2");
}

#[test]
fn static_addresses_macs_ranges_and_aux() {
    let host = Host::new();
    host.ok(&[
        "network",
        "create",
        "--subnet",
        "10.77.0.0/24",
        "--gateway",
        "10.77.0.254",
        "--ip-range",
        "10.77.0.64/30",
        "--aux-address",
        "printer=10.77.0.64",
        "blue",
    ]);
    sleeper(&host, "s", &["--network", "blue", "--ip", "10.77.0.9", "--mac-address", "02:11:22:33:44:55"]);
    assert_eq!(host.address("s", "blue"), "10.77.0.9");
    let link = host.ok(&["exec", "s", "ip", "addr"]);
    assert!(link.contains("10.77.0.9/24") && link.contains("02:11:22:33:44:55"), "{link}");
    assert!(host.ok(&["exec", "s", "ip", "route"]).contains("default via 10.77.0.254"));
    let taken = host.refused(&["run", "--rm", "--network", "blue", "--ip", "10.77.0.9", "alpine", "true"]);
    assert!(taken.contains("10.77.0.9"), "{taken}");
    let outside = host.refused(&["run", "--rm", "--network", "blue", "--ip", "10.78.0.9", "alpine", "true"]);
    assert!(outside.contains("10.78.0.9"), "{outside}");
    // Three of the range's four addresses are left; the fourth container finds it empty.
    for name in ["a", "b", "c"] {
        sleeper(&host, name, &["--network", "blue"]);
        assert!(host.address(name, "blue").starts_with("10.77.0.6"));
    }
    let full = host.refused(&["run", "--rm", "--network", "blue", "alpine", "true"]);
    assert!(full.contains("blue") && full.contains('3'), "{full}");
    host.ok(&["rm", "-f", "b"]);
    sleeper(&host, "again", &["--network", "blue"]);
}

#[test]
fn subnets_are_chosen_apart_and_overlaps_are_refused() {
    let host = Host::new();
    host.netns.ip("route add 10.99.0.0/16 via 198.51.100.2");
    let first = host.ok(&["network", "create", "a"]);
    host.ok(&["network", "create", "b"]);
    let subnet = |name: &str| host.inspect(name, "/IPAM/Config/0/Subnet").as_str().unwrap().to_owned();
    assert_ne!(subnet("a"), subnet("b"));
    assert_eq!(host.inspect(&first[..12], "/Name"), "a");
    let overlap = host.refused(&["network", "create", "--subnet", &subnet("a"), "c"]);
    assert!(overlap.contains("`a`"), "{overlap}");
    let route = host.refused(&["network", "create", "--subnet", "10.99.3.0/24", "c"]);
    assert!(route.contains("10.99.0.0/16"), "{route}");
    assert!(host.refused(&["network", "create", "a"]).contains("`a`"));
    host.ok(&["network", "create", "--ignore", "a"]);
    for name in ["bridge", "host", "none"] {
        assert_ne!(host.rcr(&["network", "rm", name]).code, 0, "{name}");
    }
    let config = host.scratch().join("c.toml");
    std::fs::write(&config, "[network]\npools = [{ base = \"10.50.0.0/23\", size = 24 }]\n").unwrap();
    let small = Host::bare();
    let create = |name: &str| small.rcr(&["--config", config.to_str().unwrap(), "network", "create", name]);
    // The default network has one of the two.
    assert_eq!(create("x").code, 0);
    let full = create("y");
    assert!(full.code == 1 && full.stderr.contains("hint: "), "{full:?}");
}

#[test]
fn networks_are_isolated_from_each_other_and_from_the_host() {
    let host = Host::new();
    host.import_nginx();
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "create", "green"]);
    host.ok(&["run", "-d", "--name", "web", "--network", "blue", "nginx"]);
    sleeper(&host, "b", &["--network", "blue"]);
    sleeper(&host, "g", &["--network", "green"]);
    let web = host.address("web", "blue");
    let fetch =
        |from: &str, to: &str| host.rcr(&["exec", from, "timeout", "2", "wget", "-qO-", &format!("http://{to}/")]);
    eventually("nginx answers its neighbour", || fetch("b", "web").stdout.contains("Welcome"));
    assert_ne!(fetch("g", &web).code, 0, "another network reached it");
    assert!(!pings(&host, "g", &web));
    // From the host itself it answers; from the world outside only what is published does.
    assert!(host.netns.tcp(&format!("{web}:80"), "GET / HTTP/1.0\r\n\r\n").unwrap().contains("Welcome"));
    host.outside.ip(&format!("route add {web}/32 via {HOST_V4}"));
    assert!(host.outside.tcp(&format!("{web}:80"), "GET / HTTP/1.0\r\n\r\n").is_err(), "direct routing reached it");
    // A service of the host's own.
    host.netns.inside(|| {
        let listener = std::net::TcpListener::bind("0.0.0.0:7777").unwrap();
        std::thread::spawn(move || listener.incoming().flatten().for_each(drop));
    });
    let reaches = |name: &str, target: &str| host.rcr(&["exec", name, "nc", "-w", "1", target, "7777"]).code == 0;
    let gateway = host.inspect("b", "/NetworkSettings/Networks/blue/Gateway");
    assert!(!reaches("b", gateway.as_str().unwrap()) && !reaches("b", HOST_V4), "the host's ports are open");
    sleeper(&host, "friend", &["--network", "blue", "--add-host", "thehost:host-gateway"]);
    assert!(reaches("friend", "thehost"));
    host.ok(&["network", "create", "-o", "host_access=true", "open"]);
    sleeper(&host, "o", &["--network", "open"]);
    assert!(reaches("o", HOST_V4));
}

#[test]
fn the_way_out_and_internal_networks() {
    let host = Host::new();
    host.ok(&["network", "create", "--internal", "inner"]);
    sleeper(&host, "i1", &["--network", "inner"]);
    sleeper(&host, "i2", &["--network", "inner"]);
    assert!(pings(&host, "i1", "i2"));
    assert!(!pings(&host, "i1", "198.51.100.2"));
    assert!(!host.ok(&["exec", "i1", "ip", "route"]).contains("default"));
    sleeper(&host, "o", &[]);
    assert!(pings(&host, "o", "198.51.100.2"));
    // Masqueraded: the world outside sees the host.
    let seen = host.outside.inside(|| {
        let listener = std::net::TcpListener::bind("198.51.100.2:6000").unwrap();
        std::thread::spawn(move || listener.accept().unwrap().1.ip().to_string())
    });
    host.rcr(&["exec", "o", "nc", "-w", "1", "198.51.100.2", "6000"]);
    assert_eq!(seen.join().unwrap(), HOST_V4);
}

#[test]
fn routed_networks_keep_their_addresses() {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.66.0.0/24", "-o", "gateway_mode=routed", "r"]);
    sleeper(&host, "c", &["--network", "r"]);
    host.outside.ip(&format!("route add 10.66.0.0/24 via {HOST_V4}"));
    let seen = host.outside.inside(|| {
        let listener = std::net::TcpListener::bind("198.51.100.2:6001").unwrap();
        std::thread::spawn(move || listener.accept().unwrap().1.ip().to_string())
    });
    host.rcr(&["exec", "c", "nc", "-w", "1", "198.51.100.2", "6001"]);
    assert_eq!(seen.join().unwrap(), host.address("c", "r"));
}

#[test]
fn icc_off_separates_neighbours() {
    let host = Host::new();
    host.ok(&["network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "apart"]);
    sleeper(&host, "a", &["--network", "apart"]);
    sleeper(&host, "b", &["--network", "apart"]);
    assert!(!pings(&host, "a", "b"));
    assert!(pings(&host, "a", "198.51.100.2"));
}

#[test]
fn ipv6_is_a_full_citizen() {
    let host = Host::new();
    host.ok(&["network", "create", "--ipv6", "six"]);
    sleeper(&host, "a", &["--network", "six"]);
    sleeper(&host, "b", &["--network", "six"]);
    let address = host.inspect("a", "/NetworkSettings/Networks/six/GlobalIPv6Address");
    assert!(address.as_str().unwrap().starts_with("fd"), "{address}");
    assert_eq!(host.rcr(&["exec", "b", "ping", "-6", "-c", "1", "-W", "2", "a"]).code, 0);
    assert_eq!(host.rcr(&["exec", "b", "ping", "-6", "-c", "1", "-W", "2", "2001:db8::2"]).code, 0);
    host.ok(&["network", "create", "--subnet", "fd12:3456::/64", "--ipv6", "--ipv4=false", "only6"]);
    sleeper(&host, "c", &["--network", "only6", "--ip6", "fd12:3456::77"]);
    sleeper(&host, "d", &["--network", "only6"]);
    assert_eq!(host.rcr(&["exec", "d", "ping", "-c", "1", "-W", "2", "c"]).code, 0);
    assert_eq!(host.inspect("c", "/NetworkSettings/Networks/only6/GlobalIPv6Address"), "fd12:3456::77");
    // A network without IPv6 has none on its interface.
    sleeper(&host, "v4", &[]);
    assert!(!host.ok(&["exec", "v4", "ip", "-6", "addr", "show", "eth0"]).contains("inet6"));
}

#[test]
fn several_networks_connect_and_disconnect_while_running() {
    let host = Host::new();
    let before = host.snapshot();
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "create", "green"]);
    sleeper(&host, "both", &["--network", "blue", "--network", "name=green,gw-priority=5"]);
    sleeper(&host, "b", &["--network", "blue"]);
    sleeper(&host, "g", &["--network", "green"]);
    assert!(pings(&host, "both", "b") && pings(&host, "both", "g") && !pings(&host, "b", "g"));
    let green = host.inspect("both", "/NetworkSettings/Networks/green/Gateway");
    let route = host.ok(&["exec", "both", "ip", "route"]);
    assert!(route.contains(&format!("default via {}", green.as_str().unwrap())), "{route}");

    host.ok(&["network", "connect", "--alias", "guest", "green", "b"]);
    assert!(pings(&host, "b", "g") && pings(&host, "g", "guest") && pings(&host, "g", "b"));
    assert!(host.refused(&["network", "connect", "green", "b"]).contains("already"));
    host.ok(&["network", "disconnect", "green", "b"]);
    assert!(!pings(&host, "g", "guest") && !pings(&host, "b", "g"));
    assert!(host.refused(&["network", "disconnect", "green", "b"]).contains("not on network"));
    // The default route follows.
    host.ok(&["network", "disconnect", "green", "both"]);
    assert!(pings(&host, "both", "198.51.100.2"));
    // A container that does not run is connected at its start.
    host.ok(&["create", "--name", "later", "--network", "blue", "alpine", "sleep", "1000"]);
    host.ok(&["network", "connect", "green", "later"]);
    host.ok(&["start", "later"]);
    assert!(pings(&host, "g", "later") && pings(&host, "b", "later"));

    host.remove_containers();
    host.ok(&["network", "rm", "blue", "green"]);
    before.assert_restored(&host);
}

#[test]
fn host_and_none() {
    let host = Host::new();
    assert!(host.sh(&["--network", "host"], "ip addr show up0").contains(HOST_V4));
    let none = host.sh(&["--network", "none"], "ip -o link | wc -l; ping -c 1 127.0.0.1 | grep -c ' 0% packet loss'");
    assert_eq!(none, "1\n1");
    let warned = host.rcr(&["run", "--rm", "--network", "host", "-p", "80:80", "alpine", "true"]);
    assert!(warned.code == 0 && warned.stderr.contains("warning: "), "{warned:?}");
    assert!(
        host.refused(&["run", "--rm", "--network", "none", "-p", "80:80", "alpine", "true"]).contains("cannot publish")
    );
}

#[test]
fn mtu_and_bridge_name() {
    let host = Host::new();
    host.ok(&["network", "create", "-o", "mtu=1380", "-o", "name=mybr", "m"]);
    assert_eq!(host.sh(&["--network", "m"], "cat /sys/class/net/eth0/mtu"), "1380");
    host.netns.ip("link set up0 mtu 1400");
    host.ok(&["network", "create", "auto"]);
    assert_eq!(host.sh(&["--network", "auto"], "cat /sys/class/net/eth0/mtu"), "1400");
    sleeper(&host, "c", &["--network", "m"]);
    assert!(host.netns.ip("-o link show mybr").contains("mtu 1380"));
}

#[test]
fn names_outside_are_asked_of_the_given_server() {
    let host = Host::new();
    // A resolver in the world outside that knows one answer for everything.
    host.outside.inside(|| {
        let socket = std::net::UdpSocket::bind("198.51.100.2:53").unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0u8; 512];
            while let Ok((got, from)) = socket.recv_from(&mut buffer) {
                let mut question = 12;
                while buffer[question] != 0 {
                    question += usize::from(buffer[question]) + 1;
                }
                let is_a = buffer[question + 2] == 1;
                let mut answer = buffer[..question + 5].to_vec();
                answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
                if is_a {
                    answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 99]);
                }
                let _ = (got, socket.send_to(&answer, from));
            }
        });
    });
    let asked = host.sh(&["--dns", "198.51.100.2"], "nslookup example.org; nslookup single || true");
    assert!(asked.contains("192.0.2.99"), "{asked}");
    assert_eq!(asked.matches("192.0.2.99").count(), 2, "`--dns` names a server that may know a single label: {asked}");
    host.ok(&["network", "create", "--internal", "inner"]);
    let inner =
        host.rcr(&["run", "--rm", "--network", "inner", "--dns", "198.51.100.2", "alpine", "nslookup", "example.org"]);
    assert!(!inner.stdout.contains("192.0.2.99"), "{inner:?}");
}

#[test]
fn ip_forwarding_is_restored_and_ours_alone() {
    let host = Host::new();
    let forwarding = || host.netns.run("cat /proc/sys/net/ipv4/ip_forward").trim().to_owned();
    assert_eq!(forwarding(), "0");
    sleeper(&host, "c", &[]);
    assert_eq!(forwarding(), "1");
    // Another network behind the host is not routed for strangers.
    let other = tests::Netns::new();
    host.netns.link("down0", &other, "eth0");
    host.netns.ip("addr add 203.0.113.1/24 dev down0");
    host.netns.ip("link set down0 up");
    other.ip("addr add 203.0.113.2/24 dev eth0");
    other.ip("link set eth0 up");
    other.ip("route add default via 203.0.113.1");
    host.outside.ip(&format!("route add 203.0.113.0/24 via {HOST_V4}"));
    assert!(!other.try_run("ping -c 1 -W 1 198.51.100.2").status.success(), "the host routes for strangers");
    assert!(other.try_run("ping -c 1 -W 1 203.0.113.1").status.success());
    host.ok(&["rm", "-f", "c"]);
    eventually("forwarding is off again", || forwarding() == "0");
    let _ = HOST_V6;
}

#[test]
fn a_plan_shows_what_would_be_done() {
    let host = Host::new();
    let before = host.snapshot();
    host.ok(&["network", "create", "blue"]);
    let plan = host.ok(&["network", "plan", "blue"]);
    assert!(plan.contains("veth") && plan.contains("eth0") && plan.contains("default"), "{plan}");
    let published = host.ok(&["network", "plan", "-p", "8080:80", "blue"]);
    assert!(published.contains("publish-any4") && published.contains("8080"), "{published}");
    host.ok(&["run", "-d", "--name", "c1", "--network", "blue", "alpine", "sleep", "1000"]);
    let taken = host.ok(&["inspect", "c1"]);
    assert!(!taken.contains("8080"), "a plan publishes nothing");
    host.ok(&["rm", "-f", "c1"]);
    let dry = host.ok(&["network", "create", "--dry-run", "green"]);
    assert!(dry.contains("green"), "{dry}");
    assert!(!host.ok(&["network", "ls"]).contains("green"));
    host.ok(&["network", "rm", "blue"]);
    before.assert_restored(&host);
}

#[test]
fn the_long_form_of_network_says_everything_about_one_attachment() {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.77.0.0/24", "--subnet", "fd77::/64", "blue"]);
    host.ok(&["network", "create", "--subnet", "10.78.0.0/24", "green"]);
    let long = "name=blue,ip=10.77.0.9,ip6=fd77::9,mac-address=02:11:22:33:44:66,alias=one,alias=two";
    sleeper(&host, "c1", &["--network", long, "--network", "name=green,ip=10.78.0.7,alias=three"]);
    let addresses = host.ok(&["exec", "c1", "ip", "addr"]);
    for part in ["10.77.0.9/24", "fd77::9/64", "02:11:22:33:44:66", "10.78.0.7/24"] {
        assert!(addresses.contains(part), "{part}: {addresses}");
    }
    sleeper(&host, "c2", &["--network", "blue"]);
    assert!(pings(&host, "c2", "one") && pings(&host, "c2", "two") && !pings(&host, "c2", "three"));
    let unknown = host.refused(&["run", "--rm", "--network", "name=blue,adress=10.77.0.10", "alpine", "true"]);
    assert!(unknown.contains("adress"), "{unknown}");
}

#[test]
fn an_isolated_gateway_mode_leaves_the_host_out() {
    let host = Host::new();
    host.ok(&["network", "create", "--internal", "-o", "gateway_mode=isolated", "--subnet", "10.79.0.0/24", "alone"]);
    sleeper(&host, "c1", &["--network", "alone"]);
    sleeper(&host, "c2", &["--network", "alone"]);
    assert!(pings(&host, "c1", "c2"));
    let address = host.address("c1", "alone");
    assert!(
        !host.netns.try_run(&format!("ping -c 1 -W 1 {address}")).status.success(),
        "the host has no address there"
    );
    let bridges = host.netns.run("ip -4 -br addr");
    assert!(!bridges.contains("10.79.0."), "{bridges}");
    let docker = host.ok(&["network", "create", "-o", "com.docker.network.driver.mtu=1234", "named"]);
    assert!(!docker.is_empty());
    sleeper(&host, "c3", &["--network", "named"]);
    assert!(host.ok(&["exec", "c3", "ip", "link", "show", "eth0"]).contains("mtu 1234"));
    let small = host.refused(&["network", "create", "--ipv6", "-o", "mtu=1000", "small"]);
    assert!(small.contains("1280"), "{small}");
}
