//! The chains and rules that the host's tables may have. What varies are the elements of [`Set`]s.

use super::{Field, Set};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Packets that the administrator's `inet rcr-user` chains give this mark are accepted by ours (`rcr` in ASCII).
pub const ACCEPT_MARK: u32 = 0x0072_6372;

/// The flow table of `inet rcr`, which is there while [`Set::Flows`] has elements.
pub const FLOW_TABLE: &str = "established";

/// A table as data.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// `NFPROTO_INET` (1), `NFPROTO_IPV4` (2) or `NFPROTO_NETDEV` (5).
    pub family: u8,
    pub name: &'static str,
    pub sets: &'static [Set],
    pub chains: Vec<Chain>,
}

/// A base chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    pub name: &'static str,
    pub kind: &'static str,
    pub hook: Hook,
    /// The one link that the hook belongs to, in a table of the family netdev.
    pub device: Option<&'static str>,
    /// As in nft(8): raw -300, mangle -150, dstnat -100, filter 0, srcnat 100.
    pub priority: i32,
    pub rules: Vec<Rule>,
}

/// Netfilter's hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    /// A link's, before anything else sees the packet.
    Ingress,
}

impl Hook {
    /// The kernel's number of it (include/uapi/linux/netfilter.h).
    pub fn number(self) -> u32 {
        match self {
            Hook::Prerouting | Hook::Ingress => 0,
            Hook::Input => 1,
            Hook::Forward => 2,
            Hook::Output => 3,
            Hook::Postrouting => 4,
        }
    }
}

/// Matches, all of which must hold, then a verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub matches: Vec<Match>,
    pub verdict: Verdict,
    pub comment: &'static str,
}

/// One condition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Match {
    /// `meta nfproto`; in a table of the family netdev `meta protocol`.
    Family(u8),
    /// `meta l4proto`.
    Proto(u8),
    /// The incoming link is not this one.
    IifNot(&'static str),
    /// The values that the set's key wants, looked up in it.
    In(&'static [Load], Set),
    NotIn(&'static [Load], Set),
    /// `ct state established,related`.
    Established,
    /// `ct state untracked`.
    Untracked,
    /// `ct status dnat`.
    Translated,
    /// An Ethernet frame for one receiver.
    Unicast,
    /// `fib daddr type local`.
    ToLocal,
    Mark(u32),
    From(IpNet),
    To(IpNet),
    /// Transport destination port.
    Port(u16),
    /// Transport source port.
    SourcePort(u16),
    /// An ICMP error, "unreachable", about a UDP datagram of IPv4 that went to this port.
    Quoting(u16),
    /// A TCP segment that asks for a connection, or agrees to one (`tcp flags & syn != 0`).
    Syn,
}

/// What is loaded for a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    Iif,
    Oif,
    /// Whom an Ethernet frame is for.
    EtherDestination,
    Saddr4,
    Saddr6,
    Daddr4,
    Daddr6,
    Proto,
    Dport,
    Family,
    /// The VNI of a VXLAN frame (RFC 7348, section 5): three bytes from the fourth of the UDP payload on.
    Vni,
}

impl Load {
    /// The kind of field it yields.
    pub fn field(self) -> Field {
        match self {
            Load::Iif | Load::Oif => Field::Link,
            Load::EtherDestination => Field::Mac,
            Load::Saddr4 | Load::Daddr4 => Field::V4,
            Load::Saddr6 | Load::Daddr6 => Field::V6,
            Load::Proto => Field::Proto,
            Load::Dport => Field::Port,
            Load::Family => Field::Family,
            Load::Vni => Field::Vni,
        }
    }
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    Accept,
    Drop,
    Return,
    Masquerade,
    /// Translate to what the map says; the port stays when the map's data has none.
    DnatMap(&'static [Load], Set),
    /// Leave the flow to [`FLOW_TABLE`], and go on: what comes after meets no rule any more.
    Offload,
    /// Let it pass without connection tracking, and go on.
    Untrack,
    /// Write this port into the packet, mend its checksum, and accept it. Nothing remembers it.
    SetPort(PortAt, u16),
    /// Lower the maximum segment size that a SYN names to what the packet's route takes (`tcp option maxseg size set rt
    /// mtu`), and go on.
    ClampMss,
}

/// Where in a packet a port stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortAt {
    TcpSource,
    TcpDestination,
    UdpSource,
    UdpDestination,
    /// The destination of the UDP datagram that an ICMP error quotes.
    Quoted,
}

pub(super) const V4: Match = Match::Family(2);
const V6: Match = Match::Family(10);

pub(super) fn rule(matches: &[Match], verdict: Verdict, comment: &'static str) -> Rule {
    Rule { matches: matches.to_vec(), verdict, comment }
}

pub(super) fn net(address: impl Into<IpAddr>, len: u8) -> IpNet {
    // The callers' lengths are constants within their families; a longer one means the single address.
    IpNet::new(address.into(), len).unwrap_or_else(|_| IpNet::from(IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

/// The host's table with all that it may have. `docs/nftables.md` explains the order of the rules.
pub fn host_table() -> Table {
    let chain = |name, kind, hook, priority, rules| Chain { name, kind, hook, device: None, priority, rules };
    Table {
        family: 1,
        name: "rcr",
        sets: &Set::ALL,
        chains: vec![
            chain("arrive", "filter", Hook::Prerouting, -300, arrive()),
            chain("publish", "nat", Hook::Prerouting, -100, publish(false)),
            chain("publish-local", "nat", Hook::Output, -100, publish(true)),
            chain("leave", "nat", Hook::Postrouting, 100, leave()),
            chain("clamp", "filter", Hook::Forward, -150, clamp()),
            chain("forward", "filter", Hook::Forward, 0, forward()),
            chain("input", "filter", Hook::Input, 0, input()),
            chain("tunnels", "filter", Hook::Input, -10, tunnels()),
            chain("no-tunnel", "filter", Hook::Forward, -10, no_tunnel()),
            chain("own-only", "filter", Hook::Output, 0, own_only()),
            chain("encrypted-only", "filter", Hook::Output, 0, encrypted_only()),
        ],
    }
}

/// What a container sends to others than its bridge.
const AWAY: [Match; 2] =
    [Match::In(&[Load::Iif], Set::Neighbours), Match::NotIn(&[Load::Iif, Load::EtherDestination], Set::OwnMacs)];

/// What was not tracked, as if it were for a neighbour, and ends up elsewhere. A bridge takes what is for its ports'
/// MACs, too.
fn astray() -> Rule {
    let why = "sent past the bridge's own MAC, and not to a neighbour: nothing would translate it";
    rule(&[&[Match::Untracked], &AWAY[..]].concat(), Verdict::Drop, why)
}

/// Before connection tracking.
fn arrive() -> Vec<Rule> {
    let loopback = Match::To(net(Ipv4Addr::new(127, 0, 0, 0), 8));
    vec![
        rule(
            &[V4, loopback, Match::IifNot("lo")],
            Verdict::Drop,
            "route_localnet is on for our bridges: nobody but the host itself may speak to 127.0.0.0/8",
        ),
        rule(
            &[AWAY[0], Match::Unicast, AWAY[1]],
            Verdict::Untrack,
            "from neighbour to neighbour: nothing translates it, nobody need remember it",
        ),
    ]
}

fn publish(local: bool) -> Vec<Rule> {
    use Load::{Daddr4, Daddr6, Dport, Proto};
    let mut rules = Vec::new();
    if !local {
        let inside = Match::In(&[Load::Iif], Set::Internal);
        let mut relayed = |family, loads: &'static [Load], set| {
            let port = [family, inside, Match::ToLocal, Match::In(loads, set)];
            rules.push(rule(&port, Verdict::Drop, "what other networks publish by netd's relay neither"));
        };
        relayed(V4, &[Daddr4, Proto, Dport], Set::Relayed4);
        relayed(V6, &[Daddr6, Proto, Dport], Set::Relayed6);
        rules.push(rule(&[inside], Verdict::Return, "what other networks publish is not for internal ones"));
    }
    if local {
        let v6_loopback = Match::To(net(Ipv6Addr::LOCALHOST, 128));
        rules.push(rule(&[V6, v6_loopback], Verdict::Return, "the kernel can't translate [::1]: netd relays it"));
    }
    let mut add = |family, loads: &'static [Load], set, why| {
        rules.push(rule(&[family, Match::ToLocal], Verdict::DnatMap(loads, set), why));
    };
    add(V4, &[Proto, Dport], Set::PublishAny4, "published ports");
    add(V4, &[Daddr4, Proto, Dport], Set::Publish4, "published ports of one address");
    add(V4, &[Daddr4, Proto, Dport], Set::Range4, "published ranges whose numbers stay");
    add(V6, &[Proto, Dport], Set::PublishAny6, "published ports");
    add(V6, &[Daddr6, Proto, Dport], Set::Publish6, "published ports of one address");
    add(V6, &[Daddr6, Proto, Dport], Set::Range6, "published ranges whose numbers stay");
    rules
}

const HAIRPIN: &str = "a published port reached from its own network: the answer must come back through the host";

fn leave() -> Vec<Rule> {
    use Load::{Iif, Oif, Saddr4, Saddr6};
    let to_bridge = Match::In(&[Oif], Set::Bridges);
    let from_loopback = Match::From(net(Ipv4Addr::new(127, 0, 0, 0), 8));
    vec![
        rule(&[V4, Match::Translated, Match::In(&[Saddr4, Oif], Set::Home4)], Verdict::Masquerade, HAIRPIN),
        rule(&[V6, Match::Translated, Match::In(&[Saddr6, Oif], Set::Home6)], Verdict::Masquerade, HAIRPIN),
        rule(&[V4, from_loopback, to_bridge], Verdict::Masquerade, "the host reaches a published port by 127.0.0.1"),
        rule(
            &[V4, Match::In(&[Iif], Set::Nat4), Match::NotIn(&[Oif], Set::Bridges)],
            Verdict::Masquerade,
            "out into the world",
        ),
        rule(
            &[V6, Match::In(&[Iif], Set::Nat6), Match::NotIn(&[Oif], Set::Bridges)],
            Verdict::Masquerade,
            "out into the world",
        ),
    ]
}

fn clamp() -> Vec<Rule> {
    let why = "between hosts there may be more room for a packet than on the way out";
    vec![rule(&[Match::In(&[Load::Iif], Set::Overlays), Match::Proto(6), Match::Syn], Verdict::ClampMss, why)]
}

const FAST: &str = "-o flowtable=true: both sides have spoken, and were let";

fn forward() -> Vec<Rule> {
    use Load::{Daddr4, Daddr6, Dport, Family, Iif, Oif, Proto};
    let to_bridge = Match::In(&[Oif], Set::Bridges);
    let offload = |loads| rule(&[Match::Established, Match::In(loads, Set::Flows)], Verdict::Offload, FAST);
    vec![
        offload(&[Iif, Oif]),
        offload(&[Oif, Iif]),
        rule(&[Match::Established], Verdict::Accept, "answers"),
        rule(
            &[Match::In(&[Iif, Oif], Set::Icc)],
            Verdict::Accept,
            "one bridge: with br_netfilter its frames come by here, without they don't",
        ),
        astray(),
        rule(&[Match::Mark(ACCEPT_MARK)], Verdict::Accept, "the administrator's rcr-user chains said so"),
        rule(
            &[Match::In(&[Iif], Set::Internal)],
            Verdict::Drop,
            "internal networks have no way out, to other networks' ports neither",
        ),
        rule(&[Match::Translated, to_bridge], Verdict::Accept, "published ports"),
        rule(
            &[V4, to_bridge, Match::In(&[Daddr4, Proto, Dport], Set::Open4)],
            Verdict::Accept,
            "published ports of routed networks",
        ),
        rule(
            &[V6, to_bridge, Match::In(&[Daddr6, Proto, Dport], Set::Open6)],
            Verdict::Accept,
            "published ports of routed networks",
        ),
        rule(&[to_bridge], Verdict::Drop, "networks are closed: to each other, to other hosts"),
        rule(&[Match::In(&[Iif], Set::Outbound)], Verdict::Accept, "out"),
        rule(&[Match::In(&[Iif], Set::Bridges)], Verdict::Drop, "only networks with a way out have one"),
        rule(
            &[Match::In(&[Family], Set::Guard)],
            Verdict::Drop,
            "we switched forwarding on for containers: the host does not route for others because of it",
        ),
    ]
}

fn input() -> Vec<Rule> {
    use Load::{Iif, Saddr4, Saddr6};
    vec![
        rule(&[Match::NotIn(&[Iif], Set::Bridges)], Verdict::Accept, "not from a container"),
        rule(&[Match::Established], Verdict::Accept, "answers"),
        rule(&[Match::Mark(ACCEPT_MARK)], Verdict::Accept, "the administrator's rcr-user chains said so"),
        rule(&[Match::Proto(1)], Verdict::Accept, "the gateway answers pings"),
        rule(&[Match::Proto(58)], Verdict::Accept, "neighbour discovery, pings"),
        astray(),
        rule(&[Match::In(&[Iif], Set::HostAccess)], Verdict::Accept, "-o host_access=true"),
        rule(&[V4, Match::In(&[Iif, Saddr4], Set::HostPeers4)], Verdict::Accept, "--add-host NAME:host-gateway"),
        rule(&[V6, Match::In(&[Iif, Saddr6], Set::HostPeers6)], Verdict::Accept, "--add-host NAME:host-gateway"),
        rule(&[], Verdict::Drop, "the host's own ports are closed to containers"),
    ]
}

const FRAMES: [Match; 2] = [Match::Proto(17), Match::In(&[Load::Dport], Set::Tunnels)];

fn tunnels() -> Vec<Rule> {
    use Load::{Dport, Iif, Saddr4, Saddr6, Vni};
    let (inside, outside) = (Match::In(&[Iif], Set::WireGuard), Match::NotIn(&[Iif], Set::WireGuard));
    let sealed = Match::In(&[Dport], Set::WireGuardPorts);
    let stranger = |family, load, set| [&[family], &FRAMES[..], &[Match::NotIn(load, set)]].concat();
    let sealer = |family, load, set| [family, Match::Proto(17), sealed, Match::NotIn(load, set)];
    let inner = [Match::In(&[Iif], Set::Bridges), Match::Proto(17), Match::In(&[Dport], Set::ClusterPorts)];
    vec![
        rule(&inner, Verdict::Drop, "containers are no hosts of the cluster, whatever their addresses are"),
        rule(&sealer(V4, &[Saddr4], Set::Vteps4), Verdict::Drop, "WireGuard answers known hosts only"),
        rule(&sealer(V6, &[Saddr6], Set::Vteps6), Verdict::Drop, "WireGuard answers known hosts only"),
        rule(
            &[&FRAMES[..], &[Match::In(&[Vni], Set::Encrypted), outside]].concat(),
            Verdict::Drop,
            "an encrypted network takes no frame that came in the clear",
        ),
        rule(&[&FRAMES[..], &[inside]].concat(), Verdict::Accept, "WireGuard knows who sent it"),
        rule(&stranger(V4, &[Saddr4], Set::Vteps4), Verdict::Drop, "VXLAN has no password: frames of known hosts only"),
        rule(&stranger(V6, &[Saddr6], Set::Vteps6), Verdict::Drop, "VXLAN has no password: frames of known hosts only"),
    ]
}

/// In a chain of its own: neither an established flow nor the administrator's mark takes a container's datagram past
/// it.
fn no_tunnel() -> Vec<Rule> {
    use Load::{Dport, Iif, Oif};
    let out = [Match::In(&[Iif], Set::Bridges), Match::NotIn(&[Oif], Set::Bridges), Match::Proto(17)];
    let sent = [&out[..], &[Match::In(&[Dport], Set::ClusterPorts)]].concat();
    let sealed = "between the hosts' ends of WireGuard travel their own frames alone";
    vec![
        rule(
            &sent,
            Verdict::Drop,
            "masqueraded, it would come from a host that is known, and enter an overlay network",
        ),
        rule(&[Match::In(&[Oif], Set::WireGuard)], Verdict::Drop, sealed),
        rule(&[Match::In(&[Iif], Set::WireGuard)], Verdict::Drop, sealed),
    ]
}

fn encrypted_only() -> Vec<Rule> {
    use Load::{Oif, Vni};
    let sealed = [Match::In(&[Vni], Set::Encrypted), Match::NotIn(&[Oif], Set::WireGuard)];
    let why = "with its route or its link gone, a frame of an encrypted network does not leave in the clear";
    vec![rule(&[&FRAMES[..], &sealed].concat(), Verdict::Drop, why)]
}

fn own_only() -> Vec<Rule> {
    use Load::{Daddr4, Daddr6, Oif};
    let over = Match::In(&[Oif], Set::Overlays);
    // RFC 4291, section 2.7.1: solicited-node addresses.
    let solicited = Match::To(net(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0), 104));
    let why =
        "the gateway's address is on every host: what it sent to another host's container would be answered there";
    vec![
        rule(&[over, V4, Match::NotIn(&[Oif, Daddr4], Set::Local4)], Verdict::Drop, why),
        rule(&[over, V6, solicited], Verdict::Return, "neighbour solicitations: the tunnel passes none on"),
        rule(&[over, V6, Match::NotIn(&[Oif, Daddr6], Set::Local6)], Verdict::Drop, why),
    ]
}

/// The administrator's table: hooked before ours, written once, never flushed.
pub fn user_table() -> Table {
    let chain = |name, hook| Chain { name, kind: "filter", hook, device: None, priority: -10, rules: Vec::new() };
    Table {
        family: 1,
        name: "rcr-user",
        sets: &[],
        chains: vec![chain("user-forward", Hook::Forward), chain("user-input", Hook::Input)],
    }
}
