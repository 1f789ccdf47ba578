//! Published ports: from everywhere they should be reachable, and from nowhere else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::lab::*;
use netd_api::*;

fn web(lab: &mut Lab, network: &str) -> (Container, Server) {
    let web = lab.container_with("web", network, |spec| spec.publish = vec![publish(8080, 80)]);
    let server = Server::tcp(&web.netns, "[::]:80");
    (web, server)
}

#[test]
fn a_port_is_reachable_from_everywhere_and_keeps_the_clients_address() {
    for (br_netfilter, ipv6) in [("1", true), ("0", false)] {
        let mut lab = Lab::new();
        lab.host.sh(&format!("echo {br_netfilter} > /proc/sys/net/bridge/bridge-nf-call-iptables"));
        lab.network_with("blue", |spec, _| spec.ipv6 = ipv6);
        lab.network("red");
        let (web, _server) = web(&mut lab, "blue");
        let (near, far) = (lab.container("near", "blue"), lab.container("far", "red"));
        let at = |address: &str| format!("{address}:8080");
        assert_eq!(lab.outside.fetch(&at(HOST)).unwrap(), format!("{OUTSIDE} at 80"), "from outside");
        for own in ["127.0.0.1", HOST, "[::1]"] {
            assert!(lab.host.fetch(&at(own)).is_ok(), "from the host by {own}: {:?}", lab.host.fetch(&at(own)));
        }
        assert_eq!(far.netns.fetch(&at(HOST)).unwrap(), format!("{} at 80", far.ip(false)), "another network");
        assert!(near.netns.fetch(&at(HOST)).is_ok(), "its own network (hairpin), br_netfilter {br_netfilter}");
        assert!(web.netns.fetch(&at(HOST)).is_ok(), "itself");
        let v6 = lab.outside.fetch(&at(&format!("[{HOST6}]"))).unwrap();
        let seen = if ipv6 { "2001:db8::2 at 80" } else { " at 80" };
        assert!(v6.ends_with(seen), "{v6}");
        // Not by the container's own address.
        lab.outside.sh(&format!("ip route add {}/32 via {HOST}", web.ip(false)));
        assert!(lab.outside.fetch(&format!("{}:80", web.ip(false))).is_err());
        assert!(far.netns.fetch(&format!("{}:80", web.ip(false))).is_err());
    }
}

#[test]
fn a_loopback_port_stays_on_the_host() {
    let mut lab = Lab::new();
    let local = |ip: &str| PublishRequest { host_ip: Some(ip.parse().unwrap()), ..publish(9090, 80) };
    let web = lab.container_with("web", "bridge", |spec| spec.publish = vec![local("127.0.0.1"), local("::1")]);
    let _server = Server::tcp(&web.netns, "0.0.0.0:80");
    assert!(lab.host.fetch("127.0.0.1:9090").is_ok());
    assert!(lab.host.fetch("[::1]:9090").is_ok());
    assert!(lab.outside.fetch(&format!("{HOST}:9090")).is_err());
    lab.outside.sh(&format!("ip addr del 127.0.0.1/8 dev lo; echo 1 > /proc/sys/net/ipv4/conf/out0/route_localnet; ip route add 127.0.0.1/32 via {HOST}"));
    lab.host.sh("echo 1 > /proc/sys/net/ipv4/conf/up0/route_localnet");
    assert!(lab.outside.fetch("127.0.0.1:9090").is_err(), "guarded");
    web.netns.sh(&format!("ip route add 127.0.0.99/32 via {}", web.info.host_gateway[0]));
    assert!(web.netns.fetch("127.0.0.99:9090").is_err());
}

#[test]
fn ranges_are_one_element_and_shifted_ranges_work() {
    let mut lab = Lab::new();
    let web = lab.container_with("web", "bridge", |spec| {
        spec.publish = vec![publish_range(3000, 3000, 500), publish_range(5000, 6000, 3)];
    });
    let _servers = [3000, 3499, 6002].map(|p| Server::tcp(&web.netns, &format!("0.0.0.0:{p}")));
    assert!(lab.outside.fetch(&format!("{HOST}:3000")).unwrap().ends_with("at 3000"));
    assert!(lab.outside.fetch(&format!("{HOST}:3499")).unwrap().ends_with("at 3499"));
    assert!(lab.outside.fetch(&format!("{HOST}:5002")).unwrap().ends_with("at 6002"));
    let map = lab.host.sh("nft list map inet rcr range4");
    assert_eq!(map.matches("3000-3499").count(), 1, "{map}");
}

#[test]
fn conflicts_name_the_port_and_change_nothing() {
    let mut lab = Lab::new();
    let (web, _server) = web(&mut lab, "bridge");
    let _other = Server::tcp(&lab.host, "0.0.0.0:7070");
    let before = lab.dump();
    let mut refuse = |request: PublishRequest, text: &str| {
        let error = lab.try_container("late", "bridge", |spec| spec.publish = vec![request]).err().unwrap();
        assert!(causes(&error).contains(text), "{error:?}");
    };
    refuse(publish(8080, 81), "port tcp `0.0.0.0:8080` is published by container `web`");
    refuse(publish(7070, 81), "port tcp `0.0.0.0:7070` is in use by another program");
    refuse(publish_range(8070, 70, 20), "`0.0.0.0:8080` is published");
    lab.clean(&before);
    let held = lab.host.run(|| std::net::TcpListener::bind("0.0.0.0:8080").map(drop));
    assert!(held.is_err(), "netd holds the port");
    lab.end(web);
    assert!(lab.host.run(|| std::net::TcpListener::bind("0.0.0.0:8080").map(drop)).is_ok());
}

#[test]
fn ephemeral_ports_are_the_same_on_both_families() {
    let mut lab = Lab::new();
    let free = PublishRequest { host_port: HostPort::Ephemeral, ..publish(1, 80) };
    let web = lab.container_with("web", "bridge", |spec| spec.publish = vec![free]);
    let ports = &web.info.ports;
    assert_eq!(ports.len(), 2);
    assert_eq!(ports[0].host_port, ports[1].host_port);
    let _server = Server::tcp(&web.netns, "0.0.0.0:80");
    assert!(lab.outside.fetch(&format!("{HOST}:{}", ports[0].host_port)).is_ok());
}

#[test]
fn udp_flows_follow_the_container_that_publishes() {
    let mut lab = Lab::new();
    let udp = || PublishRequest { proto: Proto::Udp, ..publish(5353, 53) };
    let first = lab.container_with("first", "bridge", |spec| spec.publish = vec![udp()]);
    let server = Server::udp(&first.netns, "0.0.0.0:1053", "first");
    drop(server);
    let server = Server::udp(&first.netns, "0.0.0.0:53", "first");
    let client = lab.outside.run(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect(format!("{HOST}:5353")).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
        socket
    });
    let ask = || {
        client.send(b"?").unwrap();
        let mut buffer = [0; 20];
        client.recv(&mut buffer).map(|len| String::from_utf8_lossy(&buffer[..len]).into_owned())
    };
    assert_eq!(ask().unwrap(), "first");
    assert_eq!(lab.host.ask_udp("[::1]:5353").unwrap(), "first", "the relay");
    drop(server);
    lab.end(first);
    let second = lab.container_with("second", "bridge", |spec| spec.publish = vec![udp()]);
    let _server = Server::udp(&second.netns, "0.0.0.0:53", "second");
    assert_eq!(ask().unwrap(), "second", "the same client, the same socket");
}

#[test]
fn routed_networks_open_what_is_published_and_nothing_else() {
    let mut lab = Lab::new();
    lab.network_with("routed", |_, options| options.gateway_mode_ipv4 = GatewayMode::Routed);
    let (web, _server) = web(&mut lab, "routed");
    let _closed = Server::tcp(&web.netns, "0.0.0.0:81");
    lab.outside.sh(&format!("ip route add {}/32 via {HOST}", web.ip(false)));
    assert!(lab.outside.fetch(&format!("{}:80", web.ip(false))).is_ok());
    assert!(lab.outside.fetch(&format!("{}:81", web.ip(false))).is_err());
    let _far = Server::tcp(&lab.outside, "0.0.0.0:99");
    assert_eq!(
        web.netns.fetch(&format!("{OUTSIDE}:99")).unwrap(),
        format!("{} at 99", web.ip(false)),
        "not masqueraded"
    );
}

#[test]
fn internal_networks_publish_nothing() {
    let mut lab = Lab::new();
    lab.network_with("cellar", |spec, _| spec.internal = true);
    let error = lab.try_container("web", "cellar", |spec| spec.publish = vec![publish(80, 80)]).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Invalid);
}

#[test]
fn ports_move_when_their_network_is_left() {
    let mut lab = Lab::new();
    lab.network("other");
    let (web, _server) = web(&mut lab, "bridge");
    lab.call(Call::Connect { id: web.id.clone(), attachment: AttachmentRequest::to("other") });
    lab.call(Call::Disconnect { id: web.id.clone(), network: "bridge".into() });
    assert!(lab.outside.fetch(&format!("{HOST}:8080")).is_ok());
    assert!(lab.host.fetch("[::1]:8080").is_ok());
}
