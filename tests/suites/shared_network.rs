//! Networks that a container does not get from netd: another container's, the user's own.
#![allow(clippy::unwrap_used)]

use tests::host::{exec, pings, sleeper};
use tests::{Host, Netns, eventually};

const NETNS: &str = "readlink /proc/self/ns/net";

#[test]
fn a_container_shares_the_network_and_the_names_of_another() {
    let host = Host::new();
    let before = host.snapshot();
    host.ok(&["network", "create", "blue"]);
    sleeper(&host, "a", &["--network", "blue", "-p", "8080:80", "--hostname", "alpha", "--add-host", "extra:10.1.2.3"]);
    sleeper(&host, "n", &["--network", "blue"]);
    sleeper(&host, "b", &["--network", "container:a"]);
    for script in [NETNS, "ip -o addr", "hostname", "cat /etc/hosts", "cat /etc/resolv.conf", "cat /etc/hostname"] {
        assert_eq!(exec(&host, "a", script), exec(&host, "b", script), "{script}");
    }
    assert!(pings(&host, "b", "n") && exec(&host, "b", "cat /etc/hosts").contains("10.1.2.3\textra"));
    assert_eq!(exec(&host, "b", "echo $HOSTNAME"), "alpha");
    // What listens in one is reached through the other's port.
    host.ok(&["exec", "-d", "b", "sh", "-c", "echo hello | nc -l -p 80"]);
    eventually("the published port of a reaches b", || {
        host.netns.tcp("127.0.0.1:8080", "").is_ok_and(|said| said.contains("hello"))
    });
    // By id, and of one that joined itself.
    let id = host.inspect("a", "/Id").as_str().unwrap().to_owned();
    assert_eq!(host.inspect("b", "/HostConfig/NetworkMode"), format!("container:{id}").as_str());
    sleeper(&host, "c", &["--network", &format!("container:{}", &id[..12])]);
    sleeper(&host, "d", &["--net", "container:c"]);
    assert_eq!(exec(&host, "d", NETNS), exec(&host, "a", NETNS));
    assert_eq!(exec(&host, "d", "cat /etc/hosts"), exec(&host, "a", "cat /etc/hosts"));
    for verb in ["connect", "disconnect"] {
        let refused = host.refused(&["network", verb, "blue", "b"]);
        assert!(
            refused.contains("shares the network namespace of container") && refused.contains("hint: "),
            "{refused}"
        );
    }
    // The others go first or last, as they like.
    host.ok(&["rm", "-f", "c", "a"]);
    assert_eq!(exec(&host, "b", "ip -o link show lo | wc -l"), "1", "it goes on, with what is left");
    host.ok(&["rm", "-f", "b", "d", "n"]);
    host.ok(&["network", "rm", "blue"]);
    before.assert_restored(&host);
}

#[test]
fn a_shared_network_survives_restarts_of_its_owner() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    sleeper(&host, "n", &["--network", "blue"]);
    let script = "trap exit USR1; while :; do sleep 0.1; done";
    let owner = ["run", "-d", "--name", "a", "--network", "blue", "--restart", "always", "alpine", "sh", "-c", script];
    host.ok(&owner);
    sleeper(&host, "b", &["--network", "container:a"]);
    let shared = exec(&host, "b", NETNS);
    // Its program dies and is started again: the namespace stays.
    let pid = host.inspect("a", "/State/Pid").as_i64().unwrap();
    eventually("it runs again", || {
        host.rcr(&["kill", "-s", "USR1", "a"]);
        let now = host.inspect("a", "/State/Pid").as_i64().unwrap();
        now != 0 && now != pid
    });
    // The last signal may have ended the new program, too.
    eventually("it is in the same namespace", || host.rcr(&["exec", "a", "sh", "-c", NETNS]).out() == shared);
    assert!(pings(&host, "b", "n"));
    // Stopped and started: it comes back into the namespace where the other one waits.
    for again in [["stop", "-t0", "a"].as_slice(), &["restart", "-t0", "a"]] {
        host.ok(again);
        host.ok(&["start", "a"]);
        assert_eq!(exec(&host, "a", NETNS), shared);
        assert_eq!(exec(&host, "b", NETNS), shared);
        assert!(pings(&host, "b", "n") && pings(&host, "n", "a"), "{again:?}");
        assert_eq!(exec(&host, "b", "ip -o -4 addr show eth0 | wc -l"), "1");
        assert_eq!(exec(&host, "a", "cat /etc/hosts"), exec(&host, "b", "cat /etc/hosts"));
    }
    // While it is down the other one has nothing but loopback, and can't be started.
    host.ok(&["stop", "-t0", "a"]);
    eventually("its link goes", || exec(&host, "b", "ip -o link | wc -l") == "1");
    host.ok(&["stop", "-t0", "b"]);
    let refused = host.rcr(&["start", "b"]);
    assert!(refused.code != 0 && refused.stderr.contains("it is exited"), "{refused:?}");
    // Started anew without the other, it has a namespace of its own; the other then joins that one.
    host.ok(&["start", "a", "b"]);
    assert_ne!(exec(&host, "a", NETNS), shared);
    assert_eq!(exec(&host, "a", NETNS), exec(&host, "b", NETNS));
    assert!(pings(&host, "b", "n"));
    host.kill_netd();
    host.ok(&["network", "ls"]);
    assert!(pings(&host, "b", "n"), "netd knows them again");
}

#[test]
fn what_does_not_go_with_a_shared_network_is_refused_first() {
    let host = Host::new();
    sleeper(&host, "a", &[]);
    let before = host.snapshot();
    for flag in [
        ["-p", "80:80"].as_slice(),
        &["-P"],
        &["--expose", "80"],
        &["--ip", "10.0.0.9"],
        &["--ip6", "fd00::9"],
        &["--mac-address", "02:00:00:00:00:09"],
        &["--network-alias", "x"],
        &["--hostname", "x"],
        &["--dns", "192.0.2.1"],
        &["--dns-search", "example.org"],
        &["--add-host", "x:192.0.2.1"],
        &["--sysctl", "net.ipv4.ip_forward=1"],
    ] {
        let mut args = vec!["run", "--rm", "--network", "container:a"];
        args.extend(flag);
        args.extend(["no-such-image", "true"]);
        let refused = host.refused(&args);
        assert!(
            refused.contains(flag[0]) && refused.contains("container:a") && refused.contains("hint: "),
            "{refused}"
        );
    }
    let two = ["run", "--rm", "--network", "container:a", "--network", "bridge", "alpine", "true"];
    assert!(host.refused(&two).contains("can't be combined with other networks"));
    assert!(host.refused(&["run", "--rm", "--network", "container:nobody", "alpine", "true"]).contains("`nobody`"));
    host.ok(&["create", "--name", "still", "alpine", "true"]);
    let still = host.refused(&["run", "--rm", "--network", "container:still", "alpine", "true"]);
    assert!(still.contains("it is created") && still.contains("rcr start still"), "{still}");
    host.ok(&["rm", "still"]);
    before.assert_restored(&host);
}

#[test]
fn a_container_joins_one_that_runs_on_the_hosts_network() {
    let host = Host::new();
    sleeper(&host, "h", &["--network", "host"]);
    sleeper(&host, "j", &["--network", "container:h"]);
    assert_eq!(exec(&host, "h", NETNS), exec(&host, "j", NETNS));
    assert_eq!(exec(&host, "h", "hostname"), exec(&host, "j", "hostname"));
    sleeper(&host, "none", &["--network", "none"]);
    assert_eq!(host.sh(&["--network", "container:none"], "ip -o link | wc -l"), "1");
}

#[test]
fn a_namespace_of_the_users_own_by_its_path() {
    let host = Host::new();
    let mine = Netns::new();
    host.netns.link("mine0", &mine, "inner");
    mine.ip("addr add 203.0.113.2/24 dev inner");
    mine.ip("link set inner up");
    let path = format!("ns:/proc/{}/fd/{}", std::process::id(), mine.fd());
    let links = mine.ip("-o addr");
    host.ok(&[
        "run",
        "-d",
        "--name",
        "c",
        "--network",
        &path,
        "--hostname",
        "there",
        "--dns",
        "203.0.113.1",
        "alpine",
        "sleep",
        "1000",
    ]);
    assert!(exec(&host, "c", "ip -o addr show inner").contains("203.0.113.2/24"));
    assert_eq!(exec(&host, "c", "hostname; cat /etc/resolv.conf"), "there\nnameserver 203.0.113.1");
    assert_eq!(host.inspect("c", "/HostConfig/NetworkMode"), path.as_str());
    assert_eq!(host.inspect("c", "/NetworkSettings/Networks"), serde_json::json!({}));
    assert!(host.refused(&["network", "connect", "bridge", "c"]).contains("which is yours"));
    sleeper(&host, "beside", &["--network", "container:c"]);
    assert_eq!(exec(&host, "beside", NETNS), exec(&host, "c", NETNS));
    host.ok(&["restart", "-t0", "c"]);
    host.ok(&["rm", "-f", "c", "beside"]);
    assert_eq!(mine.ip("-o addr"), links, "it is left as it was");
}

#[test]
fn what_is_no_network_namespace_is_said() {
    let host = Host::new();
    let before = host.snapshot();
    let scratch = host.scratch();
    let file = scratch.join("file");
    std::fs::write(&file, "").unwrap();
    let fifo = scratch.join("pipe");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    for (path, says) in [
        ("relative/path", "not an absolute path"),
        ("", "not an absolute path"),
        ("/run/netns/no-such-namespace", "(ENOENT)"),
        (file.to_str().unwrap(), "not a network namespace"),
        (fifo.to_str().unwrap(), "not a network namespace"),
        ("/dev/null", "not a network namespace"),
        ("/proc/self/ns/mnt", "not a network namespace"),
        (scratch.to_str().unwrap(), "not a network namespace"),
    ] {
        let refused = host.refused(&["run", "--rm", "--network", &format!("ns:{path}"), "no-such-image", "true"]);
        assert!(refused.contains(says), "{path}: {refused}");
    }
    let published =
        host.refused(&["run", "--rm", "-p", "80:80", "--network", "ns:/proc/self/ns/net", "alpine", "true"]);
    assert!(published.contains("`-p` can't be combined"), "{published}");
    before.assert_restored(&host);
}
