//! Networks shown for people: what is shown is what the kernel has.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use tests::host::{pings, sleeper};
use tests::{Host, eventually};

fn shown(host: &Host, network: &str) -> Value {
    serde_json::from_str(&host.ok(&["network", "show", "--format", "json", network])).expect("JSON")
}

#[test]
fn a_network_is_shown_with_both_ends_of_its_links() {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.9.0.0/24", "--ipv6", "-o", "mtu=1400", "blue"]);
    sleeper(&host, "c1", &["--network", "blue", "--network-alias", "db", "-p", "8080:80"]);
    sleeper(&host, "c2", &["--network", "blue"]);
    assert!(pings(&host, "c1", "c2"));
    let view = shown(&host, "blue");
    assert_eq!((&view["mtu_from"], &view["network"]["mtu"]), (&"asked".into(), &1400.into()));
    assert_eq!(view["network"]["subnets"][0]["used"], 2);
    let end = |name: &str| {
        let all = view["endpoints"].as_array().unwrap().iter();
        all.clone().find(|e| e["attachment"]["container_name"] == name).expect(name).clone()
    };
    let c1 = end("c1");
    let (inside, outside) = (&c1["inside"], &c1["outside"]);
    assert_eq!((&inside["state"], &outside["state"]), (&"up".into(), &"up".into()));
    let mac = host.container_netns("c1").ip("-o link show eth0");
    assert!(mac.contains(inside["mac"].as_str().unwrap()) && mac.contains("mtu 1400"), "{mac}");
    let links = host.netns.run("ip -o link");
    assert!(links.contains(outside["name"].as_str().unwrap()), "{links}");
    assert!(inside["sent"]["packets"].as_u64().unwrap() > 0, "{inside}");
    assert!(c1["names"].as_array().unwrap().contains(&"db".into()));
    assert_eq!(c1["ports"][0]["host_port"], 8080);
    let text = host.ok(&["network", "show", "blue"]);
    for part in ["blue (bridge)", "1400 bytes, as asked for", "10.9.0.0/24", "10.9.0.1", "0.0.0.0:8080->80/tcp", "db"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Somebody sets an end down, and deletes another.
    host.netns.ip(&format!("link set {} down", outside["name"].as_str().unwrap()));
    assert_eq!(shown(&host, "blue")["endpoints"].as_array().unwrap().len(), 2);
    let text = host.ok(&["network", "show", "blue"]);
    assert!(text.contains("(down)"), "{text}");
    host.refused(&["network", "show", "no-such"]);
}

#[test]
fn what_a_rule_dropped_is_counted() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "create", "green"]);
    sleeper(&host, "c1", &["--network", "blue"]);
    sleeper(&host, "c2", &["--network", "green"]);
    assert_eq!(shown(&host, "green")["mtu_from"], "uplink");
    let to = host.address("c2", "green");
    assert!(!pings(&host, "c1", &to));
    eventually("the drop is counted", || {
        let view = shown(&host, "green");
        let rules = view["rules"].as_array().unwrap().clone();
        rules.iter().any(|rule| rule["packets"].as_u64().unwrap() > 0 && rule["table"] == "inet rcr")
    });
    let text = host.ok(&["network", "show", "green"]);
    assert!(text.contains("networks are closed"), "{text}");
    // Networks without links have less to show.
    assert!(host.ok(&["network", "show", "none", "host"]).contains("host (host)"));
}

#[test]
fn what_differs_is_found_and_made_again() {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.9.0.0/24", "blue"]);
    sleeper(&host, "c1", &["--network", "blue", "--ip", "10.9.0.11"]);
    sleeper(&host, "c2", &["--network", "blue", "--ip", "10.9.0.12"]);
    let check = |flags: &[&str]| {
        let ran = host.rcr(&[&["network", "check", "--format", "json"], flags].concat());
        let view: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        (view, ran.code)
    };
    let (view, code) = check(&[]);
    assert_eq!((code, view["differences"].as_array().unwrap().len()), (0, 0), "{view:#}");
    assert!(view["looked"].as_u64().unwrap() > 20, "{view}");
    let before = host.snapshot();
    let (c1, c2) = (host.container_netns("c1"), host.container_netns("c2"));
    let port = |name: &str| {
        let view = shown(&host, "blue");
        let all = view["endpoints"].as_array().unwrap().clone();
        let one = all.iter().find(|e| e["attachment"]["container_name"] == name).expect(name);
        one["outside"]["name"].as_str().unwrap().to_owned()
    };
    let bridge = shown(&host, "blue")["links"][0]["name"].as_str().unwrap().to_owned();
    host.netns.run("sysctl -qw net.ipv4.ip_forward=0");
    host.netns.run(&format!("sysctl -qw net.ipv4.conf.{bridge}.rp_filter=1"));
    host.netns.ip(&format!("link set {} mtu 1300", port("c1")));
    host.netns.ip(&format!("link set {} nomaster", port("c2")));
    host.netns.ip(&format!("addr del 10.9.0.1/24 dev {bridge}"));
    c1.ip("route del default");
    c2.ip("link set eth0 down");
    let (view, code) = check(&[]);
    let told = view["differences"].to_string();
    for part in [
        "ip_forward is 0, not 1",
        "rp_filter is 1, not 2",
        "is 1300, not 1500",
        "is not on bridge",
        "address 10.9.0.1/24",
        "the route to 0.0.0.0/0",
        "link `eth0` is down",
    ] {
        assert!(told.contains(part), "`{part}` is not in {view:#}");
    }
    assert_eq!(code, 1);
    let text = host.rcr(&["network", "check"]).expect_code(1).stdout;
    assert!(text.contains("made for c2 on network blue") && text.contains("check --repair"), "{text}");
    assert!(!pings(&host, "c1", "10.9.0.12"));
    let (view, code) = check(&["--repair"]);
    assert_eq!(code, 0, "{view:#}");
    assert!(view["differences"].as_array().unwrap().iter().all(|one| one["repaired"] == true), "{view:#}");
    assert!(check(&[]).0["differences"].as_array().unwrap().is_empty());
    assert!(pings(&host, "c1", "10.9.0.12") && pings(&host, "c2", "198.51.100.2"));
    before.assert_restored(&host);
    // A whole link, deleted, with everything that was on it.
    host.netns.ip(&format!("link del {}", port("c2")));
    let (view, _) = check(&["--repair"]);
    assert!(view.to_string().contains("is gone"), "{view:#}");
    eventually("c2 is on the network again", || pings(&host, "c1", "c2") && pings(&host, "c2", "198.51.100.2"));
    // Firewalls of others are named; they are not ours to change.
    host.netns.run("nft add table ip other");
    let chain = "add chain ip other f { type filter hook forward priority 0; policy drop; }";
    assert!(host.netns.command("nft").arg(chain).status().unwrap().success());
    let (view, code) = check(&["--repair"]);
    assert!(code == 1 && view["around"].to_string().contains("`ip other`"), "{view:#}");
}

#[test]
fn the_topology_is_drawn() {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.9.0.0/24", "blue"]);
    host.ok(&["network", "create", "--internal", "cellar"]);
    sleeper(&host, "c1", &["--network", "blue", "-p", "8080:80"]);
    sleeper(&host, "c2", &["--network", "blue"]);
    host.ok(&["network", "connect", "cellar", "c1"]);
    let text = host.ok(&["network", "graph"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("├─ blue (bridge, ") && lines[1].ends_with("NAT to outside)"), "{text}");
    assert!(lines[2].contains("c1  eth0 = ve") || lines[3].contains("c1  eth0 = ve"), "{text}");
    assert_eq!(text.matches("0.0.0.0:8080 → 80/tcp").count(), 1, "published by one network: {text}");
    assert!(text.contains("└─ cellar (") && text.contains("internal)"), "{text}");
    assert!(!host.ok(&["network", "graph", "cellar"]).contains("blue"));
    assert!(!host.ok(&["network", "graph", "--container", "c1"]).contains("c2  eth"));
    // Each edge has its two ends, each node its place, in every language.
    let view: Value = serde_json::from_str(&host.ok(&["network", "graph", "--as", "json"])).unwrap();
    let ids: Vec<&str> = view["nodes"].as_array().unwrap().iter().map(|n| n["id"].as_str().unwrap()).collect();
    for edge in view["edges"].as_array().unwrap() {
        assert!(ids.contains(&edge["from"].as_str().unwrap()) && ids.contains(&edge["to"].as_str().unwrap()), "{edge}");
    }
    for (language, head) in [("dot", "graph networks {"), ("mermaid", "flowchart LR")] {
        let drawn = host.ok(&["network", "graph", "--as", language]);
        assert!(drawn.starts_with(head) && ids.iter().all(|id| drawn.contains(id)), "{drawn}");
    }
    host.refused(&["network", "graph", "no-such"]);
}

#[test]
fn a_picture_is_drawn_into_a_file_and_again_when_something_changes() {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.9.0.0/24", "blue"]);
    sleeper(&host, "c1", &["--network", "blue", "-p", "8080:80"]);
    let file = |name: &str| host.scratch().join(name);
    let draw = |name: &str| {
        let path = file(name);
        assert_eq!(host.ok(&["network", "graph", "-o", path.to_str().unwrap()]), "");
        std::fs::read_to_string(path).unwrap()
    };
    let svg = draw("a.svg");
    assert!(svg.contains("<svg") && svg.contains(">c1</text>") && svg.contains("0.0.0.0:8080"), "{svg}");
    assert_eq!(draw("a.mmd").trim(), host.ok(&["network", "graph", "--as", "mermaid"]));
    assert_eq!(draw("a.dot").trim(), host.ok(&["network", "graph", "--as", "dot"]));
    assert!(host.refused(&["network", "graph", "-o", "a.png"]).contains("end it in .svg"));
    assert!(host.refused(&["network", "graph", "-o", "/no/such/folder/a.mmd"]).contains("(ENOENT)"));
    // Without graphviz nothing is written.
    let mut without = host.command(&["network", "graph", "-o", file("b.svg").to_str().unwrap()]);
    let ran = without.env("PATH", "/nonexistent").output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stderr).contains("install graphviz"), "{ran:?}");
    assert!(ran.status.code() == Some(1) && !file("b.svg").exists());
    let watched = file("w.json");
    let mut watching = host.spawn(&["network", "graph", "--watch", "-o", watched.to_str().unwrap()]);
    let drawn = |part: &str| std::fs::read_to_string(&watched).is_ok_and(|text| text.contains(part));
    eventually("it is drawn at once", || drawn("\"c1\""));
    sleeper(&host, "c2", &["--network", "blue"]);
    eventually("it is drawn with c2", || drawn("\"c2\""));
    host.ok(&["rm", "-f", "c2"]);
    eventually("it is drawn without c2", || !drawn("\"c2\""));
    // What nobody reads ends, without a change.
    drop(watching.stdout.take());
    assert_eq!(watching.wait().unwrap().code(), Some(141));
}

#[test]
fn what_passes_the_links_is_counted() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "create", "green"]);
    sleeper(&host, "c1", &["--network", "blue"]);
    sleeper(&host, "c2", &["--network", "blue"]);
    sleeper(&host, "c3", &["--network", "green"]);
    let format = "{{.Network}} {{.Container}} {{.Link}} {{.ReceivedPackets}} {{.SentPackets}}";
    let counted = |networks: &[&str]| {
        let text = host.ok(&[&["network", "stats", "--no-stream", "--format", format], networks].concat());
        text.lines().map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let before = counted(&["blue"]);
    let who: Vec<_> = before.iter().map(|one| one[..3].join(" ")).collect();
    assert_eq!(who, ["blue c1 eth0", "blue c2 eth0"]);
    assert!(pings(&host, "c1", "c2"));
    let after = counted(&["blue"]);
    for (one, other) in before.iter().zip(&after) {
        let more = |at: usize| other[at].parse::<u64>().unwrap() > one[at].parse::<u64>().unwrap();
        assert!(more(3) && more(4), "{before:?} {after:?}");
    }
    assert_eq!(counted(&[]).len(), 3);
    let table = host.ok(&["network", "stats", "--no-stream"]);
    assert!(table.starts_with("NETWORK") && table.contains("RECEIVED/S") && table.contains("green"), "{table}");
    host.refused(&["network", "stats", "--no-stream", "no-such"]);
}
