//! Published ports.
#![allow(clippy::unwrap_used)]

use tests::host::{HOST_V4, HOST_V6};
use tests::{Host, eventually};

const GET: &str = "GET /client HTTP/1.0\r\n\r\n";

/// An nginx that says who asks.
fn web(flags: &[&str]) -> Host {
    let host = Host::new();
    host.import_nginx();
    let mut args = vec!["run", "-d", "--name", "web"];
    args.extend(flags);
    args.push("nginx");
    host.ok(&args);
    let address = host.address("web", "bridge");
    eventually("nginx listens", || host.netns.tcp(&format!("{address}:80"), GET).is_ok());
    host
}

fn asker(answer: std::io::Result<String>) -> String {
    answer.unwrap().lines().last().unwrap().to_owned()
}

#[test]
fn reachable_from_everywhere_with_the_askers_address() {
    let host = web(&["-p", "5000:80"]);
    assert_eq!(asker(host.outside.tcp(&format!("{HOST_V4}:5000"), GET)), "198.51.100.2");
    assert!(host.netns.tcp(&format!("{HOST_V4}:5000"), GET).is_ok());
    assert!(host.netns.tcp("127.0.0.1:5000", GET).is_ok());
    assert!(host.netns.tcp("[::1]:5000", GET).is_ok());
    // From another container, on this network or another, and from itself.
    let fetch = |args: &[&str]| {
        let mut all = args.to_vec();
        let url = format!("http://{HOST_V4}:5000/");
        all.extend(["timeout", "2", "wget", "-qO-", &url]);
        host.rcr(&all)
    };
    assert!(fetch(&["run", "--rm", "alpine"]).stdout.contains("Welcome"));
    host.ok(&["network", "create", "other"]);
    assert!(fetch(&["run", "--rm", "--network", "other", "alpine"]).stdout.contains("Welcome"));
    let itself = host.rcr(&[
        "exec",
        "web",
        "busybox",
        "timeout",
        "2",
        "busybox",
        "wget",
        "-qO-",
        &format!("http://{HOST_V4}:5000/"),
    ]);
    assert!(itself.stdout.contains("Welcome"), "{itself:?}");
    assert!(host.ok(&["port", "web"]).contains("80/tcp -> 0.0.0.0:5000"));
    assert_eq!(host.ok(&["port", "web", "80"]).lines().next(), Some("0.0.0.0:5000"));
    host.ok(&["rm", "-f", "web"]);
    assert!(host.outside.tcp(&format!("{HOST_V4}:5000"), GET).is_err());
}

#[test]
fn on_an_ipv6_network_both_families() {
    let host = Host::new();
    host.import_nginx();
    host.ok(&["network", "create", "--ipv6", "six"]);
    host.ok(&["run", "-d", "--name", "web", "--network", "six", "-p", "5000:80", "nginx"]);
    eventually("it answers over IPv6", || host.outside.tcp(&format!("[{HOST_V6}]:5000"), GET).is_ok());
    assert_eq!(asker(host.outside.tcp(&format!("[{HOST_V6}]:5000"), GET)), "2001:db8::2");
    assert_eq!(asker(host.outside.tcp(&format!("{HOST_V4}:5000"), GET)), "198.51.100.2");
    assert!(host.netns.tcp("[::1]:5000", GET).is_ok());
    assert!(host.netns.tcp(&format!("[{HOST_V6}]:5000"), GET).is_ok());
}

#[test]
fn bound_to_loopback_it_stays_there() {
    let host = web(&["-p", "127.0.0.1:5001:80"]);
    assert!(host.netns.tcp("127.0.0.1:5001", GET).is_ok());
    assert!(host.outside.tcp(&format!("{HOST_V4}:5001"), GET).is_err());
    // Not even with a route to 127/8 through the host.
    host.outside.run("sysctl -qw net.ipv4.conf.all.route_localnet=1");
    host.outside.ip("route del local 127.0.0.0/8 dev lo table local");
    host.outside.ip("route del local 127.0.0.1 dev lo table local");
    host.outside.ip(&format!("route add 127.0.0.0/8 via {HOST_V4}"));
    assert!(host.outside.tcp("127.0.0.1:5001", GET).is_err(), "reachable from the network");
}

#[test]
fn ranges_ephemeral_ports_and_publish_all() {
    let host = web(&["-P", "-p", "7000-7004:8000-8004/udp", "-p", "80", "-p", "6000-6010:80"]);
    let ports = host.ok(&["port", "web"]);
    assert!(ports.contains("8000-8004/udp -> 0.0.0.0:7000-7004"), "{ports}");
    assert_eq!(host.ok(&["port", "web", "8003/udp"]).lines().next(), Some("0.0.0.0:7003"));
    let tcp: Vec<u16> = host
        .ok(&["port", "web", "80"])
        .lines()
        .filter(|line| line.starts_with("0.0.0.0:"))
        .map(|line| line.rsplit(':').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(tcp.len(), 2, "{ports}");
    for port in tcp {
        assert!(host.outside.tcp(&format!("{HOST_V4}:{port}"), GET).is_ok(), "{port}");
    }
    let all = Host::new();
    all.import_nginx();
    all.ok(&["run", "-d", "--name", "web", "-P", "--expose", "81", "nginx"]);
    let ports = all.ok(&["port", "web"]);
    assert!(ports.contains("80/tcp -> 0.0.0.0:") && ports.contains("81/tcp -> 0.0.0.0:"), "{ports}");
}

#[test]
fn udp_goes_both_ways_and_follows_a_new_container() {
    let host = Host::new();
    let echo = |name: &str| {
        let server = format!("{}:/answer", env!("CARGO_BIN_EXE_answer"));
        host.ok(&[
            "run",
            "-d",
            "--name",
            name,
            "-p",
            "5353:5353/udp",
            "-v",
            &server,
            "alpine",
            "/answer",
            "udp",
            "5353",
            name,
        ]);
    };
    echo("first");
    eventually("the first answers", || {
        host.outside.udp(&format!("{HOST_V4}:5353"), "?").is_ok_and(|said| said.contains("first"))
    });
    host.ok(&["rm", "-f", "first"]);
    echo("second");
    eventually("the second answers", || {
        host.outside.udp(&format!("{HOST_V4}:5353"), "?").is_ok_and(|said| said.contains("second"))
    });
}

#[test]
fn a_port_in_use_is_refused_before_anything_is_started() {
    let host = web(&["-p", "5000:80"]);
    let before = host.snapshot();
    let other = host.refused(&["run", "-d", "--name", "late", "-p", "5000:80", "alpine", "true"]);
    assert!(other.contains("5000") && other.contains("web"), "{other}");
    let _listener = host.netns.inside(|| std::net::TcpListener::bind("0.0.0.0:5005").unwrap());
    let foreign = host.refused(&["run", "-d", "--name", "late", "-p", "5005:80", "alpine", "true"]);
    assert!(foreign.contains("5005"), "{foreign}");
    before.assert_restored(&host);
    // The same port of another protocol is another port.
    host.ok(&["run", "-d", "--name", "udp", "-p", "5000:80/udp", "alpine", "sleep", "1000"]);
    // A published port is held: nobody else can bind it by accident.
    let bound = host.netns.inside(|| std::net::TcpListener::bind("0.0.0.0:5000"));
    assert!(bound.is_err());
}

#[test]
fn a_thousand_ports_are_one_rule() {
    let host = Host::new();
    host.ok(&[
        "run",
        "-d",
        "--name",
        "many",
        "-p",
        "20000-20999:20000-20999",
        "alpine",
        "sh",
        "-c",
        "echo yes | nc -l -p 20777",
    ]);
    let ruleset = host.netns.run("nft list ruleset");
    assert!(ruleset.contains("20000-20999"), "{ruleset}");
    assert!(ruleset.lines().count() < 400, "{} lines", ruleset.lines().count());
    eventually("one of them answers", || {
        host.outside.tcp(&format!("{HOST_V4}:20777"), "").is_ok_and(|said| said.contains("yes"))
    });
}

#[test]
fn ports_come_back_with_a_restart() {
    let host = web(&["-p", "5000:80"]);
    host.ok(&["restart", "-t", "0", "web"]);
    eventually("it answers again", || host.outside.tcp(&format!("{HOST_V4}:5000"), GET).is_ok());
    host.ok(&["stop", "-t", "0", "web"]);
    assert!(host.outside.tcp(&format!("{HOST_V4}:5000"), GET).is_err());
    host.ok(&["start", "web"]);
    eventually("and again", || host.outside.tcp(&format!("{HOST_V4}:5000"), GET).is_ok());
}
