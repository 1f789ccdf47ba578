//! Overlay networks: hosts as network namespaces on one kernel, with a real etcd among them.
#![allow(clippy::unwrap_used)]

use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::time::Instant;
use tests::cluster::Cluster;
use tests::{Host, eventually, host::bury};

fn mesh(cluster: &Cluster) {
    cluster.hosts[0].ok(&[
        "network",
        "create",
        "-d",
        "overlay",
        "--subnet",
        "10.4.0.0/16",
        "--subnet",
        "fd04::/64",
        "mesh",
    ]);
    for host in &cluster.hosts {
        eventually("the network is there", || host.ok(&["network", "ls"]).contains("mesh"));
    }
}

/// Two hosts, on a network with one container each: c1 and c2. `v6`: IPv6 underneath.
fn pair(v6: bool) -> Cluster {
    let cluster = Cluster::new(2, v6);
    mesh(&cluster);
    cluster.sleeper(0, "c1", &["--network", "mesh"]);
    cluster.sleeper(1, "c2", &["--network", "mesh"]);
    cluster
}

/// What a host's netd has logged.
fn log(host: &Host) -> String {
    std::fs::read_to_string(host.run_dir().join("netd.log")).unwrap()
}

#[test]
fn containers_on_two_hosts_find_and_reach_each_other() {
    let cluster = Cluster::new(2, false);
    let before: Vec<_> = cluster.hosts.iter().map(Host::snapshot).collect();
    mesh(&cluster);
    let listed = cluster.hosts[1].ok(&["network", "ls", "--format", "json"]);
    assert!(listed.lines().any(|l| l.contains("mesh") && l.contains("overlay") && l.contains("global")), "{listed}");
    cluster.sleeper(0, "c1", &["--network", "mesh", "--network-alias", "web"]);
    cluster.sleeper(1, "c2", &["--network", "mesh"]);
    for (i, from, to) in [(1, "c2", "c1"), (0, "c1", "c2"), (1, "c2", "web"), (1, "c2", "c1.mesh")] {
        eventually(&format!("{from} reaches {to}"), || cluster.pings(i, from, to));
    }
    // IPv6 inside, packets of the full MTU, and the names of addresses.
    let six = cluster.hosts[0].inspect("c1", "/NetworkSettings/Networks/mesh/GlobalIPv6Address");
    assert!(cluster.pings(1, "c2", six.as_str().unwrap()));
    let mtu: u32 = cluster.hosts[1].ok(&["exec", "c2", "cat", "/sys/class/net/eth0/mtu"]).parse().unwrap();
    assert_eq!(mtu, 1450);
    let full = (mtu - 28).to_string();
    cluster.hosts[1].ok(&["exec", "c2", "ping", "-c", "1", "-W", "1", "-M", "do", "-s", &full, "-4", "c1"]);
    let four = cluster.hosts[0].address("c1", "mesh");
    assert!(cluster.hosts[1].ok(&["exec", "c2", "nslookup", &four]).contains("c1.mesh"));
    // Somebody deletes the tunnel: it comes back with its entries.
    let tunnel = cluster.hosts[1].netns.run("ip -o link show type vxlan");
    let tunnel = tunnel.split(": ").nth(1).unwrap();
    cluster.hosts[1].netns.ip(&format!("link del {tunnel}"));
    eventually("the tunnel is back", || cluster.pings(1, "c2", "c1"));
    // What can't be is said, and by whom it is held up.
    assert!(cluster.hosts[1].rcr(&["network", "rm", "mesh"]).expect_code(1).stderr.contains("`c1` on host `node1`"));
    let taken = cluster.hosts[1].refused(&["run", "--rm", "--network", "mesh", "--ip", &four, "alpine", "true"]);
    assert!(taken.contains("`c1` on host `node1` has it"), "{taken}");
    // A rename, a stop and a start are seen.
    cluster.hosts[0].ok(&["rename", "c1", "first"]);
    eventually("the new name", || cluster.pings(1, "c2", "first"));
    eventually("the old name is gone", || !cluster.pings(1, "c2", "c1"));
    cluster.hosts[0].ok(&["stop", "-t", "0", "first"]);
    eventually("the stopped one is gone", || !cluster.pings(1, "c2", "first"));
    cluster.hosts[0].ok(&["start", "first"]);
    // Its neighbours' tables may know a MAC for the address: whoever has the address has that MAC.
    let mac = cluster.hosts[0].inspect("first", "/NetworkSettings/Networks/mesh/MacAddress");
    let address: std::net::Ipv4Addr = cluster.hosts[0].address("first", "mesh").parse().unwrap();
    let [a, b, c, d] = address.octets();
    assert_eq!(mac, format!("02:72:{a:02x}:{b:02x}:{c:02x}:{d:02x}"));
    eventually("it is back", || cluster.pings(1, "c2", "first"));
    for (host, name) in cluster.hosts.iter().zip(["first", "c2"]) {
        host.ok(&["rm", "-f", name]);
    }
    eventually("the network can go", || cluster.hosts[1].rcr(&["network", "rm", "mesh"]).code == 0);
    for (host, before) in cluster.hosts.iter().zip(before) {
        eventually("the network is gone", || !host.ok(&["network", "ls"]).contains("mesh"));
        before.assert_restored(host);
    }
}

#[test]
fn the_way_out_is_each_hosts_own() {
    let cluster = Cluster::new(2, false);
    mesh(&cluster);
    let serve = "while :; do echo hello | nc -l -p 80 > /dev/null; done";
    cluster.hosts[0].ok(&[
        "run",
        "-d",
        "--name",
        "c1",
        "--network",
        "mesh",
        "-p",
        "8080:80",
        "alpine",
        "sh",
        "-c",
        serve,
    ]);
    cluster.sleeper(1, "c2", &["--network", "mesh"]);
    // Egress by the own host, published ports of the own host, and the gateway, which is the same and answers here.
    for (i, name) in [(0, "c1"), (1, "c2")] {
        for to in ["198.51.100.2", "10.4.0.1", "2001:db8::2"] {
            // The machine outside is as young as the host: its link answers a second after it is made.
            eventually(&format!("{name} reaches {to}"), || cluster.pings(i, name, to));
        }
    }
    let out = &cluster.hosts[0].outside;
    assert!(out.tcp("198.51.100.1:8080", "").unwrap().contains("hello"));
    // A host reaches its own containers, and no others: its gateway is on every host.
    let four = cluster.hosts[0].address("c1", "mesh");
    cluster.hosts[0].netns.run(&format!("ping -c 1 -W 1 {four}"));
    cluster.hosts[0].netns.run("ip neigh flush all");
    let six = cluster.hosts[0].inspect("c1", "/NetworkSettings/Networks/mesh/GlobalIPv6Address");
    cluster.hosts[0].netns.run(&format!("ping -c 1 -W 1 {}", six.as_str().unwrap()));
    assert!(!cluster.hosts[1].netns.try_run(&format!("ping -c 1 -W 1 {four}")).status.success());
    eventually("containers do", || cluster.pings(1, "c2", &four));
}

#[test]
fn one_host_needs_no_store() {
    let host = Host::new();
    let before = host.snapshot();
    host.ok(&["network", "create", "-d", "overlay", "--subnet", "10.4.0.0/24", "mesh"]);
    host.ok(&["run", "-d", "--name", "c1", "--network", "mesh", "-p", "8080:80", "alpine", "sleep", "1000"]);
    host.sh(&["--network", "mesh"], "ping -c 1 -W 1 c1 && ping -c 1 -W 1 10.4.0.1");
    let said = host.refused(&["node", "ls"]);
    assert!(said.contains("hint: ") && said.contains("[cluster] store"), "{said}");
    host.remove_containers();
    host.ok(&["network", "rm", "mesh"]);
    before.assert_restored(&host);
}

/// What encryption does is tried in the lab (tests/vm/scenarios/encrypted): this kernel may have no WireGuard, and then
/// says so.
#[test]
fn an_encrypted_network_needs_a_kernel_with_wireguard() {
    let cluster = Cluster::new(1, false);
    let alone = Host::new();
    for host in [&cluster.hosts[0], &alone] {
        let before = host.snapshot();
        let has = host.netns.try_run("ip link add probe type wireguard").status.success();
        let create = ["network", "create", "-d", "overlay", "-o", "encrypted", "--subnet", "10.4.0.0/24", "mesh"];
        if has {
            host.netns.ip("link del probe");
            host.ok(&create);
            assert!(host.ok(&["network", "inspect", "mesh"]).contains("\"encrypted\": true"));
            host.ok(&["network", "rm", "mesh"]);
        } else {
            let said = host.refused(&create);
            assert!(said.contains("cannot create network `mesh`") && said.contains("CONFIG_WIREGUARD"), "{said}");
            assert!(said.contains("hint: ") && said.contains("-o encrypted"), "{said}");
            assert!(!host.ok(&["network", "ls"]).contains("mesh"));
        }
        let port = ["network", "create", "-d", "overlay", "-o", "encrypted", "-o", "vxlan_port=51891", "mesh"];
        assert!(host.refused(&port).contains(if has { "wireguard_port" } else { "CONFIG_WIREGUARD" }));
        before.assert_restored(host);
    }
    assert_eq!(cluster.etcd_count("/rcr/v1/network/"), 0);
    // A host without encrypted networks may change its key all the same: the next one finds it.
    assert_eq!(cluster.hosts[0].ok(&["node", "rekey"]), "1");
    assert_eq!(cluster.hosts[0].ok(&["node", "rekey"]), "2");
    let listed = cluster.hosts[0].ok(&["node", "ls", "--format", "json"]);
    assert!(listed.contains("\"Keys\":[]"), "{listed}");
    assert!(alone.refused(&["node", "rekey"]).contains("this host is in no cluster"));
}

#[test]
fn ipv6_underneath() {
    let cluster = pair(true);
    eventually("by name", || cluster.pings(1, "c2", "c1"));
    let mtu = cluster.hosts[0].ok(&["exec", "c1", "cat", "/sys/class/net/eth0/mtu"]);
    assert_eq!(mtu, "1430");
    cluster.hosts[0].ok(&["exec", "c1", "ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1402", "-4", "c2"]);
    // A route's MTU, and one that a router announces, which is none of the link's.
    let host = &cluster.hosts[0];
    host.netns.ip("-6 route add 2001:db8:2::12/128 dev lan0 mtu 1400");
    eventually("the route's MTU", || mtus(host, "c1") == all(1330));
    host.netns.ip("-6 route del 2001:db8:2::12/128 dev lan0");
    eventually("the link's", || mtus(host, "c1") == all(1430));
    host.netns.run("sysctl -qw net.ipv6.conf.lan0.mtu=1380");
    host.netns.ip("-6 route add 2001:db8:2::99/128 dev lan0");
    eventually("the announced one", || mtus(host, "c1") == all(1310));
}

/// The same MTU on all of these.
fn all(mtu: u32) -> Vec<String> {
    vec![mtu.to_string(); 3]
}

/// MTUs of a container on a network, of the network's bridge and of its tunnel.
fn mtus(host: &Host, container: &str) -> Vec<String> {
    let inside = host.ok(&["exec", container, "cat", "/sys/class/net/eth0/mtu"]);
    let of = |kind: &str| {
        let shown = host.netns.ip(&format!("-o link show type {kind}"));
        shown.lines().find(|l| l.contains("br-") || l.contains("vx-")).unwrap_or_default().to_owned()
    };
    let mtu = |line: String| line.split(" mtu ").nth(1).unwrap_or_default().split(' ').next().unwrap().to_owned();
    vec![inside, mtu(of("bridge")), mtu(of("vxlan"))]
}

#[test]
fn the_mtu_follows_the_routes_between_the_hosts() {
    let cluster = pair(false);
    let [host, other] = [&cluster.hosts[0], &cluster.hosts[1]];
    let full = |mtu: u32| {
        let size = (mtu - 28).to_string();
        host.rcr(&["exec", "c1", "ping", "-c", "1", "-W", "1", "-M", "do", "-s", &size, "-4", "c2"]).code == 0
    };
    assert_eq!(mtus(host, "c1"), all(1450));
    // A route that says so: for those that run, and for those that come.
    host.netns.ip("route add 192.0.2.12/32 dev lan0 mtu 1400");
    eventually("the route's MTU", || mtus(host, "c1") == all(1350));
    assert_eq!(host.sh(&["--network", "mesh"], "cat /sys/class/net/eth0/mtu"), "1350");
    assert_eq!(mtus(other, "c2"), all(1450), "the other host's way is another one");
    host.netns.ip("route del 192.0.2.12/32 dev lan0");
    eventually("as before", || mtus(host, "c1") == all(1450));
    // A wire that takes more.
    for port in ["br0", "h0", "h1"] {
        cluster.segment.ip(&format!("link set {port} mtu 9000"));
    }
    for (host, name) in [(host, "c1"), (other, "c2")] {
        host.netns.ip("link set lan0 mtu 9000");
        eventually("the wire's", || mtus(host, name) == all(8950));
    }
    eventually("a full packet passes", || full(8950));
    // netd was not there when it changed.
    host.kill_netd();
    host.netns.ip("link set lan0 mtu 1300");
    host.ok(&["network", "ls"]);
    eventually("made up for", || mtus(host, "c1") == all(1280));
    host.netns.ip("link set lan0 mtu 1400");
    eventually("followed", || mtus(host, "c1") == all(1350));
    assert!(full(1350));
    // One that was asked for stays.
    host.ok(&["network", "create", "-d", "overlay", "-o", "mtu=1300", "fixed"]);
    host.ok(&["rm", "-f", "c1"]);
    cluster.sleeper(0, "c3", &["--network", "fixed"]);
    host.netns.ip("link set lan0 mtu 1500");
    eventually("the wire's again", || host.sh(&["--network", "mesh"], "cat /sys/class/net/eth0/mtu") == "1450");
    assert_eq!(host.ok(&["exec", "c3", "cat", "/sys/class/net/eth0/mtu"]), "1300");
    assert!(log(host).contains("network `mesh` has the MTU 1350 now, not 1280"), "{}", log(host));
}

#[test]
fn a_network_of_the_cluster_is_changed_on_every_host() {
    let cluster = pair(false);
    let [one, two] = [&cluster.hosts[0], &cluster.hosts[1]];
    let plan = one.ok(&["network", "update", "--dry-run", "-o", "mtu=1400", "mesh"]);
    assert!(plan.contains("mtu 1450 -> 1400") && plan.contains("update c1 on mesh"), "{plan}");
    assert_eq!(mtus(one, "c1"), all(1450), "a dry run changes nothing");
    one.ok(&["network", "update", "-o", "mtu=1400", "--label-add", "tier=back", "--dns", "198.51.100.2", "mesh"]);
    assert_eq!(mtus(one, "c1"), all(1400));
    eventually("the other host follows", || mtus(two, "c2") == all(1400));
    assert_eq!(two.inspect("mesh", "/Labels/tier"), "back");
    // Another subnet, from the other host: its gateway is on both, and a container of either is reached by the other.
    two.ok(&["network", "update", "--subnet", "10.7.0.0/24", "mesh"]);
    eventually("it is on both", || one.netns.ip("addr show type bridge").contains("10.7.0.1/24"));
    for (i, name, address) in [(0, "d1", "10.7.0.11"), (1, "d2", "10.7.0.12")] {
        cluster.sleeper(i, name, &["--network", "mesh", "--ip", address]);
    }
    eventually("both ways", || cluster.pings(0, "d1", "d2") && cluster.pings(1, "d2", "c1"));
    // One that is a route of the other host's own: that one keeps the network as it was, says so, and tries again.
    one.netns.ip("route add 10.9.0.0/25 dev up0");
    two.ok(&["network", "update", "--subnet", "10.9.0.0/24", "mesh"]);
    eventually("it is told", || log(one).contains("overlaps the host's route to `10.9.0.0/25` (`up0`)"));
    assert!(two.netns.ip("addr show type bridge").contains("10.9.0.1/24"));
    one.netns.ip("route del 10.9.0.0/25 dev up0");
    two.ok(&["network", "update", "--label-add", "again=1", "mesh"]);
    eventually("it is tried again", || one.netns.ip("addr show type bridge").contains("10.9.0.1/24"));
    // What can't be is refused, and changes nothing.
    one.ok(&["network", "create", "-d", "overlay", "--subnet", "10.8.0.0/24", "four"]);
    eventually("it is there", || two.ok(&["network", "ls"]).contains("four"));
    let said = two.refused(&["network", "update", "--subnet", "10.8.0.0/16", "mesh"]);
    assert!(said.contains("overlaps network `four`"), "{said}");
    let said = two.refused(&["network", "update", "--subnet", "fd08::/64", "four"]);
    assert!(said.contains("new family") && said.contains("hint: "), "{said}");
    // Both hosts at once: neither change is lost.
    for round in 0..5 {
        std::thread::scope(|scope| {
            for host in [one, two] {
                let label = format!("from{}=x{round}", if std::ptr::eq(host, one) { 1 } else { 2 });
                scope.spawn(move || host.ok(&["network", "update", "--label-add", &label, "mesh"]));
            }
        });
        for host in [one, two] {
            eventually("both labels are on both hosts", || {
                [1, 2].iter().all(|n| host.inspect("mesh", &format!("/Labels/from{n}")) == format!("x{round}"))
            });
        }
    }
    // A store that has the network as it was, as a backup would, gets it back; a record that is another network's
    // changes nothing.
    let network = one.ok(&["network", "ls", "-q", "--no-trunc", "--filter", "name=mesh"]);
    let key = format!("/rcr/v1/network/{network}");
    let record = || cluster.etcdctl(&["get", "--print-value-only", &key]).trim().to_owned();
    let now: serde_json::Value = serde_json::from_str(&record()).unwrap();
    let mut old = now.clone();
    (old["version"], old["labels"]) = (1.into(), serde_json::json!({}));
    cluster.put(&key, &old.to_string());
    eventually("the newer one is written again", || {
        serde_json::from_str::<serde_json::Value>(&record()).unwrap() == now
    });
    let mut strange = now.clone();
    (strange["version"], strange["internal"]) = (1000.into(), true.into());
    cluster.put(&key, &strange.to_string());
    eventually("it is told", || log(two).contains("more of it is another than can be changed"));
    assert!(cluster.pings(0, "d1", "d2"));
    assert_eq!(two.inspect("mesh", "/Internal"), false);
    cluster.put(&key, &now.to_string());
    // netd was killed between the store's word and its own: it is made up for.
    two.kill_netd();
    one.ok(&["network", "update", "-o", "mtu=1380", "mesh"]);
    two.ok(&["network", "ls"]);
    eventually("made up for", || mtus(two, "c2") == all(1380));
}

#[test]
fn segments_that_leave_fit_the_way_out() {
    let cluster = Cluster::new(1, false);
    let host = &cluster.hosts[0];
    host.netns.ip("link set lan0 mtu 9000");
    mesh(&cluster);
    let serve = "while :; do echo hello | nc -l -p 80 > /dev/null; done";
    host.ok(&["run", "-d", "--name", "c1", "--network", "mesh", "-p", "8080:80", "alpine", "sh", "-c", serve]);
    assert_eq!(host.ok(&["exec", "c1", "cat", "/sys/class/net/eth0/mtu"]), "8950");
    // The container names 8910 bytes (IPv4) and 8890 (IPv6); the way out takes 1460 and 1440.
    let out = &host.outside;
    out.run("nft add table inet seen");
    out.run("nft add chain inet seen in { type filter hook prerouting priority 0 ; }");
    for rule in ["> 1460", "1460", "1440"] {
        out.run(&format!(
            "nft add rule inet seen in iif world tcp flags & syn == syn tcp option maxseg size {rule} counter"
        ));
    }
    let ask = |to: &str| drop(host.rcr(&["exec", "c1", "nc", "-w", "1", to, "7"]));
    eventually("a SYN of either family, and the answer to one", || {
        ask("198.51.100.2");
        ask("2001:db8::2");
        let _ = out.tcp("198.51.100.1:8080", "");
        let seen = out.run("nft list chain inet seen in");
        let count = |size: &str| {
            let line = seen.lines().find(|line| line.contains(&format!("maxseg size {size} "))).unwrap();
            line.split("packets ").nth(1).unwrap().split(' ').next().unwrap().parse::<u32>().unwrap()
        };
        assert_eq!(count("> 1460"), 0, "{seen}");
        count("1460") >= 2 && count("1440") >= 1
    });
}

#[test]
fn a_tunnel_that_cannot_be_is_said_by_name_and_leaves_nothing() {
    let cluster = Cluster::new(2, false);
    let host = &cluster.hosts[1];
    cluster.hosts[0].ok(&["network", "create", "-d", "overlay", "--subnet", "10.4.0.0/24", "-o", "vni=4242", "mesh"]);
    eventually("the network is there", || host.ok(&["network", "ls"]).contains("mesh"));
    let gone = || host.netns.ip("-o link show type bridge").is_empty();
    let before = host.snapshot();
    let run = ["run", "--rm", "--network", "mesh", "alpine", "true"];
    // A number that another tunnel of the host has; a port that one of another kind has; a port that is no tunnel's at
    // all.
    for (link, why) in [
        ("link add x0 type vxlan id 4242 dstport 4789 local 192.0.2.12", "VNI 4242"),
        ("link add x0 type vxlan external dstport 4789", "4789"),
    ] {
        host.netns.ip(link);
        host.netns.ip("link set x0 up");
        let said = host.refused(&run);
        assert!(said.contains(why) && said.contains("hint: ") && said.contains("`x0`"), "{said}");
        host.netns.ip("link del x0");
        before.assert_restored(host);
        host.ok(&run);
        eventually("its objects have gone", gone);
    }
    // The subnet is free where it was chosen, and a route of this host's own.
    host.netns.ip("route add 10.4.0.128/25 dev up0");
    let said = host.refused(&run);
    assert!(said.contains("overlaps the host's route to `10.4.0.128/25` (`up0`)") && said.contains("hint: "), "{said}");
    host.netns.ip("route del 10.4.0.128/25 dev up0");
    before.assert_restored(host);
    let port = host.netns.inside(|| std::net::UdpSocket::bind("0.0.0.0:4789").unwrap());
    let said = host.refused(&run);
    assert!(said.contains("4789") && said.contains("hint: "), "{said}");
    drop(port);
    before.assert_restored(host);
    host.ok(&run);
}

#[test]
fn one_name_on_two_hosts_answers_with_both() {
    let cluster = Cluster::new(2, false);
    mesh(&cluster);
    cluster.sleeper(0, "web", &["--network", "mesh"]);
    cluster.sleeper(1, "web", &["--network", "mesh"]);
    cluster.sleeper(0, "c", &["--network", "mesh"]);
    let both = [cluster.hosts[0].address("web", "mesh"), cluster.hosts[1].address("web", "mesh")];
    eventually("both answer", || {
        let said = cluster.hosts[0].ok(&["exec", "c", "nslookup", "web"]);
        both.iter().all(|address| said.contains(address))
    });
}

#[test]
fn nothing_is_handed_out_twice() {
    let cluster = Cluster::new(3, false);
    cluster.hosts[0].ok(&["network", "create", "-d", "overlay", "--subnet", "10.4.0.0/26", "small"]);
    for host in &cluster.hosts {
        eventually("the network is there", || host.ok(&["network", "ls"]).contains("small"));
    }
    // 60 addresses for containers (64, less two edges, the gateway, and one that is asked for): three hosts race for
    // them.
    let all: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3)
            .map(|i| {
                let host = &cluster.hosts[i];
                scope.spawn(move || {
                    let one = |n: usize| {
                        let name = format!("c{i}-{n}");
                        host.ok(&["run", "-d", "--name", &name, "--network", "small", "alpine", "sleep", "1000"]);
                        host.address(&name, "small")
                    };
                    (0..12).map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(all.len(), 36);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 36, "{all:?}");
    // Networks, too: of two that overlap, or want one VNI or one name, one comes to be.
    let create = |host: &Host, subnet: &str, vni: &str, name: &str| {
        host.rcr(&["network", "create", "-d", "overlay", "--subnet", subnet, "-o", vni, name]).code
    };
    for (a, b) in [
        (("10.9.0.0/24", "vni=5000", "one"), ("10.9.0.0/16", "vni=5001", "two")),
        (("10.10.0.0/24", "vni=6000", "three"), ("10.11.0.0/24", "vni=6000", "four")),
        (("10.12.0.0/24", "vni=7000", "five"), ("10.13.0.0/24", "vni=7001", "five")),
    ] {
        let codes = std::thread::scope(|scope| {
            let first = scope.spawn(|| create(&cluster.hosts[0], a.0, a.1, a.2));
            let second = scope.spawn(|| create(&cluster.hosts[1], b.0, b.1, b.2));
            [first.join().unwrap(), second.join().unwrap()]
        });
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{a:?} {b:?}: {codes:?}");
    }
}

#[test]
fn without_its_store_everything_goes_on_but_new_containers() {
    let mut cluster = pair(false);
    eventually("by name", || cluster.pings(1, "c2", "c1"));
    for how in ["stopped", "silent"] {
        match how {
            "stopped" => cluster.stop_store(),
            _ => cluster.signal_store(Signal::SIGSTOP),
        }
        assert!(cluster.pings(1, "c2", "c1"), "{how}");
        cluster.hosts[0].ok(&["run", "--rm", "alpine", "true"]);
        let since = Instant::now();
        let refused = cluster.hosts[0].refused(&["run", "--rm", "--network", "mesh", "alpine", "true"]);
        assert!(since.elapsed().as_secs() < 6, "{how}: {:?}", since.elapsed());
        assert!(refused.contains("192.0.2.2:2379"), "{refused}");
        // A restart of netd changes nothing: it knows its networks and its containers.
        cluster.hosts[1].kill_netd();
        assert!(cluster.pings(1, "c2", &cluster.hosts[0].address("c1", "mesh")), "{how}");
        cluster.hosts[1].ok(&["network", "ls"]);
        // What happens meanwhile is made up for.
        cluster.hosts[0].ok(&["rename", "c1", how]);
        match how {
            "stopped" => cluster.start_store(),
            _ => cluster.signal_store(Signal::SIGCONT),
        }
        eventually("what happened meanwhile is seen", || cluster.pings(1, "c2", how));
        eventually("new containers", || {
            cluster.hosts[0].rcr(&["run", "--rm", "--network", "mesh", "alpine", "true"]).code == 0
        });
        cluster.hosts[0].ok(&["rename", how, "c1"]);
        eventually("its own name", || cluster.pings(1, "c2", "c1"));
    }
}

#[test]
fn a_restored_backup_and_compaction_heal() {
    let mut cluster = Cluster::new(2, false);
    // A backup of before everything.
    cluster.hosts.iter().for_each(|host| drop(host.ok(&["node", "ls"])));
    eventually("both are there", || cluster.hosts[0].ok(&["node", "ls", "-q"]).lines().count() == 2);
    cluster.stop_store();
    let (data, backup) = (cluster.store_data(), cluster.store_data().with_extension("backup"));
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        assert!(std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    };
    copy(&data, &backup);
    cluster.start_store();
    mesh(&cluster);
    cluster.sleeper(0, "c1", &["--network", "mesh"]);
    cluster.sleeper(1, "c2", &["--network", "mesh"]);
    eventually("by name", || cluster.pings(1, "c2", "c1"));
    cluster.stop_store();
    std::fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);
    cluster.start_store();
    // Nothing that runs is torn down; network, addresses and names are written again.
    eventually("the network is back in the store", || cluster.etcd_count("/rcr/v1/network/") > 0);
    eventually("so are the containers", || cluster.etcd_count("/rcr/v1/endpoint/") == 2);
    eventually("and their addresses", || cluster.etcd_count("/rcr/v1/address/") == 4);
    assert!(cluster.pings(1, "c2", "c1") && cluster.pings(0, "c1", "c2"));
    // Compacted while one was not listening: it reads everything again.
    let pid = cluster.hosts[1].netd_pid().unwrap();
    let signal = |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
    signal(Signal::SIGSTOP);
    let renamed = cluster.hosts[0].rcr(&["rename", "c1", "other"]);
    let compacted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cluster.compact()));
    signal(Signal::SIGCONT);
    assert_eq!((renamed.code, compacted.is_ok()), (0, true), "{}", renamed.stderr);
    eventually("the new name", || cluster.pings(1, "c2", "other"));
}

#[test]
fn hostile_records_change_nothing() {
    let cluster = Cluster::new(2, false);
    mesh(&cluster);
    cluster.sleeper(0, "c1", &["--network", "mesh"]);
    let network = cluster.hosts[0].ok(&["network", "ls", "-q", "--no-trunc", "--filter", "name=mesh"]);
    let (node, container) = ("e".repeat(32), "d".repeat(64));
    for (key, value) in [
        (format!("/rcr/v1/endpoint/{network}/{node}/{container}"), "{\"name\":"),
        (
            format!("/rcr/v1/endpoint/{network}/{node}/{container}"),
            "{\"name\":\"x\",\"addresses\":[\"10.4.0.9\"],\"mac\":\"ff:ff:ff:ff:ff:ff\"}",
        ),
        (format!("/rcr/v1/node/{node}"), "[]"),
        (
            format!("/rcr/v1/node/{node}"),
            "{\"name\":\"x\",\"address\":\"192.0.2.77\",\"since\":1,\"keys\":[{\"generation\":1,\"public\":\"AAAA\",\"port\":0,\"made\":1}]}",
        ),
        (format!("/rcr/v1/network/{}", "c".repeat(64)), "{}"),
        ("/rcr/v1/../../x".to_owned(), "x"),
        (format!("/rcr/v1/address/{network}/not-one"), "x"),
    ] {
        cluster.put(&key, value);
    }
    cluster.sleeper(1, "c2", &["--network", "mesh"]);
    eventually("by name", || cluster.pings(1, "c2", "c1"));
    assert!(log(&cluster.hosts[1]).contains("is not understood"));
    // A store of a later version is refused by name; what runs goes on.
    cluster.put("/rcr/v1/schema", "99");
    eventually("it is refused", || {
        let said = cluster.hosts[0].rcr(&["run", "--rm", "--network", "mesh", "alpine", "true"]);
        said.code == 125 && said.stderr.contains("schema 99")
    });
    assert!(cluster.pings(1, "c2", "c1"));
}

#[test]
fn hosts_are_listed_told_apart_and_forgotten() {
    let mut cluster = Cluster::new(3, false);
    mesh(&cluster);
    cluster.sleeper(2, "c3", &["--network", "mesh"]);
    cluster.sleeper(0, "c1", &["--network", "mesh"]);
    eventually("three are ready", || {
        cluster.hosts[0].ok(&["node", "ls"]).lines().filter(|line| line.contains(" ready ")).count() == 3
    });
    let live = cluster.hosts[0].rcr(&["node", "rm", "node3"]).expect_code(1).stderr;
    assert!(live.contains("--force"), "{live}");
    let nobody = cluster.hosts[0].rcr(&["node", "rm", "nobody"]).expect_code(1).stderr;
    assert!(nobody.contains("no such host"), "{nobody}");
    // A host that gets another address gives its old one back.
    cluster.hosts[1].kill_netd();
    let text = |name: &str, address: &str| {
        format!("[cluster]\nstore = \"etcd://192.0.2.2:2379\"\nnode_name = \"{name}\"\nnode_address = \"{address}\"\n")
    };
    cluster.hosts[1].configure(&text("node2", "2001:db8:2::12"));
    cluster.hosts[1].ok(&["network", "ls"]);
    eventually("the new address", || cluster.etcd_count("/rcr/v1/nodeaddress/2001:db8:2::12") == 1);
    eventually("the old one is free", || cluster.etcd_count("/rcr/v1/nodeaddress/192.0.2.12") == 0);
    // A second host with the name of another is told so, and is kept out.
    cluster.hosts[1].kill_netd();
    cluster.hosts[1].configure(&text("node1", "192.0.2.12"));
    let two = cluster.hosts[1].refused(&["run", "--rm", "--network", "mesh", "alpine", "true"]);
    assert!(two.contains("has the name `node1`") && two.contains("node_name"), "{two}");
    // The same goes for its address.
    cluster.hosts[1].kill_netd();
    cluster.hosts[1].configure(&text("node2", "192.0.2.11"));
    let two = cluster.hosts[1].refused(&["run", "--rm", "--network", "mesh", "alpine", "true"]);
    assert!(two.contains("has the address `192.0.2.11`") && two.contains("node_address"), "{two}");
    assert!(cluster.pings(0, "c1", "c3"), "the first one goes on");
    // One that is gone for good is forgotten with what it had.
    eventually("c3 is known", || cluster.pings(0, "c1", "c3"));
    cluster.hosts[2].kill_netd();
    cluster.hosts[0].ok(&["node", "rm", "--force", "node3"]);
    eventually("its names are gone", || !cluster.pings(0, "c1", "c3"));
    assert_eq!(cluster.hosts[0].ok(&["node", "ls", "-q"]).lines().count(), 2);
}

#[test]
fn entries_of_a_host_go_only_when_it_is_silent_on_the_data_path_too() {
    let mut cluster = Cluster::new(2, false);
    let text = "[cluster]\nstore = \"etcd://192.0.2.2:2379\"\nnode_name = \"node1\"\nnode_address = \"192.0.2.11\"\nsilence = 5\n";
    cluster.hosts[0].configure(text);
    mesh(&cluster);
    cluster.sleeper(0, "c1", &["--network", "mesh"]);
    cluster.sleeper(1, "c2", &["--network", "mesh"]);
    let address = cluster.hosts[1].address("c2", "mesh");
    eventually("they talk", || cluster.pings(0, "c1", &address));
    let entries = || cluster.hosts[0].netns.run("bridge fdb show").matches("dst 192.0.2.12").count();
    let before = entries();
    // Its netd says nothing any more, and its lease is ended by hand, as it would be after a minute. It still answers
    // pings.
    let pid = nix::unistd::Pid::from_raw(cluster.hosts[1].netd_pid().unwrap());
    let listed = cluster.hosts[0].ok(&["node", "ls", "--format", "json"]);
    let mut nodes = listed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let id = nodes.find(|node| node["Name"] == "node2").unwrap()["ID"].as_str().unwrap().to_owned();
    nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
    cluster.etcdctl(&["del", &format!("/rcr/v1/alive/{id}")]);
    eventually("it is down", || cluster.hosts[0].ok(&["node", "ls"]).contains(" down "));
    std::thread::sleep(std::time::Duration::from_secs(9));
    assert_eq!(entries(), before, "it answers: its entries stay");
    assert!(cluster.pings(0, "c1", &address));
    // Now it is silent altogether.
    cluster.hosts[1].netns.ip("link set lan0 down");
    eventually("its entries go", || entries() == 0);
    // It is plugged in again: the entries are back before its netd is.
    cluster.hosts[1].netns.ip("link set lan0 up");
    eventually("its entries are back", || entries() == before);
    nix::sys::signal::kill(pid, Signal::SIGCONT).unwrap();
    eventually("it is there again, and they talk", || {
        cluster.hosts[0].ok(&["node", "ls"]).matches(" ready ").count() == 2 && cluster.pings(0, "c1", "c2")
    });
}

#[test]
fn frames_of_strangers_are_dropped() {
    let cluster = Cluster::new(2, false);
    mesh(&cluster);
    cluster.sleeper(0, "c1", &["--network", "mesh"]);
    let host = &cluster.hosts[0].netns;
    let rules = host.run("nft list set inet rcr vteps4");
    assert!(rules.contains("192.0.2.11") && rules.contains("192.0.2.12") && !rules.contains("192.0.2.2 "), "{rules}");
    // A stranger on the segment makes a tunnel of the same VNI to the host, and gets no answer.
    let vni = host.run("ip -d link show type vxlan");
    let vni = vni.split("vxlan id ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let (four, mac) = (
        cluster.hosts[0].address("c1", "mesh"),
        cluster.hosts[0].inspect("c1", "/NetworkSettings/Networks/mesh/MacAddress"),
    );
    let stranger = &cluster.store;
    stranger.ip(&format!("link add x0 type vxlan id {vni} local 192.0.2.2 remote 192.0.2.11 dstport 4789"));
    stranger.ip("addr add 10.4.255.9/16 dev x0");
    stranger.ip("link set x0 up");
    stranger.ip(&format!("neigh add {four} lladdr {} dev x0", mac.as_str().unwrap()));
    stranger.try_run(&format!("ping -c 2 -W 1 {four}"));
    let inside = cluster.hosts[0].ok(&["exec", "c1", "cat", "/proc/net/snmp"]);
    let echoes =
        inside.lines().filter(|l| l.starts_with("Icmp:")).nth(1).unwrap().split_whitespace().nth(8).unwrap().to_owned();
    assert_eq!(echoes, "0", "{inside}");
}

/// The ops that only a cluster has (the others are in netd's own sweep), each failing and each crashed at, before and
/// after its effect.
#[test]
fn a_crash_at_any_op_of_the_tunnel_leaves_nothing() {
    let cluster = Cluster::new(2, false);
    mesh(&cluster);
    cluster.sleeper(0, "c1", &["--network", "mesh"]);
    let host = &cluster.hosts[1];
    let reach = ["run", "--rm", "--network", "mesh", "alpine", "ping", "-c", "1", "-W", "1", "c1"];
    eventually("the network is here", || host.rcr(&["network", "inspect", "mesh"]).code == 0);
    let before = host.snapshot();
    let starts = || log(host).matches(" ready, pid ").count();
    for op in ["vxlan", "forward", "flood", "neighbour"] {
        for when in ["abort", "abort:after", "error", "error:after"] {
            let failpoint = format!("{op}:{when}");
            host.kill_netd();
            let first = starts();
            let mut command = host.command(&reach);
            let output = command.env("NETD_FAILPOINT", &failpoint).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            eventually(&format!("{failpoint} is reached ({said})"), || {
                bury();
                match when.starts_with("abort") {
                    true => starts() > first + 1 || host.netd_pid().is_none(),
                    false => said.contains("stopped by a failpoint") || log(host).contains("stopped by a failpoint"),
                }
            });
            if host.netd_pid().is_some() {
                host.kill_netd();
            }
            eventually(&format!("all is well after {failpoint}"), || host.rcr(&reach).code == 0);
            host.remove_containers();
            before.assert_restored(host);
        }
    }
}
