//! Firewalls of others that cut containers off: found, named, with a command that lets us through.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use tests::{Host, eventually};

/// Tables as others write them: each drops what is forwarded and is none of its own.
const OTHERS: [(&str, &str, &str); 4] = [
    // Docker's, and ufw's, in the tables of iptables.
    (
        "ip filter",
        "FORWARD",
        "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; \
        add chain ip filter DOCKER-USER; add rule ip filter FORWARD counter jump DOCKER-USER; \
        add rule ip filter FORWARD iifname docker0 accept; add rule ip filter FORWARD ct state established accept",
    ),
    // firewalld's: a last rule.
    (
        "inet firewalld",
        "filter_FORWARD",
        "add table inet firewalld; \
        add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy accept; }; \
        add chain inet firewalld zones; add rule inet firewalld filter_FORWARD ct state established,related accept; \
        add rule inet firewalld filter_FORWARD ct status dnat accept; \
        add rule inet firewalld filter_FORWARD jump zones; \
        add rule inet firewalld filter_FORWARD reject with icmpx type admin-prohibited",
    ),
    (
        "ip6 mine",
        "through",
        "add table ip6 mine; add chain ip6 mine through { type filter hook forward priority -50; policy drop; }",
    ),
    (
        "inet deep",
        "through",
        "add table inet deep; add chain inet deep through { type filter hook forward priority 5; }; \
        add chain inet deep end; add rule inet deep end log; add rule inet deep end drop; add rule inet deep through goto end",
    ),
];

fn nft(host: &Host, commands: &str) {
    let output = host.netns.command("nft").arg(commands).output().expect("nft is needed");
    assert!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn each_is_named_and_its_command_lets_us_through() {
    let host = Host::new();
    host.ok(&["network", "create", "--ipv6", "blue"]);
    let run = ["run", "--rm", "--network", "blue", "alpine", "true"];
    assert_eq!(host.rcr(&run).expect_code(0).stderr, "", "no firewall, no warning");
    let reach = |family: &str, to: &str| {
        host.rcr(&["run", "--rm", "--network", "blue", "alpine", "ping", family, "-c", "1", "-W", "1", to]).code == 0
    };
    for (table, chain, commands) in OTHERS {
        nft(&host, commands);
        let (family, to) = if table.starts_with("ip6") { ("-6", "2001:db8::2") } else { ("-4", "198.51.100.2") };
        assert!(!reach(family, to), "{table}: it does cut us off");
        let said = host.rcr(&run).expect_code(0).stderr;
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(lines[0].starts_with("warning: ") && lines[0].contains(&format!("`{table}`")), "{said}");
        assert!(lines[0].contains(&format!("`{chain}`")) && lines[0].contains("`blue`"), "{said}");
        let command = lines[1].strip_prefix("hint: let it through: ").expect(&said);
        for text in [host.ok(&["network", "inspect", "blue"]), host.ok(&["info", "--format", "json"])] {
            let quoted = serde_json::to_string(command).unwrap();
            assert!(text.contains(&quoted) && text.contains(chain), "{text}");
        }
        let output = host.netns.command("sh").arg("-c").arg(command).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        eventually("it lets us through", || reach(family, to));
        assert_eq!(host.rcr(&run).expect_code(0).stderr, "", "{table}: nothing more to say");
        nft(&host, &format!("delete table {table}"));
    }
}

#[test]
fn what_does_not_concern_us_is_passed_over() {
    let host = Host::new();
    // A chain that drops what is about somebody else, one of another hook, one for IPv6 beside a network without it.
    nft(
        &host,
        "add table inet a; add chain inet a f { type filter hook forward priority 0; }; add rule inet a f iifname vm0 drop; \
        add rule inet a f ct state invalid drop; add chain inet a i { type filter hook input priority 0; policy drop; }; \
        add rule inet a i accept",
    );
    nft(&host, "add table ip6 b; add chain ip6 b f { type filter hook forward priority 0; policy drop; }");
    assert_eq!(host.rcr(&["run", "--rm", "alpine", "true"]).expect_code(0).stderr, "");
    // One that lets us through already, by a set of links.
    host.ok(&["network", "create", "blue"]);
    let info: serde_json::Value = serde_json::from_str(&host.ok(&["network", "inspect", "blue"])).unwrap();
    let id = info[0]["Id"].as_str().unwrap();
    let ours = format!("{{ \"eth7\", \"br-{}\" }}", &id[..12]);
    nft(
        &host,
        &format!(
            "add table inet d; add chain inet d f {{ type filter hook forward priority 0; policy drop; }}; \
             add rule inet d f iifname {ours} accept; add rule inet d f oifname {ours} counter accept"
        ),
    );
    assert_eq!(host.rcr(&["run", "--rm", "--network", "blue", "alpine", "true"]).expect_code(0).stderr, "");
    nft(&host, "delete table inet d");
    // An internal network sends nothing out.
    nft(&host, "add table ip c; add chain ip c f { type filter hook forward priority 0; policy drop; }");
    host.ok(&["network", "create", "--internal", "cellar"]);
    assert_eq!(host.rcr(&["run", "--rm", "--network", "cellar", "alpine", "true"]).expect_code(0).stderr, "");
    assert!(host.rcr(&["run", "--rm", "alpine", "true"]).stderr.contains("`ip c`"));
    assert_eq!(host.rcr(&["run", "--rm", "--network", "none", "alpine", "true"]).expect_code(0).stderr, "");
}
