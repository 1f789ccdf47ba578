//! Addresses from a LAN's own DHCP server, a real dnsmasq in the world outside: leased, renewed, given back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::lab::*;
use netd_api::*;
use rcr_base::{recv_frame, send_frame};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RANGE: &str = "192.0.2.50,192.0.2.60";

/// Leases have times of their own, of seconds.
fn in_time(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// dnsmasq on `out0`; ends with the test.
struct Dnsmasq {
    child: Child,
    dir: tempfile::TempDir,
}

impl Dnsmasq {
    fn start(lab: &Lab, range: &str, options: &[&str]) -> Self {
        assert!(try_sh("command -v dnsmasq || ls /usr/sbin/dnsmasq").0, "these tests need `dnsmasq`");
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let mut args = vec![
            "--keep-in-foreground".to_owned(),
            "--conf-file=/dev/null".into(),
            "--user=root".into(),
            "--port=0".into(),
            "--interface=out0".into(),
            "--bind-interfaces".into(),
            "--no-ping".into(),
            "--log-dhcp".into(),
            "--dhcp-authoritative".into(),
            format!("--dhcp-range={range},2m"),
            format!("--dhcp-option=option:router,{OUTSIDE}"),
            format!("--dhcp-leasefile={}", at("leases")),
            format!("--pid-file={}", at("pid")),
            format!("--log-facility={}", at("log")),
        ];
        args.extend(options.iter().map(|o| o.to_string()));
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", lab.outside.path())).arg("/usr/sbin/dnsmasq").args(args);
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let dnsmasq = Self { child, dir };
        eventually("dnsmasq is there", || dnsmasq.log().contains("DHCP, IP range"));
        dnsmasq
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn leases(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("leases")).unwrap_or_default()
    }

    fn count(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spec(change: impl FnOnce(&mut NetworkCreate, &mut LanOptions)) -> NetworkCreate {
    let mut spec = network_spec("lan", |_, _| {});
    let mut options = LanOptions { parent: Some("up0".parse().unwrap()), dhcp: true, ..LanOptions::default() };
    change(&mut spec, &mut options);
    spec.driver = DriverSpec::Macvlan(MacvlanOptions { lan: options, mode: MacvlanMode::Bridge });
    spec
}

fn create(lab: &mut Lab, spec: NetworkCreate) -> Result<Reply, ApiError> {
    lab.try_call(Call::NetworkCreate { spec, dry_run: false })
}

#[test]
fn leased_used_resumed_and_given_back() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let dnsmasq = Dnsmasq::start(&lab, RANGE, &[]);
    create(&mut lab, spec(|_, _| {})).unwrap();
    let (a, b) = (lab.container("a", "lan"), lab.container("b", "lan"));
    for container in [&a, &b] {
        let ip = container.ip(false).to_string();
        assert!(dnsmasq.leases().contains(&ip), "{ip}: {}", dnsmasq.leases());
        assert!(container.netns.sh("ip -o addr show eth0").contains(&format!("{ip}/24")));
        assert!(container.netns.sh("ip route").contains(&format!("default via {OUTSIDE} dev eth0")));
        assert!(container.netns.ping(OUTSIDE) && lab.outside.ping(container.ip(false)));
    }
    assert!(a.netns.ping(b.ip(false)));
    assert!(dnsmasq.leases().contains(" a ") && dnsmasq.leases().contains(" b "), "by name: {}", dnsmasq.leases());
    // The links change under their leases; a subnet of ours would be none of the LAN's.
    let update = |change: NetworkChange| Call::NetworkUpdate { network: "lan".into(), change, dry_run: false };
    lab.call(update(NetworkChange { mtu: Some(1300), ..NetworkChange::default() }));
    assert!(a.netns.sh("ip -o link show eth0").contains("mtu 1300") && a.netns.ping(OUTSIDE));
    let subnets = vec![SubnetRequest {
        subnet: "fd77::/64".parse().unwrap(),
        gateway: None,
        no_gateway: false,
        ip_range: None,
        aux_addresses: Default::default(),
    }];
    let error = lab.try_call(update(NetworkChange { subnets, ..NetworkChange::default() })).unwrap_err();
    assert!(causes(&error).contains("DHCP server knows its subnet"), "{error:?}");
    // netd goes and comes: the lease is asked for again, and stays what it was.
    let ip = a.ip(false);
    let asked = dnsmasq.count("DHCPREQUEST(out0) 192.0.2.");
    lab.kill();
    assert!(a.netns.ping(OUTSIDE));
    lab.start();
    eventually("both leases are confirmed", || dnsmasq.count("DHCPREQUEST(out0) 192.0.2.") >= asked + 2);
    let Reply::Sandbox(info) = lab.call(Call::SandboxInspect { id: a.id.clone() }) else { panic!() };
    assert_eq!(info.attachments[0].addresses[0].addr(), ip);
    // At a stop it is the LAN's again.
    lab.end(a);
    eventually("it is given back", || dnsmasq.log().contains(&format!("DHCPRELEASE(out0) {ip}")));
    lab.call(Call::Disconnect { id: b.id.clone(), network: "lan".into() });
    eventually("by a disconnect, too", || dnsmasq.count("DHCPRELEASE(out0)") == 2);
    lab.call(Call::Connect { id: b.id.clone(), attachment: AttachmentRequest::to("lan") });
    assert!(b.netns.ping(OUTSIDE), "a running container gets one");
    lab.end(b);
    lab.call(Call::NetworkRemove { network: "lan".into() });
    lab.clean(&before);
}

#[test]
fn an_address_that_somebody_has_beside_the_server_is_declined() {
    let mut lab = Lab::new();
    let before = lab.dump();
    // A pool of one address, which somebody took by hand.
    let dnsmasq = Dnsmasq::start(&lab, "192.0.2.50,192.0.2.50", &[]);
    lab.outside.sh("ip addr add 192.0.2.50/24 dev out0");
    let mac = lab.outside.sh("ip -o link show out0 | sed 's/.*ether //; s/ .*//'").trim().to_owned();
    create(&mut lab, spec(|_, _| {})).unwrap();
    let error = lab.try_container("a", "lan", |_| {}).err().unwrap();
    assert!(causes(&error).contains(&format!("`{mac}` on the LAN has the address `192.0.2.50`")), "{error:?}");
    eventually("it is declined", || dnsmasq.log().contains("DHCPDECLINE(out0) 192.0.2.50"));
    lab.outside.sh("ip addr del 192.0.2.50/24 dev out0");
    lab.call(Call::NetworkRemove { network: "lan".into() });
    lab.clean(&before);
}

#[test]
fn renewed_in_time_and_changed_when_the_server_says_so() {
    let mut lab = Lab::new();
    let short = ["--dhcp-option-force=option:T1,2", "--dhcp-option-force=option:T2,4"];
    let dnsmasq = Dnsmasq::start(&lab, RANGE, &short);
    create(&mut lab, spec(|_, _| {})).unwrap();
    let a = lab.container("a", "lan");
    let ip = a.ip(false);
    let asked = dnsmasq.count(&format!("DHCPACK(out0) {ip}"));
    in_time("it is renewed", || dnsmasq.count(&format!("DHCPACK(out0) {ip}")) > asked);
    assert!(a.netns.ping(OUTSIDE));
    // Another server, which knows nothing of the old address.
    drop(dnsmasq);
    let other = Dnsmasq::start(&lab, "192.0.2.90,192.0.2.99", &short);
    let addresses = |lab: &mut Lab| {
        let Reply::Sandbox(info) = lab.call(Call::SandboxInspect { id: a.id.clone() }) else { panic!() };
        info.attachments[0].addresses.iter().map(|n| n.addr().to_string()).collect::<Vec<_>>()
    };
    // In between it has none.
    let new = |address: &String| address.starts_with("192.0.2.9");
    in_time("it has an address of the new server's", || addresses(&mut lab).first().is_some_and(new));
    let inside = a.netns.sh("ip -o -4 addr show eth0");
    assert!(inside.contains(&addresses(&mut lab)[0]) && !inside.contains(&ip.to_string()), "{inside}");
    assert!(a.netns.ping(OUTSIDE) && a.netns.sh("ip route").contains(&format!("default via {OUTSIDE}")));
    drop(other);
    lab.end(a);
}

#[test]
fn without_a_server_and_with_what_does_not_go_together() {
    let mut lab = Lab::new();
    let before = lab.dump();
    for (change, says) in [
        (
            Box::new(|spec: &mut NetworkCreate, _: &mut LanOptions| {
                spec.subnets.push(SubnetRequest {
                    subnet: "192.0.2.0/24".parse().unwrap(),
                    gateway: None,
                    no_gateway: false,
                    ip_range: None,
                    aux_addresses: Default::default(),
                })
            }) as Box<dyn FnOnce(&mut NetworkCreate, &mut LanOptions)>,
            "knows its subnet",
        ),
        (Box::new(|_, options| options.host_access = true), "host_access"),
    ] {
        let error = create(&mut lab, spec(change)).unwrap_err();
        assert!(causes(&error).contains(says) && error.hint.is_some(), "{error:?}");
    }
    create(&mut lab, spec(|_, _| {})).unwrap();
    let error =
        lab.try_container("a", "lan", |s| s.attachments[0].ip = Some("192.0.2.9".parse().unwrap())).err().unwrap();
    assert!(causes(&error).contains("can't be chosen"), "{error:?}");
    // While one waits in vain, netd works for everybody else.
    let connection = lab.another_connection();
    let waiting = std::thread::spawn(move || {
        let spec = sandbox_spec("late", "lan", |_| {});
        send_frame(&connection, &Request::new(Call::SandboxCreate { spec, dry_run: false }), &[]).unwrap();
        match recv_frame(&connection).unwrap().0 {
            Reply::Error(error) => error,
            other => panic!("{other:?}"),
        }
    });
    eventually("its link is made", || matches!(lab.call(Call::SandboxList), Reply::Sandboxes(list) if list.len() == 1));
    lab.network("blue");
    let b = lab.container("b", "blue");
    assert!(!waiting.is_finished(), "the answer must still be waited for");
    lab.end(b);
    lab.call(Call::NetworkRemove { network: "blue".into() });
    let error = waiting.join().unwrap();
    assert!(causes(&error).contains("no DHCP server") && error.hint.is_some(), "{error:?}");
    lab.call(Call::NetworkRemove { network: "lan".into() });
    lab.clean(&before);
}
