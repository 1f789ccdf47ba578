//! What neighbours say to each other is not tracked, and nothing is open because of it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::lab::*;
use netd_api::*;

/// Whether same-bridge frames cross the ip hooks.
fn filter_bridges(lab: &Lab, on: bool) {
    let on = u8::from(on);
    lab.host.sh(&format!("for f in iptables ip6tables; do echo {on} > /proc/sys/net/bridge/bridge-nf-call-$f; done"));
}

/// Connections to this port that the host remembers.
fn tracked(lab: &Lab, port: u16) -> usize {
    lab.host
        .sh(&format!(
            "conntrack -L -p tcp --dport {port} 2>/dev/null; conntrack -L -f ipv6 -p tcp --dport {port} 2>/dev/null"
        ))
        .lines()
        .count()
}

fn dual(spec: &mut NetworkCreate, _: &mut BridgeOptions) {
    spec.ipv6 = true;
}

fn has_chain(lab: &Lab, chain: &str) -> bool {
    lab.host.try_sh(&format!("nft list chain inet rcr {chain}")).0
}

#[test]
fn the_host_remembers_what_it_translates_and_nothing_between_neighbours() {
    let mut lab = Lab::new();
    lab.network_with("blue", dual);
    let a = lab.container("a", "blue");
    let b = lab.container_with("b", "blue", |spec| spec.publish = vec![publish(8080, 80)]);
    let _servers = [Server::tcp(&b.netns, "0.0.0.0:80"), Server::tcp(&b.netns, "[::]:81")];
    let _outside = Server::tcp(&lab.outside, "0.0.0.0:82");
    for on in [true, false] {
        filter_bridges(&lab, on);
        for to in [format!("{}:80", b.ip(false)), format!("[{}]:81", b.ip(true))] {
            let seen = a.netns.fetch(&to).unwrap();
            assert!(seen.starts_with(&a.ip(to.starts_with('[')).to_string()), "{seen}");
        }
        assert_eq!((tracked(&lab, 80), tracked(&lab, 81)), (0, 0), "bridged frames cross the ip hooks: {on}");
        assert!(a.netns.fetch(&format!("{OUTSIDE}:82")).unwrap().starts_with(HOST), "the world sees the host");
        assert_eq!(tracked(&lab, 82), 1);
        // Its own network's published port goes through the host, and is translated on both sides.
        assert!(a.netns.fetch(&format!("{HOST}:8080")).is_ok());
        assert_eq!(tracked(&lab, 8080), 1);
        lab.host.sh("conntrack -F 2>/dev/null");
    }
}

#[test]
fn icc_off_is_off_and_the_host_does_not_lead_around_it() {
    let mut lab = Lab::new();
    let net = lab.network_with("apart", |_, options| options.icc = false);
    let (a, b) = (lab.container("a", "apart"), lab.container("b", "apart"));
    let _server = Server::tcp(&b.netns, "0.0.0.0:80");
    let bridge = net.interface.unwrap();
    let mac = lab.host.sh(&format!("ip -o link show {bridge} | sed 's/.*ether //; s/ .*//'"));
    for on in [true, false] {
        filter_bridges(&lab, on);
        assert!(a.netns.fetch(&format!("{}:80", b.ip(false))).is_err());
        // By way of the host.
        a.netns.sh(&format!("ip neigh replace {} lladdr {} nud permanent dev eth0", b.ip(false), mac.trim()));
        assert!(a.netns.fetch(&format!("{}:80", b.ip(false))).is_err());
        a.netns.sh(&format!("ip neigh del {} dev eth0", b.ip(false)));
    }
}

#[test]
fn a_packet_as_if_for_a_neighbour_does_not_get_out_untranslated() {
    let mut lab = Lab::new();
    let net = lab.network("blue");
    let a = lab.container("a", "blue");
    let bridge = net.interface.unwrap();
    // A route back, so that a packet from the container's own address would be answered.
    lab.outside.sh(&format!("ip route add {} via {HOST}", a.info.attachments[0].addresses[0].trunc()));
    let _outside = [Server::tcp(&lab.outside, "0.0.0.0:82"), Server::udp(&lab.outside, "0.0.0.0:83", "out")];
    assert!(a.netns.fetch(&format!("{OUTSIDE}:82")).is_ok() && a.netns.ask_udp(&format!("{OUTSIDE}:83")).is_ok());
    // The port's own MAC is the host's, too, and not the bridge's.
    let port = lab.host.sh(&format!("ip -o link show master {bridge} | sed 's/.*ether //; s/ .*//'"));
    let gateway = net.subnets[0].gateway.unwrap();
    a.netns.sh(&format!("ip neigh replace {gateway} lladdr {} nud permanent dev eth0", port.trim()));
    lab.outside
        .sh("nft 'table ip t { chain c { type filter hook input priority 0; ip saddr != 192.0.2.0/24 counter; }; }'");
    for on in [true, false] {
        filter_bridges(&lab, on);
        assert!(a.netns.fetch(&format!("{OUTSIDE}:82")).is_err());
        assert!(a.netns.ask_udp(&format!("{OUTSIDE}:83")).is_err());
    }
    let seen = lab.outside.sh("nft list table ip t");
    assert!(seen.contains("counter packets 0 "), "{seen}");
    let dropped = lab.host.sh("nft list chain inet rcr forward");
    let rule = dropped.lines().find(|line| line.contains("untracked")).expect("the rule that drops them");
    assert!(!rule.contains("packets 0 "), "{rule}");
}

#[test]
fn rules_of_the_administrator_see_connections_between_neighbours() {
    [false, true].into_iter().for_each(rules_of_the_administrator);
}

/// `past`: as long as there are no rules, frames bypass the bridge.
fn rules_of_the_administrator(past: bool) {
    let mut lab = Lab::new();
    lab.network_with("blue", |_, options| options.redirect_peer = past);
    filter_bridges(&lab, true);
    let (a, b) = (lab.container("a", "blue"), lab.container("b", "blue"));
    let _servers = [Server::tcp(&a.netns, "0.0.0.0:80"), Server::tcp(&b.netns, "0.0.0.0:80")];
    let (to_a, to_b) = (format!("{}:80", a.ip(false)), format!("{}:80", b.ip(false)));
    let one_way = format!("nft add rule inet rcr-user user-forward ip saddr {} ct state new drop", b.ip(false));
    lab.host.sh(&one_way);
    eventually("b opens no connection to a", || b.netns.fetch(&to_a).is_err());
    assert!(a.netns.fetch(&to_b).is_ok(), "and answers a");
    assert!(tracked(&lab, 80) > 0);
    lab.host.sh("nft flush chain inet rcr-user user-forward && conntrack -F 2>/dev/null");
    let untracked = || {
        lab.host.sh("conntrack -F 2>/dev/null");
        b.netns.fetch(&to_a).is_ok() && tracked(&lab, 80) == 0
    };
    eventually("it is tracked no more", untracked);
    // One that comes while netd is away counts when it is back.
    lab.kill();
    lab.host.sh(&one_way);
    lab.start();
    eventually("b opens no connection to a again", || b.netns.fetch(&to_a).is_err());
    assert!(a.netns.fetch(&to_b).is_ok(), "and answers a again");
}

#[test]
fn chains_are_there_while_something_needs_them() {
    let mut lab = Lab::new();
    let before = lab.dump();
    lab.network("blue");
    let a = lab.container("a", "blue");
    for chain in ["publish", "publish-local", "clamp", "tunnels", "no-tunnel", "own-only", "encrypted-only"] {
        assert!(!has_chain(&lab, chain), "{chain}");
    }
    let b = lab.container_with("b", "blue", |spec| spec.publish = vec![publish(8080, 80)]);
    let c = lab.container_with("c", "blue", |spec| spec.publish = vec![publish(8081, 80)]);
    let _servers = [Server::tcp(&b.netns, "0.0.0.0:80"), Server::tcp(&c.netns, "0.0.0.0:80")];
    assert!(has_chain(&lab, "publish") && has_chain(&lab, "publish-local"));
    lab.end(b);
    assert!(has_chain(&lab, "publish"), "another one needs it");
    assert!(lab.outside.fetch(&format!("{HOST}:8081")).is_ok());
    lab.kill();
    assert!(lab.outside.fetch(&format!("{HOST}:8081")).is_ok(), "without netd");
    lab.start();
    lab.end(c);
    assert!(!has_chain(&lab, "publish") && !has_chain(&lab, "publish-local"));
    assert!(a.netns.ping(OUTSIDE));
    lab.end(a);
    lab.call(Call::NetworkRemove { network: "blue".into() });
    lab.clean(&before);
}
