//! `network update`: networks changed while containers are on them, all of it or nothing.
#![allow(clippy::unwrap_used)]

use tests::host::{exec, pings, sleeper};
use tests::{Host, eventually};

fn bridge(host: &Host, network: &str) -> String {
    host.inspect(network, "/Rcr/Interface").as_str().unwrap().to_owned()
}

#[test]
fn mtu_labels_dns_and_a_subnet_of_a_network_in_use() {
    let host = Host::new();
    let before = host.snapshot();
    host.ok(&["network", "create", "--label", "old=1", "blue"]);
    sleeper(&host, "a", &["--network", "blue", "-p", "8080:80"]);
    sleeper(&host, "b", &["--network", "blue"]);
    let link = bridge(&host, "blue");
    let seen = |host: &Host| {
        let inside = exec(host, "a", "ip -o addr; ip -o link; ip route; ip -6 route");
        inside + &host.netns.ip(&format!("-o addr show {link}")) + &host.ok(&["network", "inspect", "blue"])
    };
    let first = seen(&host);
    let change = ["-o", "mtu=1400", "--label-add", "tier=back", "--label-rm", "old", "--dns", "198.51.100.2"];
    let subnet = ["--subnet", "fd77::/64", "blue"];
    let dry: Vec<&str> = ["network", "update", "--dry-run", "-v"].into_iter().chain(change).chain(subnet).collect();
    let plan = host.ok(&dry);
    for part in [
        "update blue (bridge)",
        "mtu 1500 -> 1400",
        "fd77::1/64",
        "disable_ipv6 = 0",
        "nat6",
        "update a on blue",
        "update b on blue",
        "fd77::2/64",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    assert_eq!(seen(&host), first, "a dry run changes nothing");
    let update: Vec<&str> = ["network", "update"].into_iter().chain(change).chain(subnet).collect();
    host.ok(&update);
    assert_eq!(exec(&host, "a", "cat /sys/class/net/eth0/mtu"), "1400");
    let of_bridge =
        host.netns.ip(&format!("-o link show master {link}")) + &host.netns.ip(&format!("-o link show {link}"));
    assert_eq!(of_bridge.matches("mtu 1400").count(), 3, "{of_bridge}");
    assert_eq!(host.inspect("blue", "/Labels"), serde_json::json!({ "tier": "back" }));
    assert_eq!(host.inspect("blue", "/Rcr/DNS"), serde_json::json!(["198.51.100.2"]));
    assert_eq!(host.inspect("blue", "/EnableIPv6"), true);
    // Both families work at once: between neighbours, by name, to the world outside.
    assert!(exec(&host, "b", "ping -6 -c 1 -W 2 a").contains("1 received"));
    eventually("the world outside over IPv6", || pings(&host, "b", "2001:db8::2"));
    assert!(pings(&host, "a", "198.51.100.2"));
    // What comes later is as if it had been so from the start.
    sleeper(&host, "c", &["--network", "blue"]);
    assert_eq!(exec(&host, "c", "cat /sys/class/net/eth0/mtu"), "1400");
    assert!(pings(&host, "c", "a") && host.inspect("c", "/NetworkSettings/Networks/blue/GlobalIPv6Address") != "");
    host.kill_netd();
    host.ok(&["network", "ls"]);
    assert!(exec(&host, "c", "ping -6 -c 1 -W 2 b").contains("1 received"), "netd knows it after a restart");
    host.netns.ip(&format!("link del {link}"));
    eventually("the bridge comes back as it was", || {
        host.netns.try_run(&format!("ip -o link show {link}")).stdout.windows(8).any(|w| w == b"mtu 1400")
    });
    eventually("with its addresses", || pings(&host, "c", "fd77::1"));
    host.ok(&["network", "update", "--dns", "none", "blue"]);
    assert_eq!(host.inspect("blue", "/Rcr/DNS"), serde_json::json!([]));
    host.ok(&["rm", "-f", "a", "b", "c"]);
    host.ok(&["network", "rm", "blue"]);
    before.assert_restored(&host);
}

#[test]
fn macvlan_networks_change_too_and_an_impossible_change_is_undone() {
    let host = Host::new();
    let before = host.snapshot();
    let create = ["network", "create", "-d", "macvlan", "-o", "parent=up0", "--subnet", "198.51.100.0/24"];
    let more = ["--gateway", "198.51.100.2", "--ip-range", "198.51.100.128/25", "lan"];
    host.ok(&create.into_iter().chain(more).collect::<Vec<_>>());
    for name in ["a", "b"] {
        sleeper(&host, name, &["--network", "lan"]);
    }
    let v6 = ["--subnet", "2001:db8::/64", "--gateway", "2001:db8::2", "--ip-range", "2001:db8::8000/113"];
    let update: Vec<&str> = ["network", "update", "-o", "mtu=1300"].into_iter().chain(v6).chain(["lan"]).collect();
    host.ok(&update);
    for name in ["a", "b"] {
        assert_eq!(exec(&host, name, "cat /sys/class/net/eth0/mtu"), "1300");
        eventually("over IPv6", || pings(&host, name, "2001:db8::2"));
    }
    // More than the parent has: the kernel refuses it at the first container.
    let seen = |host: &Host| {
        let inside = |name| exec(host, name, "ip -o addr; ip -o link; ip route; ip -6 route");
        inside("a") + &inside("b") + &host.ok(&["network", "inspect", "lan"])
    };
    let good = seen(&host);
    let refused = host.refused(&["network", "update", "-o", "mtu=9000", "--label-add", "x=y", "lan"]);
    assert!(refused.contains("cannot update network `lan`") && refused.contains("(EINVAL)"), "{refused}");
    assert_eq!(seen(&host), good);
    host.ok(&["rm", "-f", "a", "b"]);
    host.ok(&["network", "rm", "lan"]);
    before.assert_restored(&host);
}

#[test]
fn what_cannot_change_is_refused() {
    let host = Host::new();
    host.ok(&["network", "create", "--ipv6", "blue"]);
    host.ok(&["network", "create", "--subnet", "10.77.0.0/24", "green"]);
    sleeper(&host, "c", &["--network", "blue"]);
    let before = host.snapshot();
    for (args, says) in [
        (["blue"].as_slice(), "nothing is to change"),
        (&["-o", "mtu=1000", "blue"], "1280"),
        (&["-o", "mtu=no", "blue"], "68 and 65535"),
        (&["-o", "icc=false", "blue"], "only `mtu` can"),
        (&["--label-rm", "none", "blue"], "no label `none`"),
        (&["--subnet", "10.77.0.0/25", "blue"], "overlaps network `green`"),
        (&["--gateway", "10.78.0.1", "blue"], "none of the subnets"),
        (&["--dns", "somewhere", "blue"], "--dns somewhere"),
        (&["-o", "mtu=1400", "host"], "labels alone"),
        (&["-o", "mtu=1400", "nowhere"], "no network `nowhere`"),
    ] {
        let args: Vec<&str> = ["network", "update"].into_iter().chain(args.iter().copied()).collect();
        let refused = host.refused(&args);
        assert!(refused.contains(says), "{args:?}: {refused}");
    }
    before.assert_restored(&host);
}
