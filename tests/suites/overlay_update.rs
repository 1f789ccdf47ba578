//! Overlay networks that change: MTUs that follow the hosts' routes, and `network update` on every host.
#![allow(clippy::unwrap_used)]

use tests::cluster::Cluster;
use tests::{Host, eventually};

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
fn ipv6_underneath() {
    let cluster = Cluster::pair(true);
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

#[test]
fn the_mtu_follows_the_routes_between_the_hosts() {
    let cluster = Cluster::pair(false);
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
    assert!(host.netd_log().contains("network `mesh` has the MTU 1350 now, not 1280"), "{}", host.netd_log());
}

#[test]
fn a_network_of_the_cluster_is_changed_on_every_host() {
    let cluster = Cluster::pair(false);
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
    eventually("it is told", || one.netd_log().contains("overlaps the host's route to `10.9.0.0/25` (`up0`)"));
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
}

#[test]
fn changes_by_two_hosts_and_old_records_lose_nothing() {
    let cluster = Cluster::pair(false);
    let [one, two] = [&cluster.hosts[0], &cluster.hosts[1]];
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
                let labels = host.inspect("mesh", "/Labels");
                [1, 2].iter().all(|n| labels[format!("from{n}")] == format!("x{round}"))
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
    eventually("it is told", || two.netd_log().contains("it differs in more than a network in use can change"));
    assert!(cluster.pings(0, "c1", "c2"));
    assert_eq!(two.inspect("mesh", "/Internal"), false);
    cluster.put(&key, &now.to_string());
    // netd was killed between the store's word and its own: it is made up for.
    two.kill_netd();
    one.ok(&["network", "update", "-o", "mtu=1380", "mesh"]);
    two.ok(&["network", "ls"]);
    eventually("made up for", || mtus(two, "c2") == all(1380));
}
