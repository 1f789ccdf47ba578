//! What is in a packet, in a line. Pure; any bytes are fine.

use super::names::Names;
use crate::parse::packets::{Filter, Protocol, Side, Who};
use etherparse::{IpNumber, LaxNetSlice, LaxSlicedPacket, LinkSlice, TcpSlice, TransportSlice, icmpv6};
use netd_api::{Mac, TunnelView};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A packet, as far as it could be read.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Who sends, and to whom.
    pub ends: Option<(IpAddr, IpAddr)>,
    /// The same on the link.
    macs: Option<(Mac, Mac)>,
    ports: Option<(u16, u16)>,
    protocols: Vec<Protocol>,
    /// What it is.
    pub about: String,
}

/// Reads a frame of Ethernet.
pub fn decode(frame: &[u8], names: &Names) -> Decoded {
    let Ok(sliced) = LaxSlicedPacket::from_ethernet(frame) else {
        return Decoded { about: "no whole header of Ethernet".to_owned(), ..Decoded::default() };
    };
    let mut one = Decoded::default();
    if let Some(LinkSlice::Ethernet2(link)) = &sliced.link {
        one.macs = Some((Mac(link.source()), Mac(link.destination())));
        one.about = format!("frame of type {:#06x}", link.ether_type().0);
    }
    match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            one.ends = Some((header.source_addr().into(), header.destination_addr().into()));
            one.protocols.push(Protocol::Ipv4);
            one.about = named(ip.payload_ip_number(), ip.is_payload_fragmented());
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            one.ends = Some((header.source_addr().into(), header.destination_addr().into()));
            one.protocols.push(Protocol::Ipv6);
            one.about = named(ip.payload().ip_number, ip.is_payload_fragmented());
        }
        Some(LaxNetSlice::Arp(arp)) => one.arp(arp.slice(), names),
        None => {}
    }
    if let Some(LaxNetSlice::Ipv4(_) | LaxNetSlice::Ipv6(_)) = &sliced.net
        && one.about.starts_with(SCTP)
    {
        one.protocols.push(Protocol::Sctp);
    }
    if let Some(transport) = &sliced.transport {
        one.transport(transport, names);
    }
    one
}

const SCTP: &str = "SCTP";

fn named(number: IpNumber, fragment: bool) -> String {
    let name = match number {
        IpNumber::TCP => "TCP".to_owned(),
        IpNumber::UDP => "UDP".to_owned(),
        IpNumber::SCTP => SCTP.to_owned(),
        IpNumber::ICMP => "ICMP".to_owned(),
        IpNumber::IPV6_ICMP => "ICMPv6".to_owned(),
        other => other.keyword_str().map_or_else(|| format!("IP protocol {}", other.0), str::to_owned),
    };
    if fragment { format!("{name}, a fragment") } else { name }
}

impl Decoded {
    /// RFC 826, for IPv4 over Ethernet.
    fn arp(&mut self, packet: &[u8], names: &Names) {
        self.protocols.push(Protocol::Arp);
        let address = |at: usize| {
            let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
            Some(IpAddr::V4(Ipv4Addr::from(bytes)))
        };
        let (Some(from), Some(to), Some(4)) = (address(14), address(24), packet.get(5)) else {
            self.about = "ARP".to_owned();
            return;
        };
        self.ends = Some((from, to));
        let whole = |address| names.whole(address);
        self.about = match packet.get(7) {
            Some(1) if from == to => format!("ARP: {} is here", whole(from)),
            Some(1) => format!("ARP: who has {}?", whole(to)),
            Some(2) => format!("ARP: {} is at {}", whole(from), self.macs.map_or(Mac([0; 6]), |(mac, _)| mac)),
            _ => "ARP".to_owned(),
        };
    }

    fn transport(&mut self, transport: &TransportSlice<'_>, names: &Names) {
        match transport {
            TransportSlice::Tcp(tcp) => {
                self.protocols.push(Protocol::Tcp);
                self.ports = Some((tcp.source_port(), tcp.destination_port()));
                self.about = tcp_text(tcp);
            }
            TransportSlice::Udp(udp) => {
                self.protocols.push(Protocol::Udp);
                self.ports = Some((udp.source_port(), udp.destination_port()));
                self.about = format!("UDP, {} bytes", udp.payload().len());
            }
            TransportSlice::Icmpv4(icmp) => {
                self.protocols.push(Protocol::Icmp);
                self.about = icmp4_text(icmp.type_u8(), icmp.code_u8(), icmp.bytes5to8());
            }
            TransportSlice::Icmpv6(icmp) => {
                self.protocols.push(Protocol::Icmp);
                let target = icmp.payload().get(..16).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
                let target = target.map(|bytes| names.whole(Ipv6Addr::from(bytes).into())).unwrap_or_default();
                self.about = icmp6_text(icmp.type_u8(), icmp.code_u8(), icmp.bytes5to8(), &target);
            }
            TransportSlice::Igmp(_) => self.about = "IGMP".to_owned(),
        }
    }

    /// What a frame of a tunnel wraps (RFC 7348); nothing: it is none of this tunnel. Says in `about` what is in it.
    pub fn unwrap(&mut self, tunnel: TunnelView, frame: &[u8], names: &Names) -> Option<Decoded> {
        let sliced = LaxSlicedPacket::from_ethernet(frame).ok()?;
        let Some(TransportSlice::Udp(udp)) = &sliced.transport else { return None };
        let (head, inner) = udp.payload().split_at_checked(8)?;
        let vni = u32::from_be_bytes([0, head[4], head[5], head[6]]);
        if udp.destination_port() != tunnel.port || head[0] & 8 == 0 || vni != tunnel.vni {
            return None;
        }
        let inner = decode(inner, names);
        let (from, to) = inner.who(names);
        self.about = format!("VXLAN {vni}: {from} → {to}  {}", inner.about);
        Some(inner)
    }

    /// Who sends, and to whom: names where there are some, with ports where there are some.
    pub fn who(&self, names: &Names) -> (String, String) {
        let one = |address: IpAddr, port: Option<u16>| match (names.of(address), port, address) {
            (Some(name), Some(port), _) => format!("{name}:{port}"),
            (Some(name), None, _) => name.to_owned(),
            (None, Some(port), IpAddr::V6(_)) => format!("[{address}]:{port}"),
            (None, Some(port), IpAddr::V4(_)) => format!("{address}:{port}"),
            (None, None, _) => address.to_string(),
        };
        let everyone = |mac: Mac| if mac.0 == [0xff; 6] { "everyone".to_owned() } else { mac.to_string() };
        match (self.ends, self.macs) {
            // A question of ARP is for everyone.
            (Some((from, _)), Some((_, mac))) if self.is(Protocol::Arp) && mac.0 == [0xff; 6] => {
                (one(from, None), everyone(mac))
            }
            (Some((from, to)), _) => (one(from, self.ports.map(|p| p.0)), one(to, self.ports.map(|p| p.1))),
            (None, Some((from, to))) => (everyone(from), everyone(to)),
            (None, None) => ("?".to_owned(), "?".to_owned()),
        }
    }

    fn is(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }

    /// Whether a filter lets it through. Names in it must be addresses by now.
    pub fn fits(&self, filter: &Filter) -> bool {
        match filter {
            Filter::All(all) => all.iter().all(|one| self.fits(one)),
            Filter::Any(all) => all.iter().any(|one| self.fits(one)),
            Filter::Not(one) => !self.fits(one),
            Filter::Protocol(protocol) => self.is(*protocol),
            Filter::Host(side, Who::Addresses(all)) => either(*side, self.ends, |address| all.contains(&address)),
            Filter::Host(_, Who::Name(_)) => false,
            Filter::Net(side, net) => either(*side, self.ends, |address| net.contains(&address)),
            Filter::Port(side, first, last) => either(*side, self.ports, |port| (*first..=*last).contains(&port)),
        }
    }
}

fn either<T: Copy>(side: Side, ends: Option<(T, T)>, fits: impl Fn(T) -> bool) -> bool {
    ends.is_some_and(|(from, to)| match side {
        Side::From => fits(from),
        Side::To => fits(to),
        Side::Either => fits(from) || fits(to),
    })
}

fn tcp_text(tcp: &TcpSlice<'_>) -> String {
    let flags = [(tcp.syn(), "SYN"), (tcp.fin(), "FIN"), (tcp.rst(), "RST"), (tcp.ack(), "ACK")];
    let flags: Vec<&str> = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
    match tcp.payload().len() {
        0 => format!("TCP {}", flags.join(" ")),
        bytes => format!("TCP {}, {bytes} bytes", flags.join(" ")),
    }
}

/// Bytes 5 to 8 of an echo: its identifier and its number (RFC 792).
fn number(rest: [u8; 4]) -> u16 {
    u16::from_be_bytes([rest[2], rest[3]])
}

fn icmp4_text(kind: u8, code: u8, rest: [u8; 4]) -> String {
    let text = match (kind, code) {
        (8, _) => format!("echo request {}", number(rest)),
        (0, _) => format!("echo reply {}", number(rest)),
        (3, 0) => "network unreachable".to_owned(),
        (3, 1) => "host unreachable".to_owned(),
        (3, 2) => "protocol unreachable".to_owned(),
        (3, 3) => "port unreachable".to_owned(),
        (3, 4) => format!("too long, {} bytes fit", number(rest)),
        (3, 9 | 10 | 13) => "forbidden".to_owned(),
        (3, _) => format!("unreachable, code {code}"),
        (5, _) => "redirect".to_owned(),
        (11, _) => "time exceeded".to_owned(),
        _ => format!("type {kind}, code {code}"),
    };
    format!("ICMP {text}")
}

/// RFC 4443 and RFC 4861. `target`: who a neighbour's message is about.
fn icmp6_text(kind: u8, code: u8, rest: [u8; 4], target: &str) -> String {
    let text = match (kind, code) {
        (icmpv6::TYPE_ECHO_REQUEST, _) => format!("echo request {}", number(rest)),
        (icmpv6::TYPE_ECHO_REPLY, _) => format!("echo reply {}", number(rest)),
        (icmpv6::TYPE_DST_UNREACH, 0) => "no route".to_owned(),
        (icmpv6::TYPE_DST_UNREACH, 1) => "forbidden".to_owned(),
        (icmpv6::TYPE_DST_UNREACH, 3) => "address unreachable".to_owned(),
        (icmpv6::TYPE_DST_UNREACH, 4) => "port unreachable".to_owned(),
        (icmpv6::TYPE_DST_UNREACH, _) => format!("unreachable, code {code}"),
        (icmpv6::TYPE_PACKET_TOO_BIG, _) => format!("too long, {} bytes fit", u32::from_be_bytes(rest)),
        (icmpv6::TYPE_TIME_EXCEEDED, _) => "time exceeded".to_owned(),
        (icmpv6::TYPE_ROUTER_SOLICITATION, _) => "which routers are there?".to_owned(),
        (icmpv6::TYPE_ROUTER_ADVERTISEMENT, _) => "a router is here".to_owned(),
        (icmpv6::TYPE_NEIGHBOR_SOLICITATION, _) => format!("who has {target}?"),
        (icmpv6::TYPE_NEIGHBOR_ADVERTISEMENT, _) => format!("{target} is here"),
        // RFC 9777.
        (143, _) => "the groups that it listens to".to_owned(),
        _ => format!("type {kind}, code {code}"),
    };
    format!("ICMPv6 {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::packets::filter;
    use etherparse::PacketBuilder;
    use netd_api::NamedAddress;

    const C1: [u8; 4] = [10, 9, 0, 2];
    const C2: [u8; 4] = [10, 9, 0, 3];

    fn names() -> Names {
        let one = |name: &str, address: [u8; 4]| NamedAddress { address: IpAddr::from(address), name: name.into() };
        Names::new(vec![one("c1", C1), one("c2", C2)], false)
    }

    fn ethernet() -> etherparse::PacketBuilderStep<etherparse::Ethernet2Header> {
        PacketBuilder::ethernet2([2; 6], [4; 6])
    }

    fn tcp() -> Vec<u8> {
        let mut bytes = Vec::new();
        ethernet().ipv4(C1, C2, 64).tcp(40000, 80, 1, 1000).syn().write(&mut bytes, &[]).unwrap();
        bytes
    }

    #[test]
    fn a_packet_reads_as_names_and_what_it_is() {
        let read = |bytes: &[u8]| {
            let one = decode(bytes, &names());
            let (from, to) = one.who(&names());
            format!("{from} → {to} {}", one.about)
        };
        assert_eq!(read(&tcp()), "c1:40000 → c2:80 TCP SYN");
        let mut bytes = Vec::new();
        ethernet().ipv4(C2, [192, 0, 2, 1], 64).udp(53, 5353).write(&mut bytes, b"four").unwrap();
        assert_eq!(read(&bytes), "c2:53 → 192.0.2.1:5353 UDP, 4 bytes");
        bytes.clear();
        ethernet().ipv4(C1, C2, 64).icmpv4_echo_request(1, 7).write(&mut bytes, &[]).unwrap();
        assert_eq!(read(&bytes), "c1 → c2 ICMP echo request 7");
        bytes.clear();
        let neighbour = etherparse::Icmpv6Type::NeighborSolicitation;
        ethernet().ipv6([1; 16], [2; 16], 255).icmpv6(neighbour).write(&mut bytes, &[3; 16]).unwrap();
        assert!(read(&bytes).ends_with("ICMPv6 who has 303:303:303:303:303:303:303:303?"), "{}", read(&bytes));
        let question = [&[0xff; 6][..], &[2; 6], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &[2; 6], &C1, &[0; 6], &C2].concat();
        assert_eq!(read(&question), "c1 → everyone ARP: who has c2 (10.9.0.3)?");
        assert_eq!(
            read(&[&[0xff; 6][..], &[2; 6], &[0x88, 0xcc]].concat()),
            "02:02:02:02:02:02 → everyone frame of type 0x88cc"
        );
        assert_eq!(read(&[1, 2]), "? → ? no whole header of Ethernet");
    }

    #[test]
    fn a_packet_that_is_cut_or_broken_anywhere_is_read_as_far_as_it_goes() {
        let whole = tcp();
        for end in 0..whole.len() {
            let cut = decode(&whole[..end], &names());
            assert!(!cut.about.is_empty() || end < 14, "{end}");
            for value in [0, 0xff] {
                let mut broken = whole.clone();
                broken[end] = value;
                decode(&broken, &names());
            }
        }
    }

    #[test]
    fn a_tunnels_frame_shows_what_is_in_it() {
        let (mut frame, mut inner) = (Vec::new(), vec![8, 0, 0, 0, 0, 16, 1, 0]);
        inner.extend(tcp());
        ethernet().ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(50000, 4789).write(&mut frame, &inner).unwrap();
        let unwrapped = |port: u16, vni: u32, frame: &[u8]| {
            let mut one = decode(frame, &names());
            let inner = one.unwrap(TunnelView { port, vni }, frame, &names())?;
            Some((one.about, inner.fits(&filter("tcp port 80").unwrap())))
        };
        let about = "VXLAN 4097: c1:40000 → c2:80  TCP SYN".to_owned();
        assert_eq!(unwrapped(4789, 4097, &frame), Some((about, true)));
        assert_eq!((unwrapped(4789, 4098, &frame), unwrapped(4790, 4097, &frame)), (None, None));
        assert_eq!(unwrapped(4789, 4097, &tcp()), None);
        for end in 0..frame.len() {
            unwrapped(4789, 4097, &frame[..end]);
        }
    }

    #[test]
    fn filters_let_through_what_they_say() {
        let one = decode(&tcp(), &names());
        let fits = |text: &str| {
            let mut filter = filter(text).unwrap();
            names().resolve(&mut filter).unwrap();
            one.fits(&filter)
        };
        for text in
            ["", "tcp", "ip", "host c1", "dst host c2", "src port 40000", "port 79-81", "net 10.9.0.0/24", "not udp"]
        {
            assert!(fits(text), "{text}");
        }
        for text in
            ["udp", "icmp", "arp", "ip6", "src host c2", "dst port 40000", "net 10.8.0.0/24", "not tcp", "tcp udp"]
        {
            assert!(!fits(text), "{text}");
        }
        let mut unknown = filter("tcp and not host nobody").unwrap();
        assert!(names().resolve(&mut unknown).unwrap_err().message.contains("nobody"));
    }
}
