//! Overlay networks: hosts as network namespaces on one kernel, with a real etcd among them. The way of the packets.
#![allow(clippy::unwrap_used)]

use tests::cluster::Cluster;
use tests::{Host, eventually, host::bury};

#[test]
fn containers_on_two_hosts_find_and_reach_each_other() {
    let cluster = Cluster::new(2, false);
    let before: Vec<_> = cluster.hosts.iter().map(Host::snapshot).collect();
    cluster.mesh();
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
fn frames_are_heard_inside_and_outside_of_their_tunnel() {
    let cluster = Cluster::new(2, false);
    cluster.mesh();
    cluster.sleeper(0, "c1", &["--network", "mesh"]);
    cluster.sleeper(1, "c2", &["--network", "mesh"]);
    eventually("c1 reaches c2", || cluster.pings(0, "c1", "c2"));
    let listen = |flags: &[&str]| {
        let base = ["network", "capture", "--duration", "20s", "-c", "1", "mesh", "icmp and src host c1"];
        let mut child = cluster.hosts[0].spawn(&[&base[..6], flags, &base[6..]].concat());
        let mut said = String::new();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        std::io::BufRead::read_line(&mut stderr, &mut said).unwrap();
        assert!(said.starts_with("listening at "), "{said}");
        assert!(cluster.pings(0, "c1", "c2"));
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let inside = listen(&[]);
    assert!(inside.contains("  c1 → c2  ICMP"), "{inside}");
    let outside = listen(&["--tunnel"]);
    let (ends, payload) = outside.split_once("  VXLAN ").unwrap();
    assert!(ends.contains("  host:") && ends.ends_with(" → node2:4789"), "{outside}");
    assert!(payload.contains(": c1 → c2  ICMP"), "{outside}");
    cluster.hosts[0].ok(&["network", "create", "blue"]);
    let said = cluster.hosts[0].refused(&["network", "capture", "--tunnel", "blue"]);
    assert!(said.contains("it has no tunnel to other hosts"), "{said}");
    assert!(cluster.hosts[0].refused(&["network", "capture", "--tunnel", "c1"]).contains("name the network"));
}

#[test]
fn the_way_out_is_each_hosts_own() {
    let cluster = Cluster::new(2, false);
    cluster.mesh();
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
fn segments_that_leave_fit_the_way_out() {
    let cluster = Cluster::new(1, false);
    let host = &cluster.hosts[0];
    host.netns.ip("link set lan0 mtu 9000");
    cluster.mesh();
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
    cluster.mesh();
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
fn frames_of_strangers_are_dropped() {
    let cluster = Cluster::new(2, false);
    cluster.mesh();
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
    cluster.mesh();
    cluster.sleeper(0, "c1", &["--network", "mesh"]);
    let host = &cluster.hosts[1];
    // Longer than a neighbour is waited for: its first question may come before its host knows whose the packet is.
    let reach = ["run", "--rm", "--network", "mesh", "alpine", "ping", "-c", "1", "-W", "3", "c1"];
    eventually("the network is here", || host.rcr(&["network", "inspect", "mesh"]).code == 0);
    let before = host.snapshot();
    let starts = || host.netd_log().matches(" ready, pid ").count();
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
                    false => {
                        said.contains("stopped by a failpoint") || host.netd_log().contains("stopped by a failpoint")
                    }
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

#[test]
fn names_on_other_hosts_come_and_go_with_health() {
    let cluster = Cluster::new(2, false);
    cluster.mesh();
    let check =
        ["--dns-healthy-only", "--health-cmd", "cat /ok", "--health-interval", "200ms", "--health-retries", "1"];
    cluster.sleeper(0, "c1", &[&["--network", "mesh"][..], &check].concat());
    cluster.sleeper(0, "plain", &["--network", "mesh"]);
    cluster.sleeper(1, "c2", &["--network", "mesh"]);
    // What was published later is there: so is what came before it.
    eventually("the host's names are there", || cluster.pings(1, "c2", "plain"));
    assert!(!cluster.pings(1, "c2", "c1"));
    // The address is reached all the while: only the name is left out.
    let address = cluster.hosts[0].address("c1", "mesh");
    eventually("the address is reached", || cluster.pings(1, "c2", &address));
    cluster.hosts[0].ok(&["exec", "c1", "touch", "/ok"]);
    eventually("the name is there", || cluster.pings(1, "c2", "c1"));
    cluster.hosts[0].ok(&["exec", "c1", "rm", "/ok"]);
    eventually("the name is gone", || !cluster.pings(1, "c2", "c1"));
}
