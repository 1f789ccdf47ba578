//! Options of bridge networks in Docker's words, by their effect.
#![allow(clippy::unwrap_used)]

use tests::host::{HOST_V4, exec, sleeper};
use tests::{Host, eventually};

/// A network as people paste it.
fn create(host: &Host, name: &str, options: &[&str]) {
    let mut args = vec!["network", "create"];
    for option in options {
        args.extend(["-o", option]);
    }
    args.push(name);
    host.ok(&args);
}

/// Whether something answers on a port of an address, as seen from the host.
fn answers(host: &Host, address: &str) -> bool {
    let url = format!("http://{address}:8080/");
    let curl = ["-s", "-o", "/dev/null", "--max-time", "2", url.as_str()];
    host.netns.command("curl").args(curl).status().unwrap().success()
}

#[test]
fn published_ports_are_on_the_networks_own_address() {
    let host = Host::new();
    create(&host, "own", &["com.docker.network.bridge.host_binding_ipv4=127.0.0.1"]);
    let serve = "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n' | nc -l -p 80 >/dev/null 2>&1; done";
    host.ok(&["run", "-d", "--name", "c", "--network", "own", "-p", "8080:80", "alpine", "sh", "-c", serve]);
    assert_eq!(host.ok(&["port", "c", "80"]), "127.0.0.1:8080");
    eventually("it answers on the loopback", || answers(&host, "127.0.0.1"));
    assert!(!answers(&host, HOST_V4));
    // What `-p` names goes before.
    host.ok(&["rm", "-f", "c"]);
    let named = format!("{HOST_V4}:8080:80");
    host.ok(&["run", "-d", "--name", "c", "--network", "own", "-p", &named, "alpine", "sh", "-c", serve]);
    eventually("it answers where it was told to", || answers(&host, HOST_V4));
    // Others are where they were.
    host.ok(&["rm", "-f", "c"]);
    host.ok(&["run", "-d", "--name", "c", "-p", "8080:80", "alpine", "sh", "-c", serve]);
    eventually("it answers everywhere", || answers(&host, HOST_V4) && answers(&host, "127.0.0.1"));
}

#[test]
fn interfaces_have_the_networks_prefix_and_bridges_no_address_where_that_is_asked_for() {
    let host = Host::new();
    let before = host.snapshot();
    create(&host, "lan", &["com.docker.network.container_iface_prefix=lan"]);
    create(&host, "far", &["com.docker.network.bridge.inhibit_ipv4=true", "com.docker.network.bridge.name=far0"]);
    sleeper(&host, "c", &["--network", "lan", "--network", "far"]);
    let links = exec(&host, "c", "ls /sys/class/net | sort | tr '\\n' ' '");
    assert_eq!(links.trim(), "eth0 lan0 lo");
    assert_eq!(host.inspect("c", "/NetworkSettings/Networks/lan/IPAddress"), host.address("c", "lan"));
    // Neighbours meet; the gateway would be another machine's.
    sleeper(&host, "d", &["--network", "far"]);
    assert!(tests::host::pings(&host, "d", "c"));
    assert_eq!(host.netns.ip("-4 -o addr show dev far0"), "");
    assert!(exec(&host, "d", "ip route").contains("default via"));
    host.ok(&["rm", "-f", "c", "d"]);
    host.ok(&["network", "rm", "lan", "far"]);
    before.assert_restored(&host);
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    let host = Host::bare();
    for (args, says) in [
        (&["-o", "com.docker.network.bridge.trusted_host_interfaces=eth1"][..], "links are not told apart"),
        (&["-o", "com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected"], "gateway_mode=routed"),
        (&["-o", "com.docker.network.bridge.default_bridge=true"], "there from the start"),
        (&["-o", "com.docker.network.container_iface_prefix=much-too-long-a-name"], "cannot understand"),
        (&["-o", "com.docker.network.bridge.host_binding_ipv4=here"], "it is not an address"),
        (&["-o", "flowtable=true", "--internal"], "an internal network has none"),
        (&["-o", "redirect_peer=true", "-o", "icc=false"], "`icc=false` allows none"),
        (&["-o", "redirect_peer=true", "-d", "overlay"], "redirect_peer"),
        (&["--config-only"], "`rcr network create` has no `--config-only`"),
        (&["--config-from", "x"], "a network is made of its own options"),
        (&["--ipam-opt", "a=b"], "neither of the IPAM drivers has options"),
        (&["--scope", "swarm"], "the driver says it"),
        (&["--ingress"], "there is no swarm"),
    ] {
        let mut all = vec!["network", "create"];
        all.extend(args);
        all.push("n");
        let said = host.refused(&all);
        assert!(said.contains(says), "{args:?}: {said}");
    }
    // Docker's words for what is there.
    for option in [
        "com.docker.network.bridge.enable_icc=true",
        "com.docker.network.bridge.enable_ip_masquerade=true",
        "com.docker.network.bridge.default_bridge=false",
        "com.docker.network.driver.mtu=1400",
        "com.docker.network.bridge.gateway_mode_ipv4=routed",
        "com.docker.network.bridge.gateway_mode_ipv6=nat",
    ] {
        create(&host, "n", &[option]);
        host.ok(&["network", "rm", "n"]);
    }
}

/// What it does is the lab's to show (scenario `flowtable`).
#[test]
fn a_flow_table_is_there_or_the_kernel_is_said_to_have_none() {
    let host = Host::new();
    let before = host.snapshot();
    let (probe, rules) =
        (tests::Netns::new(), "add table inet t ; add flowtable inet t f { hook ingress priority 0 ; }");
    let nft = |netns: &tests::Netns, line: &str| netns.command("nft").arg(line).output().unwrap();
    if nft(&probe, rules).status.success() {
        create(&host, "fast", &["flowtable=true"]);
        sleeper(&host, "c", &["--network", "fast", "-p", "8080:80"]);
        let listed = String::from_utf8(nft(&host.netns, "list flowtables").stdout).unwrap();
        assert!(listed.contains("up0"), "{listed}");
        host.ok(&["rm", "-f", "c"]);
        host.ok(&["network", "rm", "fast"]);
    } else {
        let said = host.refused(&["network", "create", "-o", "flowtable=true", "fast"]);
        assert!(
            said.contains("the kernel has no flow tables") && said.contains("hint: leave `-o flowtable` out"),
            "{said}"
        );
        assert!(host.refused(&["network", "inspect", "fast"]).contains("fast"));
    }
    before.assert_restored(&host);
}
