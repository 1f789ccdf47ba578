//! `network why` where what is broken is a LAN's server, a resolver's or a bridge's. Each case has its working twin.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Child, Stdio};
use tests::host::sleeper;
use tests::why::{ask, broken, listens, pair, reaches, resolver};
use tests::{Host, eventually};

#[test]
fn a_name_is_looked_for_in_the_search_domains() {
    let host = Host::new();
    resolver(&host, |name| name == "db.two.example.");
    let web = listens(&host.outside, "198.51.100.2:80");
    for (name, domain) in [("c1", "two.example"), ("c2", "one.example")] {
        sleeper(&host, name, &["--dns", "198.51.100.2", "--dns-search", domain]);
    }
    let answer = reaches(&host, "c1", "db:80");
    assert!(answer["hops"].to_string().contains("the name `db` is 198.51.100.2"), "{answer:#}");
    broken(&host, "c2", "db:80", "no_such_name", &["`db`", "search domains: `one.example`"]);
    // A whole name is looked for nowhere else.
    reaches(&host, "c2", "db.two.example:80");
    let hop = broken(&host, "c2", "db.one.example:80", "no_such_name", &["`db.one.example`"]);
    assert!(!hop.to_string().contains("search domains"), "{hop:#}");
    drop(web);
}

#[test]
fn a_name_that_depends_on_health() {
    let host = pair(&[]);
    let health = ["--health-cmd", "test -e /ok", "--health-interval", "100ms", "--health-retries", "1"];
    sleeper(&host, "sick", &[&["--network", "blue", "--dns-healthy-only"][..], &health].concat());
    broken(&host, "c1", "sick", "name_withheld", &["`sick`", "--dns-healthy-only"]);
    host.ok(&["exec", "sick", "touch", "/ok"]);
    eventually("it is healthy", || ask(&host, "c1", "sick")["reach"] == "yes");
    reaches(&host, "c1", "sick");
}

/// dnsmasq on the LAN outside; ends with the value.
struct Server(Child);

impl Server {
    fn start(host: &Host, range: &str, more: &[&str]) -> Self {
        let dir = host.scratch();
        let mut command = host.outside.command("/usr/sbin/dnsmasq");
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--port=0", "--interface=world"]);
        command.args(["--bind-interfaces", "--no-ping", "--dhcp-authoritative"]);
        command.arg(format!("--dhcp-range={range},2m")).arg("--dhcp-option=option:router,198.51.100.2");
        command.arg(format!("--dhcp-leasefile={}", dir.join("leases").display()));
        command.arg(format!("--pid-file={}", dir.join("pid").display()));
        // It is asked again after seconds.
        command.args(["--dhcp-option-force=option:T1,2", "--dhcp-option-force=option:T2,4"]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("dnsmasq is needed: `make setup-test` installs it"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_lease_that_the_lan_takes_back() {
    let host = Host::new();
    let server = Server::start(&host, "198.51.100.50,198.51.100.60", &[]);
    host.ok(&["network", "create", "-d", "macvlan", "-o", "parent=up0", "--ipam-driver", "dhcp", "lan"]);
    sleeper(&host, "m1", &["--network", "lan"]);
    reaches(&host, "m1", "198.51.100.2");
    let had = host.address("m1", "lan");
    // Another server, which knows nothing of it and has nothing to give.
    drop(server);
    std::fs::remove_file(host.scratch().join("leases")).unwrap();
    let other = Server::start(&host, "198.51.100.90,198.51.100.90", &["--dhcp-host=02:00:00:00:00:77,198.51.100.90"]);
    eventually("the address is taken off", || {
        !host.container_netns("m1").run("ip -o -4 addr show eth0").contains(&had)
    });
    broken(&host, "m1", "198.51.100.2", "lease_lost", &["`lan`", "its lease has ended"]);
    assert!(host.netd_log().contains(&format!("the lease of container `m1` has ended: the address `{had}/24`")));
    // netd remembers that across a restart, and the client goes on asking.
    host.kill_netd();
    broken(&host, "m1", "198.51.100.2", "lease_lost", &["`lan`"]);
    drop(other);
    let third = Server::start(&host, "198.51.100.70,198.51.100.75", &[]);
    // It asks at growing intervals, of half a minute at most.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while ask(&host, "m1", "198.51.100.2")["reach"] != "yes" {
        assert!(std::time::Instant::now() < until, "no other address came: {}", host.netd_log());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert!(host.address("m1", "lan").starts_with("198.51.100.7"));
    drop(third);
}

/// A bridge has 1023 ports; most of these are somebody else's.
#[test]
fn a_bridge_that_has_no_port_left() {
    let host = pair(&[]);
    host.ok(&["create", "--name", "late", "--network", "blue", "alpine", "sleep", "1000"]);
    broken(&host, "c1", "late", "not_running", &["created"]);
    let id = host.ok(&["network", "inspect", "-f", "{{.Id}}", "blue"]);
    let bridge = format!("br-{}", &id[..12]);
    let batch = host.scratch().join("batch");
    // Pairs that are down, both ends but one on the bridge: with the two containers, 1023.
    let made = |n| format!("link add p{n} type veth peer name q{n}\n");
    let join = |link: String| format!("link set {link} master {bridge}\n");
    let lines = (0..511)
        .map(|n| made(n) + &join(format!("p{n}")) + &if n == 0 { String::new() } else { join(format!("q{n}")) });
    std::fs::write(&batch, lines.collect::<String>()).unwrap();
    host.netns.run(&format!("ip -batch {}", batch.display()));
    let said = host.refused(&["start", "late"]);
    assert!(said.contains("EXFULL"), "{said}");
    let hop = broken(&host, "c1", "late", "network_full", &["`blue`", "1023 ports"]);
    assert!(hop["repair"][0].as_str().unwrap().contains("another network"), "{hop:#}");
    host.netns.ip("link del p0");
    broken(&host, "c1", "late", "not_running", &[]);
    host.ok(&["start", "late"]);
    reaches(&host, "c1", "late");
}
