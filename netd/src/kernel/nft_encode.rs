//! Tables, sets and rules as nfnetlink messages (include/uapi/linux/netfilter/nf_tables.h).

use super::netlink::{Attributes, NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, frame};
use crate::firewall::{Chain, Datum, Element, Field, Load, Match, Rule, Set, Table, Verdict};
use ipnet::IpNet;
use std::net::IpAddr;

/// `NFNL_SUBSYS_NFTABLES << 8`.
pub const SUBSYSTEM: u16 = 10 << 8;
pub const NEWTABLE: u16 = SUBSYSTEM;
pub const GETTABLE: u16 = SUBSYSTEM | 1;
pub const DELTABLE: u16 = SUBSYSTEM | 2;
const NEWCHAIN: u16 = SUBSYSTEM | 3;
pub const GETCHAIN: u16 = SUBSYSTEM | 4;
pub const DELCHAIN: u16 = SUBSYSTEM | 5;
const NEWRULE: u16 = SUBSYSTEM | 6;
pub const GETRULE: u16 = SUBSYSTEM | 7;
pub const DELRULE: u16 = SUBSYSTEM | 8;
const NEWSET: u16 = SUBSYSTEM | 9;
pub const DELSET: u16 = SUBSYSTEM | 11;
const NEWSETELEM: u16 = SUBSYSTEM | 12;
pub const GETSETELEM: u16 = SUBSYSTEM | 13;
pub const DELSETELEM: u16 = SUBSYSTEM | 14;
pub const NEWGEN: u16 = SUBSYSTEM | 15;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NLM_F_APPEND`: rules keep their order.
const NLM_F_APPEND: u16 = 0x800;

/// The first 32-bit register (`NFT_REG32_00`). A look-up's key starts here, and so does what it yields.
const REGISTER: u32 = 8;
/// Elements in one message: a nested attribute ends at 64 KiB.
const CHUNK: usize = 400;

/// A transaction: all of it or nothing.
pub struct Batch {
    bytes: Vec<u8>,
    first: u32,
    seq: u32,
    last_at: usize,
    names: Vec<String>,
}

impl Batch {
    /// Starts a batch whose messages count from `seq`.
    pub fn new(seq: u32) -> Self {
        let mut bytes = Vec::new();
        frame(&mut bytes, BATCH_BEGIN, NLM_F_REQUEST, seq, &[0, 0, 0, 10]);
        Self { bytes, first: seq, seq, last_at: 0, names: Vec::new() }
    }

    fn push(&mut self, kind: u16, flags: u16, family: u8, name: String, attributes: &Attributes) {
        self.seq += 1;
        self.last_at = self.bytes.len();
        let mut payload = vec![family, 0, 0, 0];
        payload.extend_from_slice(&attributes.0);
        frame(&mut self.bytes, kind, NLM_F_REQUEST | flags, self.seq, &payload);
        self.names.push(name);
    }

    /// The bytes, the number of the message that is acknowledged, and the number of the last message.
    pub fn finish(mut self) -> Sealed {
        // One acknowledgement, of the last inner message: the kernel sends it after the commit, errors before it.
        if let Some(flags) = self.bytes.get_mut(self.last_at + 6..self.last_at + 8) {
            let old = u16::from_ne_bytes([flags[0], flags[1]]);
            flags.copy_from_slice(&(old | NLM_F_ACK).to_ne_bytes());
        }
        frame(&mut self.bytes, BATCH_END, NLM_F_REQUEST, self.seq + 1, &[0, 0, 0, 10]);
        Sealed { bytes: self.bytes, first: self.first, last: self.seq, names: self.names }
    }

    /// Makes a table, or takes one over.
    pub fn new_table(&mut self, family: u8, name: &str, flags: u32) {
        let mut a = Attributes::default();
        a.text(1, name).be32(2, flags);
        self.push(NEWTABLE, NLM_F_CREATE, family, format!("table `{name}`"), &a);
    }

    /// Deletes a table with all that is in it.
    pub fn delete_table(&mut self, family: u8, name: &str) {
        let mut a = Attributes::default();
        a.text(1, name);
        self.push(DELTABLE, 0, family, format!("delete table `{name}`"), &a);
    }

    /// A table's sets, chains and rules.
    pub fn contents(&mut self, table: &Table) {
        for (id, set) in table.sets.iter().enumerate() {
            self.set(table, *set, id as u32 + 1);
        }
        for chain in &table.chains {
            self.chain(table, chain);
        }
        for chain in &table.chains {
            for rule in &chain.rules {
                self.rule(table, chain.name, rule);
            }
        }
    }

    fn set(&mut self, table: &Table, set: Set, id: u32) {
        let (key, data) = (set.key(), set.data());
        let concatenated = set.interval() && key.len() > 1;
        let flags = if set.interval() { 0x4 } else { 0 }
            | if data.is_empty() { 0 } else { 0x8 }
            | if concatenated { 0x80 } else { 0 };
        let mut a = Attributes::default();
        a.text(1, table.name).text(2, set.name()).be32(3, flags);
        a.be32(4, type_number(key)).be32(5, width(key));
        if !data.is_empty() {
            a.be32(6, type_number(data)).be32(7, width(data));
        }
        if concatenated {
            a.nest(9, |desc| {
                desc.nest(2, |list| {
                    for field in key {
                        list.nest(1, |f| {
                            f.be32(1, size(*field));
                        });
                    }
                });
            });
        }
        if key == [Field::Link] {
            // nft(8)'s note on the byte order of the key (the host's): without it, it can't print names.
            a.bytes(13, &[0, 4, 1, 0, 0, 0]);
        }
        a.be32(10, id);
        self.push(NEWSET, NLM_F_CREATE, table.family, format!("set `{}`", set.name()), &a);
    }

    fn chain(&mut self, table: &Table, chain: &Chain) {
        let mut a = Attributes::default();
        a.text(1, table.name).text(3, chain.name);
        a.nest(4, |hook| {
            hook.be32(1, chain.hook as u32).be32(2, chain.priority as u32);
        });
        a.be32(5, 1).text(7, chain.kind);
        self.push(NEWCHAIN, NLM_F_CREATE, table.family, format!("chain `{}`", chain.name), &a);
    }

    fn rule(&mut self, table: &Table, chain: &str, rule: &Rule) {
        let mut a = Attributes::default();
        a.text(1, table.name).text(2, chain);
        a.nest(4, |list| rule_expressions(list, rule));
        let mut comment = vec![0, rule.comment.len() as u8 + 1];
        comment.extend_from_slice(rule.comment.as_bytes());
        comment.push(0);
        a.bytes(7, &comment);
        let name = format!("rule of `{chain}`: {}", rule.comment);
        self.push(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, table.family, name, &a);
    }

    /// Adds elements to the host table's sets.
    pub fn add_elements<'a>(&mut self, elements: impl Iterator<Item = &'a Element>) {
        self.elements(NEWSETELEM, NLM_F_CREATE, elements);
    }

    /// Deletes elements from them.
    pub fn delete_elements<'a>(&mut self, elements: impl Iterator<Item = &'a Element>) {
        self.elements(DELSETELEM, 0, elements);
    }

    fn elements<'a>(&mut self, kind: u16, flags: u16, elements: impl Iterator<Item = &'a Element>) {
        let mut by_set: std::collections::BTreeMap<Set, Vec<&Element>> = std::collections::BTreeMap::new();
        for element in elements {
            by_set.entry(element.set).or_default().push(element);
        }
        for (set, all) in by_set {
            for chunk in all.chunks(CHUNK) {
                let mut a = Attributes::default();
                a.text(1, "rcr").text(2, set.name());
                a.nest(3, |list| chunk.iter().for_each(|e| one_element(list, e, kind == NEWSETELEM)));
                self.push(kind, flags, 1, format!("elements of `{}`", set.name()), &a);
            }
        }
    }
}

/// A batch ready to be sent.
pub struct Sealed {
    pub bytes: Vec<u8>,
    first: u32,
    /// The message whose acknowledgement ends the answer.
    pub last: u32,
    names: Vec<String>,
}

impl Sealed {
    /// Whether a sequence number belongs to this batch.
    pub fn holds(&self, seq: u32) -> bool {
        (self.first..=self.last).contains(&seq)
    }

    /// What the message of this number was.
    pub fn name(&self, seq: u32) -> &str {
        let index = seq.checked_sub(self.first + 1).map(|i| i as usize);
        index.and_then(|i| self.names.get(i)).map_or("commit", String::as_str)
    }
}

fn one_element(list: &mut Attributes, element: &Element, with_data: bool) {
    list.nest(1, |e| {
        let value = |a: &mut Attributes, data: &[Datum]| {
            a.bytes(1, &encode(data));
        };
        e.nest(1, |key| value(key, &element.key));
        if let Some(last) = &element.last {
            e.nest(10, |end| value(end, last));
        }
        if with_data && !element.data.is_empty() {
            e.nest(2, |data| value(data, &element.data));
        }
    });
}

/// Values side by side, each in whole 32-bit registers.
fn encode(data: &[Datum]) -> Vec<u8> {
    let mut out = Vec::new();
    for datum in data {
        match datum {
            Datum::Link(name) => out.extend_from_slice(&link_name(name.as_str())),
            Datum::V4(a) => out.extend_from_slice(&a.octets()),
            Datum::V6(a) => out.extend_from_slice(&a.octets()),
            Datum::Proto(n) | Datum::Family(n) => out.push(*n),
            Datum::Port(p) => out.extend_from_slice(&p.to_be_bytes()),
            Datum::Vni(vni) => out.extend_from_slice(&vni.number().to_be_bytes()[1..]),
        }
        if data.len() > 1 {
            out.resize(out.len().next_multiple_of(4), 0);
        }
    }
    out
}

fn link_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    bytes
}

fn size(field: Field) -> u32 {
    match field {
        Field::Link | Field::V6 => 16,
        Field::V4 => 4,
        Field::Vni => 3,
        Field::Port => 2,
        Field::Proto | Field::Family => 1,
    }
}

fn width(fields: &[Field]) -> u32 {
    match fields {
        [one] => size(*one),
        many => many.iter().map(|f| size(*f).next_multiple_of(4)).sum(),
    }
}

/// How nft(8) names the fields: its type numbers, six bits each. The kernel only keeps them.
fn type_number(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |all, field| {
        all << 6
            | match field {
                Field::Family => 2,
                // No kind of nft(8)'s: an integer.
                Field::Vni => 4,
                Field::V4 => 7,
                Field::V6 => 8,
                Field::Proto => 12,
                Field::Port => 13,
                Field::Link => 41,
            }
    })
}

fn expression(list: &mut Attributes, name: &str, fill: impl FnOnce(&mut Attributes)) {
    list.nest(1, |e| {
        e.text(1, name).nest(2, fill);
    });
}

fn rule_expressions(list: &mut Attributes, rule: &Rule) {
    for one in &rule.matches {
        match_expressions(list, one);
    }
    verdict_expressions(list, rule);
}

fn match_expressions(list: &mut Attributes, one: &Match) {
    match one {
        Match::Family(n) => {
            load(list, Load::Family, REGISTER);
            compare(list, 0, &[*n]);
        }
        Match::Proto(n) => {
            load(list, Load::Proto, REGISTER);
            compare(list, 0, &[*n]);
        }
        Match::Port(port) => {
            load(list, Load::Dport, REGISTER);
            compare(list, 0, &port.to_be_bytes());
        }
        Match::IifNot(name) => {
            load(list, Load::Iif, REGISTER);
            compare(list, 1, &link_name(name));
        }
        Match::In(loads, set) => lookup(list, loads, *set, false),
        Match::NotIn(loads, set) => lookup(list, loads, *set, true),
        // Bits of `ct state`: 2 is established, 4 is related; of `ct status`: 32 is IPS_DST_NAT.
        Match::Established => conntrack_bits(list, 0, 6),
        Match::Translated => conntrack_bits(list, 2, 32),
        Match::ToLocal => {
            // NFT_FIB_RESULT_ADDRTYPE of the destination; RTN_LOCAL is 2.
            expression(list, "fib", |e| {
                e.be32(1, REGISTER).be32(2, 3).be32(3, 2);
            });
            compare(list, 0, &2u32.to_ne_bytes());
        }
        Match::Mark(mark) => {
            meta(list, 3, REGISTER);
            compare(list, 0, &mark.to_ne_bytes());
        }
        Match::Syn => {
            // RFC 9293, section 3.1: the flags are the 14th byte, SYN is 2.
            payload(list, 2, 13, 1, REGISTER);
            mask(list, &[2]);
            compare(list, 1, &[0]);
        }
        Match::From(net) => prefix(list, net, true),
        Match::To(net) => prefix(list, net, false),
    }
}

fn verdict_expressions(list: &mut Attributes, rule: &Rule) {
    let code = |list: &mut Attributes, code: i32| {
        expression(list, "immediate", |e| {
            e.be32(1, 0).nest(2, |data| {
                data.nest(2, |verdict| {
                    verdict.be32(1, code as u32);
                });
            });
        });
    };
    match rule.verdict {
        Verdict::Drop => {
            expression(list, "counter", |_| {});
            code(list, 0);
        }
        Verdict::Accept => code(list, 1),
        Verdict::Return => code(list, -5),
        Verdict::ClampMss => clamp_mss(list),
        Verdict::Masquerade => expression(list, "masq", |_| {}),
        Verdict::DnatMap(loads, set) => {
            lookup_value(list, loads, set);
            let data = set.data();
            let family = if data.first() == Some(&Field::V4) { 2 } else { 10 };
            let port = (data.len() > 1).then(|| REGISTER + size(data[0]).div_ceil(4));
            dnat(list, family, port);
        }
        Verdict::Dnat(to) => {
            immediate(list, REGISTER, &to.ip().octets());
            immediate(list, REGISTER + 1, &to.port().to_be_bytes());
            dnat(list, 2, Some(REGISTER + 1));
        }
    }
}

fn dnat(list: &mut Attributes, family: u32, port: Option<u32>) {
    expression(list, "nat", |e| {
        e.be32(1, 1).be32(2, family).be32(3, REGISTER);
        if let Some(port) = port {
            e.be32(5, port);
        }
    });
}

fn immediate(list: &mut Attributes, register: u32, value: &[u8]) {
    expression(list, "immediate", |e| {
        e.be32(1, register).nest(2, |data| {
            data.bytes(1, value);
        });
    });
}

fn meta(list: &mut Attributes, key: u32, register: u32) {
    expression(list, "meta", |e| {
        e.be32(1, register).be32(2, key);
    });
}

fn payload(list: &mut Attributes, base: u32, offset: u32, len: u32, register: u32) {
    expression(list, "payload", |e| {
        e.be32(1, register).be32(2, base).be32(3, offset).be32(4, len);
    });
}

fn compare(list: &mut Attributes, operator: u32, value: &[u8]) {
    expression(list, "cmp", |e| {
        e.be32(1, REGISTER).be32(2, operator).nest(3, |data| {
            data.bytes(1, value);
        });
    });
}

fn conntrack_bits(list: &mut Attributes, key: u32, bits: u32) {
    expression(list, "ct", |e| {
        e.be32(1, REGISTER).be32(2, key);
    });
    mask(list, &bits.to_ne_bytes());
    compare(list, 1, &[0; 4]);
}

/// Keeps these bits of the register: no more than four bytes.
fn mask(list: &mut Attributes, bits: &[u8]) {
    expression(list, "bitwise", |e| {
        e.be32(1, REGISTER).be32(2, REGISTER).be32(3, bits.len() as u32);
        e.nest(4, |mask| {
            mask.bytes(1, bits);
        });
        e.nest(5, |xor| {
            xor.bytes(1, &[0; 4][..bits.len()]);
        });
    });
}

/// What nft(8) makes of `tcp option maxseg size set rt mtu`. The kernel only ever lowers it (net/netfilter/nft_exthdr.c, nft_exthdr_tcp_set_eval).
fn clamp_mss(list: &mut Attributes) {
    // NFT_RT_TCPMSS, in the host's byte order; NFT_BYTEORDER_HTON.
    expression(list, "rt", |e| {
        e.be32(1, REGISTER).be32(2, 3);
    });
    expression(list, "byteorder", |e| {
        e.be32(1, REGISTER).be32(2, REGISTER).be32(3, 1).be32(4, 2).be32(5, 2);
    });
    // NFT_EXTHDR_OP_TCPOPT: of option 2 (RFC 9293, section 3.2) the two bytes behind kind and length.
    expression(list, "exthdr", |e| {
        e.bytes(2, &[2]).be32(3, 2).be32(4, 2).be32(6, 1).be32(7, REGISTER);
    });
}

/// Compares the leading bytes of an address: our prefixes all end at a byte.
fn prefix(list: &mut Attributes, net: &IpNet, source: bool) {
    let (offset, octets) = match net.addr() {
        IpAddr::V4(a) => (if source { 12 } else { 16 }, a.octets().to_vec()),
        IpAddr::V6(a) => (if source { 8 } else { 24 }, a.octets().to_vec()),
    };
    let len = usize::from(net.prefix_len() / 8);
    payload(list, 1, offset, len as u32, REGISTER);
    compare(list, 0, &octets[..len.min(octets.len())]);
}

fn load(list: &mut Attributes, what: Load, register: u32) {
    match what {
        Load::Iif => meta(list, 6, register),
        Load::Oif => meta(list, 7, register),
        Load::Family => meta(list, 15, register),
        Load::Proto => meta(list, 16, register),
        Load::Saddr4 => payload(list, 1, 12, 4, register),
        Load::Daddr4 => payload(list, 1, 16, 4, register),
        Load::Saddr6 => payload(list, 1, 8, 16, register),
        Load::Daddr6 => payload(list, 1, 24, 16, register),
        Load::Dport => payload(list, 2, 2, 2, register),
        Load::Vni => payload(list, 2, 12, 3, register),
    }
}

fn lookup(list: &mut Attributes, loads: &[Load], set: Set, inverted: bool) {
    load_all(list, loads);
    expression(list, "lookup", |e| {
        e.text(1, set.name()).be32(2, REGISTER);
        if inverted {
            e.be32(5, 1);
        }
    });
}

/// The value goes where the key was: the kernel has read it by then.
fn lookup_value(list: &mut Attributes, loads: &[Load], map: Set) {
    load_all(list, loads);
    expression(list, "lookup", |e| {
        e.text(1, map.name()).be32(2, REGISTER).be32(3, REGISTER);
    });
}

fn load_all(list: &mut Attributes, loads: &[Load]) {
    let mut register = REGISTER;
    for one in loads {
        load(list, *one, register);
        register += size(one.field()).div_ceil(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::{host_table, user_table};

    #[test]
    fn keys_fill_whole_registers() {
        let name = Datum::Link("br-x".parse().unwrap());
        assert_eq!(encode(&[name]).len(), 16);
        let data = [Datum::V4([10, 0, 0, 1].into()), Datum::Proto(6), Datum::Port(80)];
        assert_eq!(encode(&data), [10, 0, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0]);
        assert_eq!(width(Set::Publish4.key()), 12);
        assert_eq!(type_number(&[Field::V4, Field::Port]), 7 << 6 | 13);
    }

    #[test]
    fn every_rule_names_sets_whose_keys_fit_what_it_loads() {
        for rule in host_table().chains.iter().chain(&user_table().chains).flat_map(|c| &c.rules) {
            assert!(rule.comment.len() < 127, "{}", rule.comment);
            for one in &rule.matches {
                if let Match::In(loads, set) | Match::NotIn(loads, set) = one {
                    let fields: Vec<Field> = loads.iter().map(|l| l.field()).collect();
                    assert_eq!(fields, set.key(), "{}", set.name());
                }
            }
        }
    }
}
