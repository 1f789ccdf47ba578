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
    let mac = host.container_netns("c1").run("cat /proc/net/arp > /dev/null; ip -o link show eth0");
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
