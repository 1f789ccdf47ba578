//! Overlay networks and their store: what hosts claim, a store that is away, restored or hostile, and hosts that go.
#![allow(clippy::unwrap_used)]

use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::time::Instant;
use tests::cluster::Cluster;
use tests::{Host, eventually};

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
    let mut cluster = Cluster::pair(false);
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
    cluster.mesh();
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
    cluster.mesh();
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
    assert!(cluster.hosts[1].netd_log().contains("is not understood"));
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
    cluster.mesh();
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
    cluster.mesh();
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
