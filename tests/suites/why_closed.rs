//! `network why` where something is closed on purpose: by a network's own options, by a firewall, by a program that
//! does not listen, by how a port is published. Each case has its working twin.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::UdpSocket;
use tests::host::sleeper;
use tests::why::{ask, broken, listens, nft, pair, reaches, repair};
use tests::{Host, eventually};

#[test]
fn closed_by_the_networks_own_options() {
    let host = Host::new();
    for (name, flag) in [("cellar", "--internal"), ("lone", "-o=icc=false")] {
        host.ok(&["network", "create", flag, name]);
        for c in ["1", "2"] {
            sleeper(&host, &format!("{name}{c}"), &["--network", name]);
        }
    }
    broken(&host, "cellar1", "outside", "internal", &["`cellar`"]);
    broken(&host, "cellar1", "198.51.100.2:80", "internal", &["--internal"]);
    reaches(&host, "cellar1", "cellar2");
    broken(&host, "lone1", "lone2", "icc_off", &["icc=false"]);
    reaches(&host, "lone1", "outside");
    // IPv6, which the network has not.
    let hop = broken(&host, "lone1", "2001:db8::2", "ipv6_off", &["`lone`"]);
    repair(&host, &hop);
    eventually("it has IPv6", || ask(&host, "lone1", "2001:db8::2")["reach"] == "yes");
    // The host's own ports.
    let own = listens(&host.netns, "0.0.0.0:9000");
    broken(&host, "lone1", "host:9000", "host_closed", &["host_access=true"]);
    host.ok(&["network", "create", "-o", "host_access=true", "open"]);
    sleeper(&host, "o1", &["--network", "open"]);
    reaches(&host, "o1", "host:9000");
    drop(own);
    broken(&host, "o1", "host:9000", "not_listening", &["9000"]);
}

#[test]
fn closed_by_a_firewall() {
    let host = pair(&[]);
    let web = listens(&host.container_netns("c2"), "0.0.0.0:80");
    let forward = "type filter hook forward priority 0";
    let cases = [
        // A policy, and a rule: both named.
        (
            format!("add table inet a; add chain inet a f {{ {forward}; policy drop; }}"),
            "inet a",
            "c1",
            "outside",
            "policy",
        ),
        (
            format!(
                "add table ip b; add chain ip b f {{ {forward}; }}; add rule ip b f ip saddr 10.9.0.11 counter drop"
            ),
            "ip b",
            "c1",
            "outside",
            "ip saddr 10.9.0.11 counter drop",
        ),
        (
            format!(
                "add table inet c; add chain inet c f {{ {forward}; }}; add chain inet c deep; add rule inet c f jump deep; \
                 add rule inet c deep meta l4proto icmp reject comment \"no pings\""
            ),
            "inet c",
            "c1",
            "outside",
            "no pings",
        ),
        // On the bridge itself, where containers are neighbours; and what the host sends.
        (
            "add table bridge d; add chain bridge d f { type filter hook forward priority 0; }; \
             add rule bridge d f ip daddr 10.9.0.12 tcp dport 80 drop"
                .to_owned(),
            "bridge d",
            "c1",
            "c2:80",
            "th dport 80",
        ),
        (
            "add table inet e; add chain inet e o { type filter hook output priority 0; }; \
             add rule inet e o ip daddr 10.9.0.12 tcp dport 80 drop"
                .to_owned(),
            "inet e",
            "host",
            "c2:80",
            "drop",
        ),
    ];
    for (commands, table, from, to, part) in cases {
        reaches(&host, from, to);
        nft(&host, &commands);
        broken(&host, from, to, "foreign_table", &[&format!("`{table}`"), part]);
        nft(&host, &format!("delete table {table}"));
        reaches(&host, from, to);
    }
    // Answers that are dropped.
    nft(
        &host,
        "add table bridge back; add chain bridge back f { type filter hook forward priority 0; }; \
         add rule bridge back f tcp sport 80 drop",
    );
    broken(&host, "c1", "c2:80", "foreign_table", &["answers", "`bridge back`"]);
    nft(&host, "delete table bridge back");
    // The administrator's own.
    nft(&host, "add rule inet rcr-user user-forward ip daddr 198.51.100.2 drop");
    let hop = broken(&host, "c1", "outside", "administrators_rule", &["user-forward", "ip daddr 198.51.100.2"]);
    repair(&host, &hop);
    reaches(&host, "c1", "outside");
    drop(web);
}

#[test]
fn nobody_listens() {
    let host = pair(&[]);
    let c2 = host.container_netns("c2");
    broken(&host, "c1", "c2:80", "not_listening", &["80"]);
    let web = listens(&c2, "127.0.0.1:80");
    broken(&host, "c1", "c2:80", "listens_on_loopback", &["127.0.0.1:80", "0.0.0.0:80"]);
    drop(web);
    let web = listens(&c2, "10.9.0.12:80");
    reaches(&host, "c1", "c2:80");
    drop(web);
    host.ok(&["network", "create", "green"]);
    host.ok(&["network", "connect", "green", "c2"]);
    let web = listens(&c2, &format!("{}:80", host.address("c2", "green")));
    broken(&host, "c1", "c2:80", "listens_elsewhere", &[&host.address("c2", "green")]);
    drop(web);
    // UDP gives no answer: a socket that waits is as much as can be known.
    broken(&host, "c1", "c2:53/udp", "not_listening", &["UDP"]);
    let socket = c2.inside(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    reaches(&host, "c1", "c2:53/udp");
    drop(socket);
}

#[test]
fn published_ports() {
    let host = Host::new();
    sleeper(&host, "web", &["-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "[::1]:8082:80"]);
    sleeper(&host, "c1", &[]);
    broken(&host, "outside", "web:80", "not_listening", &["80"]);
    let web = listens(&host.container_netns("web"), "0.0.0.0:80");
    reaches(&host, "outside", "web:80");
    reaches(&host, "host", "198.51.100.1:8080");
    reaches(&host, "c1", "198.51.100.1:8080");
    // On another address than the one that is asked.
    broken(&host, "outside", "web:8081", "published_elsewhere", &["127.0.0.1:8081"]);
    broken(&host, "host", "198.51.100.1:8081", "published_elsewhere", &["127.0.0.1:8081"]);
    reaches(&host, "host", "127.0.0.1:8081");
    broken(&host, "host", "127.0.0.1:8082", "published_elsewhere", &["[::1]:8082"]);
    reaches(&host, "host", "[::1]:8082");
    broken(&host, "outside", "web:81", "not_published", &["81"]);
    broken(&host, "outside", "c1", "not_published", &[]);
    // A firewall that outside meets first, and a host that passes nothing on.
    nft(&host, "add table ip x; add chain ip x f { type filter hook forward priority 0; policy drop; }");
    broken(&host, "outside", "web:80", "foreign_table", &["`ip x`"]);
    nft(&host, "delete table ip x");
    host.netns.run("sysctl -qw net.ipv4.ip_forward=0");
    broken(&host, "outside", "web:80", "forwarding_off", &["ip_forward"]);
    host.netns.run("sysctl -qw net.ipv4.ip_forward=1");
    reaches(&host, "outside", "web:80");
    // Taken by another program, which was there first.
    drop(web);
    let other = listens(&host.netns, "0.0.0.0:8090");
    host.ok(&["create", "--name", "late", "-p", "8090:80", "alpine", "sleep", "1000"]);
    assert!(host.refused(&["start", "late"]).contains("8090"));
    broken(&host, "outside", "late:80", "port_taken", &["8090"]);
    drop(other);
    broken(&host, "outside", "late:80", "not_running", &[]);
}
