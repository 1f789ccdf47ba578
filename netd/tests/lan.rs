//! macvlan networks end to end on this machine's kernel: in the LAN, beside the host, refused where they cannot be, nothing left.
//! ipvlan, VLAN and dummy links are tried in `tests/vm`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::lab::*;
use netd_api::*;

/// `lan` on `up0`, in the subnet that the outside is in; its router is the outside.
fn lan(mode: MacvlanMode, change: impl FnOnce(&mut NetworkCreate)) -> NetworkCreate {
    let mut spec = network_spec("lan", |_, _| {});
    let options = LanOptions { parent: Some("up0".parse().unwrap()), ..LanOptions::default() };
    spec.driver = DriverSpec::Macvlan(MacvlanOptions { lan: options, mode });
    spec.subnets.push(SubnetRequest {
        subnet: "192.0.2.0/24".parse().unwrap(),
        gateway: Some(OUTSIDE.parse().unwrap()),
        no_gateway: false,
        ip_range: Some("192.0.2.128/25".parse().unwrap()),
        aux_addresses: Default::default(),
    });
    change(&mut spec);
    spec
}

fn create(lab: &mut Lab, spec: NetworkCreate) -> Result<NetworkInfo, ApiError> {
    match lab.try_call(Call::NetworkCreate { spec, dry_run: false })? {
        Reply::Network(info) => Ok(info),
        other => panic!("{other:?}"),
    }
}

#[test]
fn containers_are_in_the_lan_and_nothing_is_left() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let net = create(&mut lab, lan(MacvlanMode::Bridge, |_| {})).unwrap();
    assert_eq!(net.subnets[0].aux_addresses.get("host"), Some(&HOST.parse().unwrap()), "the host's own is reserved");
    let (a, b) = (lab.container("a", "lan"), lab.container("b", "lan"));
    assert_eq!(a.ip(false).to_string(), "192.0.2.128");
    assert!(a.netns.ping(OUTSIDE) && a.netns.ping(b.ip(false)) && lab.outside.ping(a.ip(false)));
    assert!(!a.netns.ping(HOST), "the kernel keeps a parent and its children apart");
    assert!(a.netns.sh("ip route").contains(&format!("default via {OUTSIDE} dev eth0")));
    assert!(a.netns.sh("ip -o link show eth0").contains("mtu 1400"), "the parent's");
    assert!(a.netns.sh("ip -o link show eth0").contains(&a.info.attachments[0].mac.unwrap().to_string()));
    let (gone, kept) = (a.ip(false), a.netns.clone());
    lab.end(a);
    lab.outside.sh("ip neigh flush all");
    assert!(!lab.outside.ping(gone), "it is silent at once, though somebody keeps its namespace");
    drop(kept);
    lab.end(b);
    lab.call(Call::NetworkRemove { network: "lan".into() });
    lab.clean(&before);
}

#[test]
fn private_ones_do_not_see_each_other_and_passthru_serves_one() {
    let mut lab = Lab::new();
    create(&mut lab, lan(MacvlanMode::Private, |_| {})).unwrap();
    let (a, b) = (lab.container("a", "lan"), lab.container("b", "lan"));
    assert!(a.netns.ping(OUTSIDE) && b.netns.ping(OUTSIDE));
    assert!(!a.netns.ping(b.ip(false)));
    let passthru = lan(MacvlanMode::Passthru, |spec| {
        spec.name = "whole".parse().unwrap();
        spec.subnets[0].subnet = "198.51.100.0/24".parse().unwrap();
        (spec.subnets[0].gateway, spec.subnets[0].ip_range) = (None, None);
    });
    let error = create(&mut lab, passthru.clone()).unwrap_err();
    assert!(causes(&error).contains("network `lan` is on `up0` too"), "{}", causes(&error));
    lab.end(a);
    lab.end(b);
    lab.call(Call::NetworkRemove { network: "lan".into() });
    create(&mut lab, passthru).unwrap();
    let c = lab.container("c", "whole");
    let error = lab.try_container("d", "whole", |_| {}).err().unwrap();
    assert!(causes(&error).contains("`c` has the parent"), "{}", causes(&error));
    lab.end(c);
}

#[test]
fn names_and_live_changes_work_as_on_a_bridge() {
    let mut lab = Lab::new();
    create(&mut lab, lan(MacvlanMode::Bridge, |_| {})).unwrap();
    lab.network("blue");
    let (a, b) = (lab.container("a", "blue"), lab.container("b", "lan"));
    let before = a.netns.sh("ip route; ip -o addr");
    let mut request = AttachmentRequest::to("lan");
    request.gw_priority = 10;
    lab.call(Call::Connect { id: a.info.id.clone(), attachment: request });
    assert!(a.netns.ping(b.ip(false)));
    assert!(a.netns.sh("ip route").contains(&format!("default via {OUTSIDE} dev eth1")), "the default route follows");
    assert!(a.netns.ask_udp("127.0.0.11:53").is_ok() || a.netns.sh("nft list ruleset").contains("127.0.0.11"));
    lab.call(Call::Disconnect { id: a.info.id.clone(), network: "lan".into() });
    assert_eq!(a.netns.sh("ip route; ip -o addr"), before);
    assert!(a.netns.ping(OUTSIDE), "over the bridge again");
}

#[test]
fn what_cannot_be_is_said_before_anything_is_touched() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let mut refused = |change: &dyn Fn(&mut LanOptions), says: &str| {
        let spec = lan(MacvlanMode::Bridge, |spec| {
            if let DriverSpec::Macvlan(options) = &mut spec.driver {
                change(&mut options.lan);
            }
        });
        let error = create(&mut lab, spec).unwrap_err();
        assert!(causes(&error).contains(says), "{}", causes(&error));
        assert!(error.hint.is_some(), "{}", causes(&error));
    };
    refused(&|o| o.parent = Some("nowhere0".parse().unwrap()), "there is no link `nowhere0`");
    refused(&|o| o.parent = Some("lo".parse().unwrap()), "`lo` leads nowhere");
    refused(&|o| o.parent = Some("nowhere0.50".parse().unwrap()), "there is no link `nowhere0`");
    lab.clean(&before);
    lab.host.sh("ip link add d0 type veth peer name d1");
    let spec = lan(MacvlanMode::Bridge, |spec| {
        let options = LanOptions { parent: Some("d0".parse().unwrap()), ..LanOptions::default() };
        spec.driver = DriverSpec::Macvlan(MacvlanOptions { lan: options, mode: MacvlanMode::Bridge });
        spec.subnets.clear();
    });
    let error = create(&mut lab, spec).unwrap_err();
    assert!(causes(&error).contains("`d0` is down"), "{}", causes(&error));
    // The machine's kernel may have ipvlan or not: either it works, or the option is named.
    let mut spec = lan(MacvlanMode::Bridge, |_| {});
    let options = LanOptions { parent: Some("up0".parse().unwrap()), ..LanOptions::default() };
    spec.driver = DriverSpec::Ipvlan(IpvlanOptions { lan: options, ..IpvlanOptions::default() });
    match create(&mut lab, spec) {
        Ok(_) => {}
        Err(error) => assert!(causes(&error).contains("CONFIG_IPVLAN"), "{}", causes(&error)),
    }
}

#[test]
fn netd_killed_and_started_again_knows_its_macvlan_networks() {
    let mut lab = Lab::new();
    let before = lab.dump();
    create(&mut lab, lan(MacvlanMode::Bridge, |_| {})).unwrap();
    let a = lab.container("a", "lan");
    lab.kill();
    assert!(a.netns.ping(OUTSIDE), "the data path does not need netd");
    lab.start();
    let Reply::Network(info) = lab.call(Call::NetworkInspect { network: "lan".into() }) else { panic!() };
    assert_eq!(info.driver.name(), "macvlan");
    lab.end(a);
    lab.call(Call::NetworkRemove { network: "lan".into() });
    lab.clean(&before);
}

#[test]
fn with_host_access_the_host_and_its_containers_meet_and_ports_are_published() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let spec = lan(MacvlanMode::Bridge, |spec| {
        if let DriverSpec::Macvlan(options) = &mut spec.driver {
            options.lan.host_access = true;
        }
    });
    let net = create(&mut lab, spec).unwrap();
    let own = net.subnets[0].aux_addresses["own-link"];
    assert_eq!(own.to_string(), "192.0.2.254", "the last one of the range");
    let a = lab.container_with("a", "lan", |spec| spec.publish = vec![publish(8080, 80)]);
    assert!(lab.host.ping(a.ip(false)) && a.netns.ping(HOST) && a.netns.ping(own));
    assert!(lab.outside.ping(a.ip(false)) && a.netns.ping(OUTSIDE));
    let _host_server = Server::tcp(&lab.host, "0.0.0.0:7000");
    assert_eq!(a.netns.fetch(&format!("{HOST}:7000")).unwrap(), format!("{} at 7000", a.ip(false)));
    assert_eq!(a.info.host_gateway, [own], "what host-gateway stands for");
    let _server = Server::tcp(&a.netns, "0.0.0.0:80");
    for (who, from) in [(&lab.outside, HOST), (&lab.host, "127.0.0.1"), (&lab.host, HOST)] {
        let answer = who.fetch(&format!("{from}:8080")).unwrap();
        assert_eq!(answer, format!("{own} at 80"), "the answer must come back by the host");
    }
    assert!(lab.outside.fetch(&format!("{}:80", a.ip(false))).unwrap().starts_with(OUTSIDE), "in the LAN, as itself");
    // The LAN hears of the host's address from the parent alone.
    lab.outside.sh("ip neigh flush all");
    assert!(lab.outside.ping(HOST));
    let neighbour = lab.outside.sh(&format!("ip neigh show {HOST}"));
    let parent = lab.host.sh("ip -o link show up0 | sed 's/.*ether //; s/ .*//'");
    assert!(neighbour.contains(parent.trim()), "{neighbour}");
    // Somebody deletes the host's own link: it comes back with its routes.
    lab.host.sh(&format!("ip link del sh-{}", net.id.short()));
    eventually("the link is back", || lab.host.ping(a.ip(false)));
    lab.kill();
    lab.start();
    assert!(lab.outside.fetch(&format!("{HOST}:8080")).is_ok(), "adopted");
    lab.end(a);
    lab.call(Call::NetworkRemove { network: "lan".into() });
    lab.clean(&before);
}

#[test]
fn host_access_is_refused_where_links_do_not_see_each_other() {
    let mut lab = Lab::new();
    let spec = lan(MacvlanMode::Private, |spec| {
        if let DriverSpec::Macvlan(options) = &mut spec.driver {
            options.lan.host_access = true;
        }
    });
    let error = create(&mut lab, spec).unwrap_err();
    assert!(causes(&error).contains("do not see each other"), "{}", causes(&error));
}

#[test]
fn an_address_that_somebody_on_the_lan_has_is_not_used() {
    let mut lab = Lab::new();
    let before = lab.dump();
    let spec = lan(MacvlanMode::Bridge, |spec| {
        let mut v6 = spec.subnets[0].clone();
        (v6.subnet, v6.gateway, v6.ip_range) = ("2001:db8::/64".parse().unwrap(), None, None);
        v6.no_gateway = true;
        spec.subnets.push(v6);
    });
    create(&mut lab, spec.clone()).unwrap();
    let mac = lab.outside.sh("ip -o link show out0 | sed 's/.*ether //; s/ .*//'").trim().to_owned();
    lab.outside.sh("ip addr add 192.0.2.77/24 dev out0; ip addr add 2001:db8::77/64 dev out0 nodad");
    lab.outside.sh("ip addr add 192.0.2.128/24 dev out0; ip addr add 2001:db8::3/64 dev out0 nodad");
    let refused = |lab: &mut Lab, change: &dyn Fn(&mut AttachmentRequest), address: &str| {
        let error = lab.try_container("a", "lan", |spec| change(&mut spec.attachments[0])).err().expect("refused");
        let says = format!("`{mac}` on the LAN has the address `{address}`");
        assert!(causes(&error).contains(&says) && error.hint.is_some(), "{error:?}");
        assert_eq!(error.kind, ErrorKind::InUse);
    };
    refused(&mut lab, &|a| a.ip = Some("192.0.2.77".parse().unwrap()), "192.0.2.77");
    refused(&mut lab, &|a| a.ip6 = Some("2001:db8::77".parse().unwrap()), "2001:db8::77");
    // What netd would choose first is somebody's in both families: the next ones are free.
    let a = lab.container("a", "lan");
    assert_ne!(a.ip(false).to_string(), "192.0.2.128");
    assert_ne!(a.ip(true).to_string(), "2001:db8::3");
    assert!(lab.log().contains("somebody on the LAN has `192.0.2.128`"), "{}", lab.log());
    assert!(a.netns.ping(OUTSIDE) && lab.outside.ping(a.ip(true)));
    // A running container is not touched by a connect that is refused.
    lab.network("blue");
    let b = lab.container("b", "blue");
    let seen = b.netns.sh("ip -o addr; ip route");
    let request = AttachmentRequest { ip: Some("192.0.2.77".parse().unwrap()), ..AttachmentRequest::to("lan") };
    let error = lab.try_call(Call::Connect { id: b.id.clone(), attachment: request.clone() }).unwrap_err();
    assert!(causes(&error).contains(&mac), "{error:?}");
    assert_eq!(b.netns.sh("ip -o addr; ip route"), seen);
    lab.outside.sh("ip addr del 192.0.2.77/24 dev out0");
    lab.call(Call::Connect { id: b.id.clone(), attachment: request });
    for container in [a, b] {
        lab.end(container);
    }
    lab.call(Call::NetworkRemove { network: "lan".into() });
    // Whoever knows better switches it off.
    let trusting = lan(MacvlanMode::Bridge, |spec| {
        if let DriverSpec::Macvlan(options) = &mut spec.driver {
            options.lan.probe = false;
        }
    });
    create(&mut lab, trusting).unwrap();
    let c = lab.container("c", "lan");
    assert_eq!(c.ip(false).to_string(), "192.0.2.128");
    lab.end(c);
    for network in ["lan", "blue"] {
        lab.call(Call::NetworkRemove { network: network.into() });
    }
    lab.outside.sh("ip addr del 192.0.2.128/24 dev out0");
    lab.clean(&before);
}

#[test]
fn an_address_that_changes_hands_is_announced() {
    let mut lab = Lab::new();
    create(&mut lab, lan(MacvlanMode::Bridge, |_| {})).unwrap();
    // A neighbour that remembers a former owner, and takes what it hears as new only if it hears it.
    lab.outside.sh("sysctl -qw net.ipv4.conf.out0.arp_accept=1");
    lab.outside.sh("ip neigh add 192.0.2.200 lladdr 02:00:00:00:00:99 dev out0 nud stale");
    let a = lab.container_with("a", "lan", |spec| spec.attachments[0].ip = Some("192.0.2.200".parse().unwrap()));
    let mac = a.info.attachments[0].mac.unwrap().to_string();
    eventually("the neighbour knows the new owner", || lab.outside.sh("ip neigh show 192.0.2.200").contains(&mac));
    lab.end(a);
}
