//! Rules as the expressions that the kernel runs (net/netfilter/nft_*.c), which nft(8) would make of them, too.

use super::netlink::Attributes;
use super::nft_names::*;
use ipnet::IpNet;
use netd_core::firewall::{FLOW_TABLE, Field, Load, Match, PortAt, Rule, Set, Verdict};
use std::net::IpAddr;

/// A look-up's key starts here, and so does what it yields.
const REGISTER: u32 = NFT_REG32_00;
/// What a frame carries (include/uapi/linux/if_ether.h).
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;

/// One expression.
pub fn expression(list: &mut Attributes, name: &str, fill: impl FnOnce(&mut Attributes)) {
    list.nest(NFTA_LIST_ELEM, |e| {
        e.text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, fill);
    });
}

/// A rule of a table of this family: what it matches, then what it does.
pub fn rule_expressions(list: &mut Attributes, family: u8, rule: &Rule) {
    matches(list, family, &rule.matches);
    verdict_expressions(list, rule);
}

/// What a rule matches alone.
pub fn matches(list: &mut Attributes, family: u8, all: &[Match]) {
    for one in all {
        match one {
            Match::Family(n) => match_family(list, family, *n),
            other => match_expressions(list, other),
        }
    }
}

fn match_family(list: &mut Attributes, table: u8, family: u8) {
    match u32::from(table) {
        // A hook of a link knows frames.
        NFPROTO_NETDEV => {
            meta(list, NFT_META_PROTOCOL, REGISTER);
            let kind = if u32::from(family) == NFPROTO_IPV4 { ETH_P_IP } else { ETH_P_IPV6 };
            compare(list, NFT_CMP_EQ, &kind.to_be_bytes());
        }
        NFPROTO_INET => {
            load(list, Load::Family, REGISTER);
            compare(list, NFT_CMP_EQ, &[family]);
        }
        // Its tables see nothing else.
        _ => {}
    }
}

fn match_expressions(list: &mut Attributes, one: &Match) {
    match one {
        // What it takes depends on the table.
        Match::Family(_) => {}
        Match::Proto(n) => {
            load(list, Load::Proto, REGISTER);
            compare(list, NFT_CMP_EQ, &[*n]);
        }
        Match::Port(port) => {
            load(list, Load::Dport, REGISTER);
            compare(list, NFT_CMP_EQ, &port.to_be_bytes());
        }
        Match::SourcePort(port) => transport(list, 0, &port.to_be_bytes()),
        Match::Quoting(port) => quoting(list, *port),
        Match::IifNot(name) => {
            load(list, Load::Iif, REGISTER);
            compare(list, NFT_CMP_NEQ, &link_name(name));
        }
        Match::In(loads, set) => lookup(list, loads, *set, false),
        Match::NotIn(loads, set) => lookup(list, loads, *set, true),
        Match::Established => conntrack_bits(list, NFT_CT_STATE, NFT_CT_STATE_ESTABLISHED | NFT_CT_STATE_RELATED),
        Match::Untracked => conntrack_bits(list, NFT_CT_STATE, NFT_CT_STATE_UNTRACKED),
        Match::Unicast => {
            // IEEE 802.3, section 3.2.3: the first bit that is sent.
            payload(list, NFT_PAYLOAD_LL_HEADER, 0, 1, REGISTER);
            mask(list, &[1]);
            compare(list, NFT_CMP_EQ, &[0]);
        }
        Match::Translated => conntrack_bits(list, NFT_CT_STATUS, IPS_DST_NAT),
        Match::ToLocal => {
            expression(list, "fib", |e| {
                e.be32(NFTA_FIB_DREG, REGISTER);
                e.be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE).be32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
            });
            compare(list, NFT_CMP_EQ, &RTN_LOCAL.to_ne_bytes());
        }
        Match::Mark(mark) => {
            meta(list, NFT_META_MARK, REGISTER);
            compare(list, NFT_CMP_EQ, &mark.to_ne_bytes());
        }
        Match::Syn => {
            // RFC 9293, section 3.1: the flags are the 14th byte, SYN is 2.
            payload(list, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, REGISTER);
            mask(list, &[2]);
            compare(list, NFT_CMP_NEQ, &[0]);
        }
        Match::From(net) => prefix(list, net, true),
        Match::To(net) => prefix(list, net, false),
    }
}

fn verdict_expressions(list: &mut Attributes, rule: &Rule) {
    let code = |list: &mut Attributes, code: i32| {
        expression(list, "immediate", |e| {
            e.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT).nest(NFTA_IMMEDIATE_DATA, |data| {
                data.nest(NFTA_DATA_VERDICT, |verdict| {
                    verdict.be32(NFTA_VERDICT_CODE, code as u32);
                });
            });
        });
    };
    match rule.verdict {
        Verdict::Drop => {
            expression(list, "counter", |_| {});
            code(list, NF_DROP);
        }
        Verdict::Accept => code(list, NF_ACCEPT),
        Verdict::Return => code(list, NFT_RETURN),
        Verdict::ClampMss => clamp_mss(list),
        Verdict::Masquerade => expression(list, "masq", |_| {}),
        Verdict::DnatMap(loads, set) => {
            lookup_value(list, loads, set);
            let data = set.data();
            let family = if data.first() == Some(&Field::V4) { NFPROTO_IPV4 } else { NFPROTO_IPV6 };
            let port = (data.len() > 1).then(|| REGISTER + size(data[0]).div_ceil(4));
            dnat(list, family, port);
        }
        Verdict::Offload => expression(list, "flow_offload", |e| {
            e.text(NFTA_FLOW_TABLE_NAME, FLOW_TABLE);
        }),
        Verdict::Untrack => expression(list, "notrack", |_| {}),
        Verdict::SetPort(at, port) => {
            set_port(list, at, port);
            code(list, NF_ACCEPT);
        }
    }
}

/// Where an ICMP error's quoted header begins (RFC 792), and the port behind it, if it has no options.
const QUOTE: u32 = 8;
const QUOTED_PORT: u32 = QUOTE + 20 + 2;

/// Type 3, a quoted IPv4 header of 20 bytes, of protocol 17, and this port behind it.
fn quoting(list: &mut Attributes, port: u16) {
    transport(list, 0, &[3]);
    transport(list, QUOTE, &[0x45]);
    transport(list, QUOTE + 9, &[17]);
    transport(list, QUOTED_PORT, &port.to_be_bytes());
}

/// The bytes at an offset behind the IP header are these.
fn transport(list: &mut Attributes, offset: u32, bytes: &[u8]) {
    payload(list, NFT_PAYLOAD_TRANSPORT_HEADER, offset, bytes.len() as u32, REGISTER);
    compare(list, NFT_CMP_EQ, bytes);
}

/// Offsets of ports and checksums in the TCP (RFC 9293), UDP (RFC 768) and ICMP headers, in bytes. The kernel mends the
/// checksum, unless that is still to be made (net/netfilter/nft_payload.c, nft_payload_set_eval).
fn set_port(list: &mut Attributes, at: PortAt, port: u16) {
    let (offset, checksum) = match at {
        PortAt::TcpSource => (0, 16),
        PortAt::TcpDestination => (2, 16),
        PortAt::UdpSource => (0, 6),
        PortAt::UdpDestination => (2, 6),
        PortAt::Quoted => (QUOTED_PORT, 2),
    };
    immediate(list, REGISTER, &port.to_be_bytes());
    expression(list, "payload", |e| {
        e.be32(NFTA_PAYLOAD_SREG, REGISTER).be32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
        e.be32(NFTA_PAYLOAD_OFFSET, offset).be32(NFTA_PAYLOAD_LEN, 2);
        e.be32(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET).be32(NFTA_PAYLOAD_CSUM_OFFSET, checksum);
    });
}

fn dnat(list: &mut Attributes, family: u32, port: Option<u32>) {
    expression(list, "nat", |e| {
        e.be32(NFTA_NAT_TYPE, NFT_NAT_DNAT).be32(NFTA_NAT_FAMILY, family).be32(NFTA_NAT_REG_ADDR_MIN, REGISTER);
        if let Some(port) = port {
            e.be32(NFTA_NAT_REG_PROTO_MIN, port);
        }
    });
}

fn immediate(list: &mut Attributes, register: u32, value: &[u8]) {
    expression(list, "immediate", |e| {
        e.be32(NFTA_IMMEDIATE_DREG, register).nest(NFTA_IMMEDIATE_DATA, |data| {
            data.bytes(NFTA_DATA_VALUE, value);
        });
    });
}

fn meta(list: &mut Attributes, key: u32, register: u32) {
    expression(list, "meta", |e| {
        e.be32(NFTA_META_DREG, register).be32(NFTA_META_KEY, key);
    });
}

fn payload(list: &mut Attributes, base: u32, offset: u32, len: u32, register: u32) {
    expression(list, "payload", |e| {
        e.be32(NFTA_PAYLOAD_DREG, register).be32(NFTA_PAYLOAD_BASE, base);
        e.be32(NFTA_PAYLOAD_OFFSET, offset).be32(NFTA_PAYLOAD_LEN, len);
    });
}

fn compare(list: &mut Attributes, operator: u32, value: &[u8]) {
    expression(list, "cmp", |e| {
        e.be32(NFTA_CMP_SREG, REGISTER).be32(NFTA_CMP_OP, operator).nest(NFTA_CMP_DATA, |data| {
            data.bytes(NFTA_DATA_VALUE, value);
        });
    });
}

fn conntrack_bits(list: &mut Attributes, key: u32, bits: u32) {
    expression(list, "ct", |e| {
        e.be32(NFTA_CT_DREG, REGISTER).be32(NFTA_CT_KEY, key);
    });
    mask(list, &bits.to_ne_bytes());
    compare(list, NFT_CMP_NEQ, &[0; 4]);
}

/// Keeps these bits of the register: no more than four bytes.
fn mask(list: &mut Attributes, bits: &[u8]) {
    expression(list, "bitwise", |e| {
        e.be32(NFTA_BITWISE_SREG, REGISTER).be32(NFTA_BITWISE_DREG, REGISTER).be32(NFTA_BITWISE_LEN, bits.len() as u32);
        e.nest(NFTA_BITWISE_MASK, |mask| {
            mask.bytes(NFTA_DATA_VALUE, bits);
        });
        e.nest(NFTA_BITWISE_XOR, |xor| {
            xor.bytes(NFTA_DATA_VALUE, &[0; 4][..bits.len()]);
        });
    });
}

/// What nft(8) makes of `tcp option maxseg size set rt mtu`. The kernel only ever lowers it (net/netfilter/nft_exthdr.c, nft_exthdr_tcp_set_eval).
fn clamp_mss(list: &mut Attributes) {
    // In the host's byte order.
    expression(list, "rt", |e| {
        e.be32(NFTA_RT_DREG, REGISTER).be32(NFTA_RT_KEY, NFT_RT_TCPMSS);
    });
    expression(list, "byteorder", |e| {
        e.be32(NFTA_BYTEORDER_SREG, REGISTER).be32(NFTA_BYTEORDER_DREG, REGISTER);
        e.be32(NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON).be32(NFTA_BYTEORDER_LEN, 2).be32(NFTA_BYTEORDER_SIZE, 2);
    });
    // Of option 2 (RFC 9293, section 3.2) the two bytes behind kind and length.
    expression(list, "exthdr", |e| {
        e.bytes(NFTA_EXTHDR_TYPE, &[2]).be32(NFTA_EXTHDR_OFFSET, 2).be32(NFTA_EXTHDR_LEN, 2);
        e.be32(NFTA_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT).be32(NFTA_EXTHDR_SREG, REGISTER);
    });
}

/// Compares the leading bytes of an address: our prefixes all end at a byte.
fn prefix(list: &mut Attributes, net: &IpNet, source: bool) {
    let (offset, octets) = match net.addr() {
        IpAddr::V4(a) => (if source { 12 } else { 16 }, a.octets().to_vec()),
        IpAddr::V6(a) => (if source { 8 } else { 24 }, a.octets().to_vec()),
    };
    let len = usize::from(net.prefix_len() / 8);
    payload(list, NFT_PAYLOAD_NETWORK_HEADER, offset, len as u32, REGISTER);
    compare(list, NFT_CMP_EQ, &octets[..len.min(octets.len())]);
}

fn load(list: &mut Attributes, what: Load, register: u32) {
    match what {
        Load::Iif => meta(list, NFT_META_IIFNAME, register),
        Load::Oif => meta(list, NFT_META_OIFNAME, register),
        Load::EtherDestination => payload(list, NFT_PAYLOAD_LL_HEADER, 0, 6, register),
        Load::Family => meta(list, NFT_META_NFPROTO, register),
        Load::Proto => meta(list, NFT_META_L4PROTO, register),
        // Offsets in the IPv4 (RFC 791), IPv6 (RFC 8200), TCP or UDP, and VXLAN (RFC 7348) headers, and lengths, in bytes.
        Load::Saddr4 => payload(list, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, register),
        Load::Daddr4 => payload(list, NFT_PAYLOAD_NETWORK_HEADER, 16, 4, register),
        Load::Saddr6 => payload(list, NFT_PAYLOAD_NETWORK_HEADER, 8, 16, register),
        Load::Daddr6 => payload(list, NFT_PAYLOAD_NETWORK_HEADER, 24, 16, register),
        Load::Dport => payload(list, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, register),
        Load::Vni => payload(list, NFT_PAYLOAD_TRANSPORT_HEADER, 12, 3, register),
    }
}

fn lookup(list: &mut Attributes, loads: &[Load], set: Set, inverted: bool) {
    load_all(list, loads);
    expression(list, "lookup", |e| {
        e.text(NFTA_LOOKUP_SET, set.name()).be32(NFTA_LOOKUP_SREG, REGISTER);
        if inverted {
            e.be32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
        }
    });
}

/// The value goes where the key was: the kernel has read it by then.
fn lookup_value(list: &mut Attributes, loads: &[Load], map: Set) {
    load_all(list, loads);
    expression(list, "lookup", |e| {
        e.text(NFTA_LOOKUP_SET, map.name()).be32(NFTA_LOOKUP_SREG, REGISTER).be32(NFTA_LOOKUP_DREG, REGISTER);
    });
}

fn load_all(list: &mut Attributes, loads: &[Load]) {
    let mut register = REGISTER;
    for one in loads {
        load(list, *one, register);
        register += size(one.field()).div_ceil(4);
    }
}

/// A link's name as the kernel compares it (IFNAMSIZ).
pub fn link_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    bytes
}

/// Bytes of a field.
pub fn size(field: Field) -> u32 {
    match field {
        Field::Link | Field::V6 => 16,
        Field::V4 => 4,
        Field::Mac => 6,
        Field::Vni => 3,
        Field::Port => 2,
        Field::Proto | Field::Family => 1,
    }
}
