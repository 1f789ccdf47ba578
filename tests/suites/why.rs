//! `network why`: each way that something can be broken is made on purpose, and the answer names it; its working twin
//! gets a yes. What this kernel can't do is in `netd_core::why` and in the lab.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use tests::cluster::Cluster;
use tests::host::sleeper;
use tests::why::{ask, broken, listens, pair, reaches, repair, resolver, shell};
use tests::{Host, eventually};

/// The host's end of a container's link.
fn port_of(host: &Host, container: &str) -> String {
    let view: Value = serde_json::from_str(&host.ok(&["network", "show", "--format", "json", "blue"])).unwrap();
    let all = view["endpoints"].as_array().unwrap();
    let one = all.iter().find(|e| e["attachment"]["container_name"] == container).expect(container);
    one["outside"]["name"].as_str().unwrap().to_owned()
}

fn bridge_of(host: &Host, network: &str) -> String {
    let info: Value = serde_json::from_str(&host.ok(&["network", "inspect", network])).unwrap();
    format!("br-{}", &info[0]["Id"].as_str().unwrap()[..12])
}

#[test]
fn what_stands_is_said_to_stand_and_nothing_is_left_behind() {
    let host = pair(&[]);
    let web = listens(&host.container_netns("c2"), "0.0.0.0:80");
    reaches(&host, "c1", "c2");
    let before = host.snapshot();
    for to in ["c2", "c2:80", "10.9.0.12", "10.9.0.12:80", "host", "outside", "198.51.100.2"] {
        let answer = reaches(&host, "c1", to);
        assert!(answer["unseen"].as_array().unwrap().is_empty(), "{answer:#}");
    }
    reaches(&host, "host", "c2:80");
    reaches(&host, "host", "outside");
    reaches(&host, "c1", "c1");
    reaches(&host, "c1", "127.0.0.1");
    broken(&host, "c1", "127.0.0.1:80", "not_listening", &[]);
    host.ok(&["run", "-d", "--name", "joined", "--network", "container:c2", "alpine", "sleep", "1000"]);
    assert_eq!(reaches(&host, "c1", "joined:80")["to"], "c2");
    host.ok(&["rm", "-f", "joined"]);
    let text = host.ok(&["network", "why", "c1", "c2:80"]);
    assert!(text.starts_with("c1 → c2, TCP port 80: yes\n") && text.contains("✓ c1"), "{text}");
    let text = host.rcr(&["network", "why", "c1", "c2:81"]).expect_code(1).stdout;
    assert!(text.contains("✗ c2") && text.contains("nobody listens on TCP port 81"), "{text}");
    before.assert_restored(&host);
    drop(web);
    assert!(host.refused(&["network", "why", "no-such", "c1"]).contains("no running container"));
    host.refused(&["network", "why", "c1", "c2/udp"]);
}

#[test]
fn names_and_networks() {
    let host = pair(&[]);
    host.ok(&["network", "create", "green"]);
    sleeper(&host, "g1", &["--network", "green", "--network-alias", "db"]);
    let hop = broken(&host, "c1", "g1", "not_on_one_network", &["`blue`", "`green`"]);
    broken(&host, "c1", "db", "name_of_another_network", &["`green`", "`g1`"]);
    broken(&host, "c1", "no-such-name", "no_such_name", &["no-such-name"]);
    let to = host.address("g1", "green");
    broken(&host, "c1", &to, "networks_closed", &["closed"]);
    repair(&host, &hop);
    reaches(&host, "c1", "g1");
    reaches(&host, "c1", "db");
    // What does not run, and why it can't.
    host.ok(&["stop", "-t", "0", "g1"]);
    let hop = broken(&host, "c1", "g1", "not_running", &["exited"]);
    repair(&host, &hop);
    reaches(&host, "c1", "g1");
    host.ok(&["network", "create", "--subnet", "10.8.0.0/30", "tiny"]);
    sleeper(&host, "t1", &["--network", "tiny"]);
    assert!(
        host.refused(&["run", "-d", "--name", "t2", "--network", "tiny", "alpine", "true"]).contains("10.8.0.0/30")
    );
    host.ok(&["create", "--name", "t3", "--network", "tiny", "alpine", "true"]);
    broken(&host, "t1", "t3", "network_full", &["10.8.0.0/30"]);
    sleeper(&host, "alone", &["--network", "none"]);
    broken(&host, "alone", "198.51.100.2", "no_network", &[]);
    broken(&host, "c1", "alone", "no_network", &["`alone`"]);
    assert!(host.refused(&["network", "why", "outside", "outside"]).contains("both ends"));
}

#[test]
fn settings_of_the_host() {
    let host = pair(&[]);
    reaches(&host, "c1", "outside");
    host.netns.run("sysctl -qw net.ipv4.ip_forward=0");
    broken(&host, "c1", "outside", "forwarding_off", &["net/ipv4/ip_forward"]);
    reaches(&host, "c1", "c2");
    host.netns.run("sysctl -qw net.ipv4.ip_forward=1");
    reaches(&host, "c1", "outside");
    // A route back that leads elsewhere, and a check that is strict about it.
    let bridge = bridge_of(&host, "blue");
    host.netns.run(&format!("sysctl -qw net.ipv4.conf.{bridge}.rp_filter=1"));
    reaches(&host, "c1", "outside");
    host.netns.ip("route add 10.9.0.11/32 dev up0");
    let last = broken(&host, "c1", "outside", "reverse_path_filter", &["`up0`", "rp_filter"]);
    assert!(last["what"].as_str().unwrap().contains("10.9.0.11"), "{last}");
    host.netns.ip("route del 10.9.0.11/32 dev up0");
    reaches(&host, "c1", "outside");
    // No route at all, and a router that is not there.
    broken(&host, "c1", "198.51.100.77", "neighbour_silent", &["198.51.100.77"]);
    host.netns.ip("route del default");
    broken(&host, "c1", "192.0.2.1", "no_route", &["192.0.2.1"]);
    broken(&host, "c1", "outside", "no_route", &[]);
}

#[test]
fn links_and_neighbours() {
    let host = pair(&[]);
    reaches(&host, "c1", "c2");
    let (c1, c2, bridge) = (host.container_netns("c1"), host.container_netns("c2"), bridge_of(&host, "blue"));
    c1.ip("neigh replace 10.9.0.12 lladdr 02:00:00:00:00:99 nud permanent dev eth0");
    let hop = broken(&host, "c1", "c2", "stale_neighbour", &["02:00:00:00:00:99"]);
    repair(&host, &hop);
    reaches(&host, "c1", "c2");
    c2.ip("link set eth0 down");
    let hop = broken(&host, "c1", "c2", "link_down", &["`eth0`"]);
    repair(&host, &hop);
    reaches(&host, "c1", "c2");
    c2.ip("addr del 10.9.0.12/24 dev eth0");
    let hop = broken(&host, "c1", "c2", "address_missing", &["10.9.0.12/24"]);
    repair(&host, &hop);
    reaches(&host, "c1", "c2");
    let port = port_of(&host, "c2");
    host.netns.ip(&format!("link set {port} nomaster"));
    let hop = broken(&host, "c1", "c2", "link_misplaced", &[&port, &bridge]);
    shell(&host, hop["repair"][1].as_str().unwrap());
    reaches(&host, "c1", "c2");
    host.netns.ip(&format!("link set {port} down"));
    let hop = broken(&host, "c1", "c2", "link_down", &[&port]);
    repair(&host, &hop);
    eventually("it is up", || ask(&host, "c1", "c2")["reach"] == "yes");
    host.netns.ip(&format!("link set {bridge} down"));
    let hop = broken(&host, "c1", "c2", "link_down", &[&bridge]);
    repair(&host, &hop);
    eventually("it is up", || ask(&host, "c1", "c2")["reach"] == "yes");
    c1.ip("route add 10.9.0.12/32 via 10.9.0.1");
    c1.ip("route add blackhole 10.9.0.13/32");
    broken(&host, "c1", "10.9.0.13", "no_route", &["10.9.0.13"]);
}

#[test]
fn packets_of_full_size() {
    let host = pair(&[]);
    let full = |answer: Value| answer["hops"].to_string().contains("packets of 1500 bytes come through");
    assert!(full(reaches(&host, "c1", "c2")));
    for port in [port_of(&host, "c1"), port_of(&host, "c2")] {
        host.netns.ip(&format!("link set {port} mtu 1300"));
        for (from, to) in [("c1", "c2"), ("c2", "c1")] {
            let hop = broken(&host, from, to, "mtu_hole", &[&port, "1300"]);
            assert!(hop["repair"][0].as_str().unwrap().contains("mtu 1500"), "{hop}");
        }
        host.netns.ip(&format!("link set {port} mtu 1500"));
        assert!(full(reaches(&host, "c1", "c2")));
    }
    // Somewhere outside, where nobody tells.
    host.outside.ip("link set world mtu 1300");
    broken(&host, "c1", "outside", "mtu_hole", &["1500"]);
    host.outside.ip("link set world mtu 1500");
    assert!(full(reaches(&host, "c1", "outside")));
}

#[test]
fn a_resolver_outside_that_does_not_answer() {
    let host = Host::new();
    sleeper(&host, "c1", &["--dns", "198.51.100.2"]);
    let hop = broken(&host, "c1", "example.org:80", "resolver_silent", &["198.51.100.2", "does not answer"]);
    assert!(hop["repair"][0].as_str().unwrap().contains("--dns"), "{hop}");
    resolver(&host, |_| true);
    let web = listens(&host.outside, "198.51.100.2:80");
    eventually("the name is answered", || ask(&host, "c1", "example.org:80")["reach"] == "yes");
    drop(web);
}

#[test]
fn macvlan_and_its_host() {
    let host = Host::new();
    host.ok(&[
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        "parent=up0",
        "--subnet",
        "198.51.100.0/24",
        "--ip-range",
        "198.51.100.128/25",
        "-o",
        "probe=false",
        "lan",
    ]);
    sleeper(&host, "m1", &["--network", "lan"]);
    sleeper(&host, "m2", &["--network", "lan"]);
    reaches(&host, "m1", "m2");
    reaches(&host, "m1", "198.51.100.2");
    broken(&host, "m1", "198.51.100.1", "parent_keeps_host_apart", &["host_access=true", "`lan`"]);
    broken(&host, "host", "m1", "parent_keeps_host_apart", &["host_access=true"]);
    host.netns.ip("link set up0 down");
    let hop = broken(&host, "m1", "m2", "parent_down", &["`up0`"]);
    repair(&host, &hop);
    eventually("it is up", || ask(&host, "m1", "m2")["reach"] == "yes");
}

#[test]
fn containers_of_another_host() {
    let mut cluster = Cluster::pair(false);
    let host = &cluster.hosts[0];
    eventually("both are there", || cluster.pings(0, "c1", "c2"));
    reaches(host, "c1", "c2");
    let tunnel = host.netns.run("ip -o link show type vxlan");
    let tunnel = tunnel.split(": ").nth(1).unwrap().to_owned();
    let mac = cluster.hosts[1].inspect("c2", "/NetworkSettings/Networks/mesh/MacAddress");
    let mac = mac.as_str().unwrap();
    // The wrong host.
    host.netns.run(&format!("bridge fdb replace {mac} dev {tunnel} dst 192.0.2.99 self"));
    let hop = broken(host, "c1", "c2", "wrong_vtep", &["192.0.2.99", "192.0.2.12"]);
    shell(host, hop["repair"][1].as_str().unwrap());
    reaches(host, "c1", "c2");
    // The tunnel's port, closed on the way.
    cluster.segment.run("nft add table bridge way");
    let hook = "add chain bridge way f { type filter hook forward priority 0; }";
    assert!(cluster.segment.command("nft").arg(hook).status().unwrap().success());
    assert!(
        cluster.segment.command("nft").arg("add rule bridge way f udp dport 4789 drop").status().unwrap().success()
    );
    broken(host, "c1", "c2", "tunnel_blocked", &["4789"]);
    cluster.segment.run("nft delete table bridge way");
    eventually("it is open", || ask(host, "c1", "c2")["reach"] == "yes");
    // A tunnel that is down, and a host that does not answer.
    host.netns.ip(&format!("link set {tunnel} down"));
    broken(host, "c1", "c2", "link_down", &[&tunnel]);
    host.netns.ip(&format!("link set {tunnel} up"));
    // The kernel has forgotten who is where: `check` knows.
    let ran = host.rcr(&["network", "check", "--repair"]);
    assert!(ran.stdout.contains("does not say that") && ran.stdout.contains("(repaired)"), "{ran:?}");
    eventually("it is up", || ask(host, "c1", "c2")["reach"] == "yes");
    cluster.segment.ip("link set h1 down");
    broken(host, "c1", "c2", "host_down", &["192.0.2.12"]);
    cluster.segment.ip("link set h1 up");
    eventually("it is back", || ask(host, "c1", "c2")["reach"] == "yes");
    // The store away: what was known last is enough.
    cluster.stop_store();
    eventually("it is reached without", || ask(&cluster.hosts[0], "c1", "c2")["reach"] == "yes");
}
