//! The table inside a container: its way to its resolver.

use super::table::{Chain, Hook, Match, PortAt, Table, V4, Verdict, net, rule};
use std::net::Ipv4Addr;

/// The name of the table inside a container.
pub const DNS_TABLE: &str = "rcr-dns";

/// The table inside a container that brings 127.0.0.11:53 to the ports where its resolver listens, and the answers back
/// as if they came from there, so that the container may run a DNS server of its own on port 53. It writes ports and
/// remembers nothing: where nothing asks for connection tracking, the kernel does none for the container. All of it
/// passes the loopback alone, so a hook there costs no other packet anything.
pub fn dns_table(udp: u16, tcp: u16) -> Table {
    dns(5, Hook::Ingress, Some("lo"), udp, tcp)
}

/// The same for kernels without hooks at links (`CONFIG_NF_TABLES_NETDEV`): where the container's packets leave.
pub fn dns_table_without_ingress(udp: u16, tcp: u16) -> Table {
    dns(2, Hook::Output, None, udp, tcp)
}

fn dns(family: u8, hook: Hook, device: Option<&'static str>, udp: u16, tcp: u16) -> Table {
    let resolver = net(Ipv4Addr::new(127, 0, 0, 11), 32);
    let to = |proto, at, port| {
        let matches = [V4, Match::To(resolver), Match::Proto(proto), Match::Port(53)];
        rule(&matches, Verdict::SetPort(at, port), "names")
    };
    let from = |proto, at, port| {
        let matches = [V4, Match::From(resolver), Match::Proto(proto), Match::SourcePort(port)];
        rule(&matches, Verdict::SetPort(at, 53), "answers")
    };
    // Who asks while nobody listens hears so at once: the error must speak of the port that was asked.
    let nobody = [V4, Match::From(resolver), Match::Proto(1), Match::Quoting(udp)];
    let rules = vec![
        to(17, PortAt::UdpDestination, udp),
        from(17, PortAt::UdpSource, udp),
        to(6, PortAt::TcpDestination, tcp),
        from(6, PortAt::TcpSource, tcp),
        rule(&nobody, Verdict::SetPort(PortAt::Quoted, 53), "nobody listens"),
    ];
    let chain = Chain { name: "names", kind: "filter", hook, device, priority: 0, rules };
    Table { family, name: DNS_TABLE, sets: &[], chains: vec![chain] }
}
