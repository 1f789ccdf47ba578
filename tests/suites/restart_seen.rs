//! A container that is restarted, or replaced by another with its address, is found at once: by neighbours, from
//! outside, by IPv6.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};
use tests::cluster::Cluster;
use tests::{Host, Netns, eventually};

const SERVE: &str = "while :; do echo hello | nc -l -p 80 > /dev/null; done";
/// Neighbours ask again by themselves after tens of seconds; what an announcement tells them they know at once.
const AT_ONCE: Duration = Duration::from_secs(2);

fn ping(from: &Netns, to: &str) -> bool {
    from.try_run(&format!("ping -n -c 1 -W 1 {to}")).status.success()
}

/// How long it takes from now on.
fn takes(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    eventually(what, &mut holds);
    begin.elapsed()
}

/// The server on a network with fixed addresses, a neighbour, and everything that knows its way to it.
fn scene(driver: &str) -> Host {
    let host = Host::new();
    host.ok(&["network", "create", "-d", driver, "--subnet", "10.8.0.0/24", "--subnet", "fd08::/64", "blue"]);
    server(&host, &[]);
    host.ok(&["run", "-d", "--name", "peer", "--network", "blue", "alpine", "sleep", "1000"]);
    host
}

fn server(host: &Host, more: &[&str]) {
    let args =
        ["run", "-d", "--name", "web", "--network", "blue", "--ip", "10.8.0.9", "--ip6", "fd08::9", "-p", "8080:80"];
    host.ok(&[&args[..], more, &["alpine", "sh", "-c", SERVE]].concat());
}

fn all_see_it(host: &Host) {
    let peer = host.container_netns("peer");
    for to in ["10.8.0.9", "fd08::9"] {
        for (who, netns) in [("a neighbour", &peer), ("the host", &host.netns)] {
            let time = takes(&format!("{who} reaches {to}"), || ping(netns, to));
            assert!(time < AT_ONCE, "{who} reached {to} after {time:?}");
        }
    }
    let outside = &host.outside;
    let time = takes("the published port", || outside.tcp("198.51.100.1:8080", "").is_ok_and(|s| s.contains("hello")));
    assert!(time < AT_ONCE * 2, "the published port answered after {time:?}");
}

fn identity(host: &Host) -> (String, String) {
    let of =
        |key: &str| host.inspect("web", &format!("/NetworkSettings/Networks/blue/{key}")).as_str().unwrap().to_owned();
    (of("IPAddress"), of("MacAddress"))
}

#[test]
fn a_restart() {
    for driver in ["bridge", "overlay"] {
        let host = scene(driver);
        all_see_it(&host);
        let before = identity(&host);
        for _ in 0..3 {
            host.ok(&["restart", "-t", "0", "web"]);
            all_see_it(&host);
            assert_eq!(identity(&host), before, "address and MAC stay");
        }
    }
}

#[test]
fn a_container_that_takes_another_ones_place() {
    let host = scene("bridge");
    all_see_it(&host);
    // With the MAC that follows from the address, and with MACs of the user's own, which nobody can know.
    for mac in [None, Some("02:00:00:00:aa:01"), Some("02:00:00:00:aa:02"), None] {
        host.ok(&["rm", "-f", "web"]);
        server(&host, &mac.map_or(vec![], |mac| vec!["--mac-address", mac]));
        all_see_it(&host);
    }
}

#[test]
fn address_and_mac_stay_without_being_asked_for() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    for name in ["web", "other"] {
        host.ok(&["run", "-d", "--name", name, "--network", "blue", "alpine", "sleep", "1000"]);
    }
    let before = identity(&host);
    host.ok(&["stop", "-t", "0", "web"]);
    host.ok(&["run", "-d", "--name", "third", "--network", "blue", "alpine", "sleep", "1000"]);
    host.ok(&["start", "web"]);
    assert_eq!(identity(&host), before);
}

/// What is announced: both families, from the container's own MAC, when the port forwards.
#[test]
fn neighbours_hear_an_announcement() {
    let host = scene("bridge");
    let peer = host.container_netns("peer");
    let heard = std::thread::spawn(move || {
        let output = peer.command("timeout").args(["10", "ip", "monitor", "neigh"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    let peer = host.container_netns("peer");
    assert!(ping(&peer, "10.8.0.9") && ping(&peer, "fd08::9"));
    host.ok(&["rm", "-f", "web"]);
    server(&host, &["--mac-address", "02:00:00:00:aa:03"]);
    // Nobody asks: the neighbour's table knows it all the same.
    for address in ["10.8.0.9", "fd08::9"] {
        eventually("the new MAC is known", || {
            peer.run(&format!("ip neigh show {address}")).contains("02:00:00:00:aa:03")
        });
    }
    drop(heard);
}

#[test]
fn hosts_of_a_cluster_see_it() {
    let cluster = Cluster::new(2, false);
    let [a, b] = &cluster.hosts[..] else { panic!() };
    a.ok(&["network", "create", "-d", "overlay", "--subnet", "10.4.0.0/16", "mesh"]);
    eventually("the network is there", || b.ok(&["network", "ls"]).contains("mesh"));
    cluster.sleeper(0, "web", &["--network", "mesh", "--ip", "10.4.0.9"]);
    cluster.sleeper(0, "near", &["--network", "mesh"]);
    cluster.sleeper(1, "far", &["--network", "mesh"]);
    let (near, far) = (a.container_netns("near"), b.container_netns("far"));
    let seen = |what: &str| {
        for (who, netns) in [("on its host", &near), ("on another", &far)] {
            let time = takes(who, || ping(netns, "10.4.0.9"));
            assert!(time < AT_ONCE * 2, "{what}, {who}: after {time:?}");
        }
    };
    for _ in 0..3 {
        eventually("it is known", || ping(&near, "10.4.0.9") && ping(&far, "10.4.0.9"));
        a.ok(&["restart", "-t", "0", "web"]);
        seen("a restart");
        a.ok(&["rm", "-f", "web"]);
        cluster.sleeper(0, "web", &["--network", "mesh", "--ip", "10.4.0.9"]);
        seen("a new container in its place");
    }
    // It moves to the other host, and back.
    for (from, to) in [(0, 1), (1, 0)] {
        cluster.hosts[from].ok(&["rm", "-f", "web"]);
        eventually("the address is free", || {
            let args =
                ["run", "-d", "--name", "web", "--network", "mesh", "--ip", "10.4.0.9", "alpine", "sleep", "1000"];
            cluster.hosts[to].rcr(&args).code == 0
        });
        seen("a new container on another host");
    }
}
