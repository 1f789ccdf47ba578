//! Networks changed while containers run: connect and disconnect on bridge and macvlan, routes, names and ports that
//! follow. ipvlan is tried in `tests/vm`.
#![allow(clippy::unwrap_used)]

use tests::host::{HOST_V4, exec, pings, sleeper};
use tests::{Host, eventually};

/// A macvlan network in the LAN that the host's uplink is in; its router is the world outside.
fn lan(host: &Host, options: &[&str]) {
    let mut args = vec!["network", "create", "-d", "macvlan", "-o", "parent=up0", "--subnet", "198.51.100.0/24"];
    args.extend(["--gateway", "198.51.100.2", "--ip-range", "198.51.100.128/25"]);
    args.extend(["--subnet", "2001:db8::/64", "--gateway", "2001:db8::2", "--ip-range", "2001:db8::8000/113"]);
    args.extend(options);
    args.push("lan");
    host.ok(&args);
}

#[test]
fn a_running_container_gets_all_that_a_new_one_could_ask_for() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "create", "--subnet", "10.77.0.0/24", "--subnet", "fd77::/64", "green"]);
    lan(&host, &[]);
    sleeper(&host, "c", &["--network", "blue"]);
    sleeper(&host, "g", &["--network", "green"]);
    let before = exec(&host, "c", "ip -o addr; ip route; ip -6 route");
    let on_green = ["--alias", "one", "--alias", "two", "--ip", "10.77.0.9", "--ip6", "fd77::9", "--mac-address"];
    let more = ["02:11:22:33:44:77", "--interface-name", "gre0", "--sysctl", "net.ipv4.conf.IFNAME.log_martians=1"];
    let args: Vec<&str> =
        ["network", "connect"].into_iter().chain(on_green).chain(more).chain(["green", "c"]).collect();
    host.ok(&args);
    let seen = exec(&host, "c", "ip addr show gre0; cat /proc/sys/net/ipv4/conf/gre0/log_martians");
    for part in ["10.77.0.9/24", "fd77::9/64", "02:11:22:33:44:77"] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert!(seen.trim_end().ends_with("\n1"), "{seen}");
    assert!(pings(&host, "g", "one") && pings(&host, "g", "two") && pings(&host, "g", "c") && pings(&host, "c", "g"));
    assert!(exec(&host, "c", "ip route").contains("default via 172."), "a tie leaves the default route where it was");
    // macvlan beside them, with the default route of both families, and back.
    let docker = "com.docker.network.endpoint.ifname=lan0";
    host.ok(&["network", "connect", "--gw-priority", "7", "--driver-opt", docker, "--ip", "198.51.100.77", "lan", "c"]);
    let routes = exec(&host, "c", "ip route; ip -6 route");
    assert!(
        routes.contains("default via 198.51.100.2 dev lan0") && routes.contains("default via 2001:db8::2 dev lan0"),
        "{routes}"
    );
    assert!(pings(&host, "c", "198.51.100.2"));
    eventually("over IPv6", || pings(&host, "c", "2001:db8::2"));
    sleeper(&host, "l", &["--network", "lan"]);
    assert!(pings(&host, "l", "c") && pings(&host, "c", "l") && pings(&host, "c", "g"));
    host.ok(&["network", "disconnect", "lan", "c"]);
    assert!(!pings(&host, "l", "c"), "the name went with the network");
    host.ok(&["network", "disconnect", "green", "c"]);
    assert_eq!(exec(&host, "c", "ip -o addr; ip route; ip -6 route"), before);
    // The same at the start, and kept over a restart.
    let long = "name=green,interface-name=gre0,sysctl=net.ipv4.conf.IFNAME.log_martians=1,gw-priority=3";
    sleeper(&host, "r", &["--network", "blue", "--network", long]);
    host.ok(&["restart", "-t0", "r"]);
    let seen = exec(&host, "r", "ip route; cat /proc/sys/net/ipv4/conf/gre0/log_martians");
    assert!(seen.contains("default via 10.77.0.1 dev gre0") && seen.ends_with('1'), "{seen}");
}

#[test]
fn a_connect_that_cannot_be_leaves_the_container_as_it_was() {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.77.0.0/24", "green"]);
    sleeper(&host, "c", &[]);
    sleeper(&host, "g", &["--network", "green", "--ip", "10.77.0.9"]);
    let before = exec(&host, "c", "ip -o addr; ip route");
    for (flags, says) in [
        (["--ip", "10.77.0.9"].as_slice(), "10.77.0.9"),
        (&["--ip", "10.78.0.9"], "10.78.0.9"),
        (&["--ip6", "fd00::9"], "fd00::9"),
        (&["--interface-name", "eth0"], "another of its interfaces"),
        (&["--interface-name", "lo"], "loopback"),
        (&["--interface-name", "no/slash"], "no/slash"),
        (&["--sysctl", "net.ipv4.ip_forward=1"], "no sysctl of an interface"),
        (&["--sysctl", "net.ipv4.conf.IFNAME.nonsense=1"], "(ENOENT)"),
        (&["--sysctl", "net.ipv4.conf.IFNAME.rp_filter=many"], "(EINVAL)"),
        (&["--driver-opt", "com.docker.network.endpoint.ifnam=x"], "did you mean"),
    ] {
        let args: Vec<&str> =
            ["network", "connect"].into_iter().chain(flags.iter().copied()).chain(["green", "c"]).collect();
        let refused = host.refused(&args);
        assert!(refused.contains(says), "{flags:?}: {refused}");
        assert_eq!(exec(&host, "c", "ip -o addr; ip route"), before, "{flags:?}");
    }
    host.ok(&["network", "connect", "--ip", "10.77.0.10", "green", "c"]);
    assert!(pings(&host, "c", "g"), "nothing of the failures is in the way");
}

#[test]
fn published_ports_follow_the_networks() {
    let host = Host::new();
    let before = host.snapshot();
    for name in ["blue", "green"] {
        host.ok(&["network", "create", name]);
    }
    lan(&host, &[]);
    let server = "while :; do echo hello | nc -l -p 80 >/dev/null; done";
    host.ok(&["run", "-d", "--name", "web", "--network", "blue", "-p", "8080:80", "alpine", "sh", "-c", server]);
    let answers = |what: &str| {
        let ask = |from: &tests::Netns, to: &str| from.tcp(to, "").is_ok_and(|said| said.contains("hello"));
        eventually(what, || ask(&host.outside, &format!("{HOST_V4}:8080")) && ask(&host.netns, "127.0.0.1:8080"));
    };
    answers("on its first network");
    // The default route goes elsewhere: to another bridge, then straight into the LAN. Answers leave as they came.
    host.ok(&["network", "connect", "--gw-priority", "5", "green", "web"]);
    answers("with the default route on another bridge");
    host.ok(&["network", "connect", "--gw-priority", "9", "lan", "web"]);
    assert!(exec(&host, "web", "ip route").contains("default via 198.51.100.2"));
    answers("with the default route in the LAN");
    host.ok(&["network", "disconnect", "blue", "web"]);
    answers("over the bridge that is left");
    host.ok(&["network", "disconnect", "lan", "web"]);
    answers("with its default route");
    // Without any network there is nothing to reach; the next one brings the ports back.
    host.ok(&["network", "disconnect", "green", "web"]);
    assert!(host.outside.tcp(&format!("{HOST_V4}:8080"), "").map_or(true, |said| said.is_empty()));
    let taken = host.refused(&["run", "--rm", "-p", "8080:80", "alpine", "true"]);
    assert!(taken.contains("8080"), "they are still the container's: {taken}");
    host.ok(&["network", "connect", "blue", "web"]);
    answers("on a network that it came to");
    assert!(pings(&host, "web", "198.51.100.2"));
    host.kill_netd();
    host.ok(&["network", "ls"]);
    answers("after a restart of netd");
    host.ok(&["network", "connect", "--gw-priority", "9", "lan", "web"]);
    host.ok(&["rm", "-f", "web"]);
    host.ok(&["network", "rm", "blue", "green", "lan"]);
    before.assert_restored(&host);
}

#[test]
fn names_of_containers_on_the_hosts_network_stand_for_the_host() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "create", "-o", "host_access=true", "open"]);
    lan(&host, &["-o", "host_access=true"]);
    let server = "while :; do echo hello | nc -l -p 7007 >/dev/null; done";
    host.ok(&["run", "-d", "--name", "onhost", "--network", "host", "alpine", "sh", "-c", server]);
    host.ok(&["network", "create", "late"]);
    for network in ["blue", "open", "lan", "late"] {
        sleeper(&host, &format!("c-{network}"), &["--network", network]);
    }
    let address = |from: &str| exec(&host, from, "nslookup onhost | tail -n +3");
    for network in ["blue", "open", "late"] {
        let gateway = host.inspect(&format!("c-{network}"), &format!("/NetworkSettings/Networks/{network}/Gateway"));
        assert!(address(&format!("c-{network}")).contains(gateway.as_str().unwrap()), "{network}");
    }
    let own = host.inspect("lan", "/IPAM/Config/0/AuxiliaryAddresses/own-link");
    assert!(address("c-lan").contains(own.as_str().unwrap()));
    let fetch = |from: &str, name: &str| exec(&host, from, &format!("nc -w 1 {name} 7007 </dev/null || true"));
    eventually("where the network lets them", || {
        fetch("c-open", "onhost") == "hello" && fetch("c-lan", "onhost") == "hello"
    });
    assert_eq!(fetch("c-blue", "onhost"), "", "a name opens no port");
    host.ok(&["rename", "onhost", "other"]);
    assert_eq!(fetch("c-open", "other"), "hello");
    assert_eq!(fetch("c-open", "onhost"), "");
    host.kill_netd();
    host.ok(&["network", "ls"]);
    assert_eq!(fetch("c-open", "other"), "hello", "after a restart of netd");
    host.ok(&["rm", "-f", "other"]);
    assert!(host.rcr(&["exec", "c-open", "nslookup", "other"]).code != 0, "gone with the container");
}
