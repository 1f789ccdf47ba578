//! netd's metrics as a scrape gets them. `tests/real/stacks.rs` has a Prometheus that takes them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tests::host::sleeper;
use tests::why::nft;
use tests::{Host, bin, eventually};

const ADDRESS: &str = "127.0.0.1:9469";

fn asked(mut stream: impl Read + Write, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// What a request at the port is answered, from the host itself.
fn said(host: &Host, request: &str) -> std::io::Result<String> {
    let request = request.to_owned();
    host.netns.inside(move || {
        let stream = TcpStream::connect(ADDRESS)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        asked(stream, &request)
    })
}

/// All numbers, by name and labels.
fn scrape(host: &Host) -> BTreeMap<String, f64> {
    let text = said(host, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    let mut all = BTreeMap::new();
    for line in samples {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(all.insert(name.to_owned(), value).is_none(), "{name} twice");
    }
    all
}

#[track_caller]
fn of(all: &BTreeMap<String, f64>, name: &str) -> f64 {
    *all.get(name).unwrap_or_else(|| panic!("no {name} in {all:#?}"))
}

fn metered() -> Host {
    let mut host = Host::new();
    host.configure(&format!("[metrics]\naddress = \"{ADDRESS}\"\n"));
    // Others may delete its table, on kernels too that would keep it for netd.
    let create = ["network", "create", "--internal", "--subnet", "10.9.0.0/24", "blue"];
    assert!(host.command(&create).env("NETD_PLAIN_TABLES", "1").output().unwrap().status.success());
    host
}

#[test]
fn a_scrape_says_what_there_is() {
    let host = metered();
    host.ok(&["network", "create", "-d", "macvlan", "-o", "parent=up0", "--subnet", "10.8.0.0/24", "lan"]);
    sleeper(&host, "c1", &["--network", "blue", "--ip", "10.9.0.11"]);
    sleeper(&host, "c2", &["--network", "blue", "--ip", "10.9.0.12"]);
    sleeper(&host, "l1", &["--network", "lan", "--ip", "10.8.0.11"]);
    sleeper(&host, "l2", &["--network", "lan", "--ip", "10.8.0.12"]);
    let before = scrape(&host);
    for (name, value) in [
        ("netd_writer_up", 1.0),
        ("netd_containers", 4.0),
        ("netd_networks{driver=\"macvlan\"}", 1.0),
        ("netd_network_containers{network=\"blue\"}", 2.0),
        ("netd_network_containers{network=\"lan\"}", 2.0),
        ("netd_attach_seconds_count", 4.0),
        ("netd_attach_seconds_bucket{le=\"+Inf\"}", 4.0),
        ("netd_attach_failures_total", 0.0),
        ("netd_debts", 0.0),
        ("netd_queue_length", 0.0),
        ("netd_container_series_left_out", 0.0),
        ("netd_store_failures_total", 0.0),
    ] {
        assert_eq!(of(&before, name), value, "{name}");
    }
    assert!(of(&before, "netd_store_write_seconds_count{durability=\"durable\"}") >= 4.0);
    assert!(of(&before, "netd_resident_memory_bytes") > 1e6);
    assert!(!before.contains_key("netd_cluster_store_up"), "this host is alone");
    for name in ["c1", "c2"] {
        host.ok(&["exec", name, "ping", "-c", "3", "-s", "1000", "10.9.0.1"]);
    }
    host.ok(&["exec", "l1", "ping", "-c", "3", "-s", "1000", "10.8.0.12"]);
    let after = scrape(&host);
    for (name, least) in [
        ("netd_network_received_bytes_total{network=\"blue\"}", 6000.0),
        ("netd_network_sent_bytes_total{network=\"blue\"}", 6000.0),
        ("netd_network_sent_packets_total{network=\"lan\"}", 6.0),
        ("netd_container_received_bytes_total{container=\"c1\",network=\"blue\"}", 3000.0),
        ("netd_container_sent_bytes_total{container=\"l2\",network=\"lan\"}", 3000.0),
    ] {
        let more = of(&after, name) - of(&before, name);
        assert!((least..least * 2.0).contains(&more), "{name}: {more}");
    }
    // Who goes takes nothing away from the network, and nobody keeps its own series.
    host.ok(&["rm", "-f", "c1"]);
    let last = scrape(&host);
    let sum = "netd_network_received_bytes_total{network=\"blue\"}";
    assert!(of(&last, sum) >= of(&after, sum));
    assert!(!last.contains_key("netd_container_sent_bytes_total{container=\"c1\",network=\"blue\"}"));
}

#[test]
fn a_scrape_says_what_happened() {
    let host = metered();
    host.ok(&["network", "create", "--subnet", "10.7.0.0/24", "green"]);
    sleeper(&host, "c1", &["--network", "blue", "--ip", "10.9.0.11"]);
    sleeper(&host, "g1", &["--network", "green", "--ip", "10.7.0.11"]);
    let before = scrape(&host);
    host.ok(&["exec", "c1", "nslookup", "-type=a", "c1", "127.0.0.11"]);
    assert_ne!(host.rcr(&["exec", "c1", "nslookup", "-type=a", "nobody.example", "127.0.0.11"]).code, 0);
    assert_ne!(host.rcr(&["exec", "g1", "ping", "-c", "1", "-W", "1", "10.9.0.11"]).code, 0);
    let refused = host.rcr(&["run", "--rm", "--network", "blue", "--ip", "10.9.0.11", "alpine", "true"]);
    assert_ne!(refused.code, 0);
    let id = host.ok(&["network", "inspect", "-f", "{{.Id}}", "green"]);
    host.netns.ip(&format!("link del br-{}", &id[..12]));
    nft(&host, "delete table inet rcr");
    let mut after = BTreeMap::new();
    eventually("both are repaired", || {
        after = scrape(&host);
        ["network", "table"].iter().all(|what| of(&after, &format!("netd_repairs_total{{what=\"{what}\"}}")) >= 1.0)
    });
    let more = |name: &str| of(&after, name) - of(&before, name);
    assert_eq!(more("netd_dns_queries_total{source=\"local\",answer=\"NOERROR\"}"), 1.0);
    assert_eq!(more("netd_dns_queries_total{source=\"local\",answer=\"NXDOMAIN\"}"), 1.0);
    assert_eq!(more("netd_attach_failures_total"), 1.0);
    // Its resolver outside does not answer.
    assert_ne!(host.rcr(&["exec", "g1", "nslookup", "-type=a", "nobody.example", "127.0.0.11"]).code, 0);
    let failed = "netd_dns_queries_total{source=\"forwarded\",answer=\"SERVFAIL\"}";
    eventually("the answer is counted", || of(&scrape(&host), failed) >= 1.0);
}

#[test]
fn what_rules_drop_is_counted_by_rule() {
    let host = metered();
    host.ok(&["network", "create", "--subnet", "10.7.0.0/24", "green"]);
    sleeper(&host, "c1", &["--network", "blue", "--ip", "10.9.0.11"]);
    sleeper(&host, "g1", &["--network", "green", "--ip", "10.7.0.11"]);
    let dropped = |all: &BTreeMap<String, f64>| -> f64 {
        all.iter()
            .filter(|(name, _)| name.starts_with("netd_rule_dropped_packets_total{"))
            .map(|(_, value)| value)
            .sum()
    };
    let before = scrape(&host);
    assert_ne!(host.rcr(&["exec", "g1", "ping", "-c", "2", "-W", "1", "10.9.0.11"]).code, 0);
    let after = scrape(&host);
    assert!(dropped(&after) >= dropped(&before) + 2.0, "{before:#?}\n{after:#?}");
}

#[test]
fn only_this_machine_is_asked_and_few_at_a_time() {
    let mut host = metered();
    assert!(said(&host, "POST /metrics HTTP/1.1\r\n\r\n").unwrap().starts_with("HTTP/1.1 405 "));
    assert!(said(&host, "GET / HTTP/1.1\r\n\r\n").unwrap().starts_with("HTTP/1.1 404 "));
    let open = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n";
    assert!(said(&host, open).unwrap().ends_with("\n# EOF\n"));
    // Eight that say nothing have all places for two seconds, and no longer.
    let idle: Vec<TcpStream> = (0..8).map(|_| host.netns.inside(|| TcpStream::connect(ADDRESS).unwrap())).collect();
    eventually("who says nothing is turned out", || said(&host, open).is_ok_and(|text| text.ends_with("# EOF\n")));
    drop(idle);
    let netd = |address: &str| {
        let output = host.netns.command(bin().join("netd")).args(["--metrics", address]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for address in ["0.0.0.0:9469", "198.51.100.1:9469", "[::]:9469", "9469"] {
        let (code, text) = netd(address);
        assert_eq!(code, Some(125), "{text}");
        assert!(
            text.contains("error: cannot serve metrics there\n")
                && text.contains("hint: `--metrics` takes 127.0.0.1:PORT"),
            "{text}"
        );
    }
    host.ok(&["system", "df"]);
    host.kill_netd();
    host.configure("[metrics]\naddress = \"0.0.0.0:9469\"\n");
    let text = host.refused(&["network", "ls"]);
    assert!(text.contains("metrics.address: `0.0.0.0:9469` can be reached from outside"), "{text}");
}

#[test]
fn a_socket_is_for_root_and_an_address_that_is_taken_stops_nothing() {
    let mut host = Host::new();
    let socket = host.scratch().join("metrics.sock");
    host.configure(&format!("[metrics]\naddress = \"{}\"\n", socket.display()));
    host.ok(&["network", "ls"]);
    eventually("the socket is there", || socket.exists());
    let text = asked(UnixStream::connect(&socket).unwrap(), "GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    assert!(text.contains("\nnetd_writer_up 1\n"), "{text}");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o117, 0);
    // The next one takes the place of one that was killed.
    host.kill_netd();
    host.ok(&["network", "ls"]);
    eventually("it is served again", || UnixStream::connect(&socket).is_ok());
    let pid = nix::unistd::Pid::from_raw(host.netd_pid().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    eventually("nothing is left", || !socket.exists());
    host.configure(&format!("[metrics]\naddress = \"{ADDRESS}\"\n"));
    let taken = host.netns.inside(|| TcpListener::bind(ADDRESS).unwrap());
    eventually("the other netd has ended", || host.rcr(&["network", "ls"]).code == 0 && host.netd_pid().is_some());
    eventually("it is said", || {
        host.netd_log().contains("no metrics at `127.0.0.1:9469` yet: address already in use (EADDRINUSE)")
    });
    drop(taken);
    eventually("it is served", || {
        said(&host, "GET /metrics HTTP/1.1\r\n\r\n").is_ok_and(|text| text.contains("netd_writer_up 1"))
    });
}
