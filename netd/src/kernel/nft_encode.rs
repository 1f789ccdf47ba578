//! Tables, sets and rules as nfnetlink messages (include/uapi/linux/netfilter/nf_tables.h).

use super::netlink::{Attributes, NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, frame};
use super::nft_expression::{link_name, rule_expressions, size};
use super::nft_names::*;
use netd_api::IfName;
use netd_core::firewall::{Chain, ChainChange, Datum, Element, FLOW_TABLE, Field, Rule, Set, Table};

/// `NFNL_SUBSYS_NFTABLES << 8`.
pub const SUBSYSTEM: u16 = 10 << 8;
pub const NEWTABLE: u16 = SUBSYSTEM;
pub const GETTABLE: u16 = SUBSYSTEM | 1;
pub const DELTABLE: u16 = SUBSYSTEM | 2;
pub const NEWCHAIN: u16 = SUBSYSTEM | 3;
pub const GETCHAIN: u16 = SUBSYSTEM | 4;
pub const DELCHAIN: u16 = SUBSYSTEM | 5;
pub const NEWRULE: u16 = SUBSYSTEM | 6;
pub const GETRULE: u16 = SUBSYSTEM | 7;
pub const DELRULE: u16 = SUBSYSTEM | 8;
const NEWSET: u16 = SUBSYSTEM | 9;
pub const DELSET: u16 = SUBSYSTEM | 11;
const NEWSETELEM: u16 = SUBSYSTEM | 12;
pub const GETSETELEM: u16 = SUBSYSTEM | 13;
pub const DELSETELEM: u16 = SUBSYSTEM | 14;
pub const NEWGEN: u16 = SUBSYSTEM | 15;
const NEWFLOWTABLE: u16 = SUBSYSTEM | 22;
const DELFLOWTABLE: u16 = SUBSYSTEM | 24;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NLM_F_APPEND`: rules keep their order.
const NLM_F_APPEND: u16 = 0x800;

/// Elements in one message: a nested attribute ends at 64 KiB.
const CHUNK: usize = 400;

/// Links in one message about a flow table (`NFT_NETDEVICE_MAX` is 256).
const FLOW_LINKS: usize = 200;

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

    /// One message; `name`: what it is, for errors.
    pub fn push(&mut self, kind: u16, flags: u16, family: u8, name: String, attributes: &Attributes) {
        self.seq += 1;
        self.last_at = self.bytes.len();
        let mut payload = vec![family, 0, 0, 0];
        payload.extend_from_slice(&attributes.0);
        frame(&mut self.bytes, kind, NLM_F_REQUEST | flags, self.seq, &payload);
        self.names.push(name);
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
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
        a.text(NFTA_TABLE_NAME, name).be32(NFTA_TABLE_FLAGS, flags);
        self.push(NEWTABLE, NLM_F_CREATE, family, format!("table `{name}`"), &a);
    }

    /// Deletes a table with all that is in it.
    pub fn delete_table(&mut self, family: u8, name: &str) {
        let mut a = Attributes::default();
        a.text(NFTA_TABLE_NAME, name);
        self.push(DELTABLE, 0, family, format!("delete table `{name}`"), &a);
    }

    /// A table's sets, chains and rules.
    pub fn contents(&mut self, table: &Table) {
        self.sets(table);
        self.chains(table, &table.chains);
    }

    /// A table's sets.
    pub fn sets(&mut self, table: &Table) {
        for (id, set) in table.sets.iter().enumerate() {
            self.set(table, *set, id as u32 + 1);
        }
    }

    /// Chains of a table, and their rules.
    pub fn chains(&mut self, table: &Table, chains: &[Chain]) {
        for chain in chains {
            self.chain(table, chain);
        }
        for chain in chains {
            self.rules(table, chain);
        }
    }

    fn rules(&mut self, table: &Table, chain: &Chain) {
        for rule in &chain.rules {
            self.rule(table, chain.name, rule);
        }
    }

    /// Makes the table's chains what they should be.
    pub fn change(&mut self, table: &Table, changes: &[ChainChange<'_>]) {
        for change in changes {
            match change {
                ChainChange::Add(chain) => self.chains(table, std::slice::from_ref(*chain)),
                ChainChange::Rewrite(chain) => {
                    self.empty(table, chain);
                    self.rules(table, chain);
                }
                ChainChange::Remove(chain) => {
                    self.empty(table, chain);
                    let mut a = Attributes::default();
                    a.text(NFTA_CHAIN_TABLE, table.name).text(NFTA_CHAIN_NAME, chain.name);
                    self.push(DELCHAIN, 0, table.family, format!("delete chain `{}`", chain.name), &a);
                }
            }
        }
    }

    fn empty(&mut self, table: &Table, chain: &Chain) {
        let mut a = Attributes::default();
        a.text(NFTA_RULE_TABLE, table.name).text(NFTA_RULE_CHAIN, chain.name);
        self.push(DELRULE, 0, table.family, format!("empty chain `{}`", chain.name), &a);
    }

    /// Makes a flow table, or adds links to one that is there. All of the links must be there.
    pub fn flow_table(&mut self, table: &Table, links: &[IfName]) {
        let (some, more) = links.split_at(links.len().min(FLOW_LINKS));
        self.flow_table_with(table, some);
        if !more.is_empty() {
            self.flow_table(table, more);
        }
    }

    fn flow_table_with(&mut self, table: &Table, links: &[IfName]) {
        let mut a = Attributes::default();
        a.text(NFTA_FLOWTABLE_TABLE, table.name).text(NFTA_FLOWTABLE_NAME, FLOW_TABLE);
        a.nest(NFTA_FLOWTABLE_HOOK, |hook| {
            hook.be32(NFTA_FLOWTABLE_HOOK_NUM, NF_NETDEV_INGRESS).be32(NFTA_FLOWTABLE_HOOK_PRIORITY, 0);
            hook.nest(NFTA_FLOWTABLE_HOOK_DEVS, |devices| {
                for link in links {
                    devices.text(NFTA_DEVICE_NAME, link.as_str());
                }
            });
        });
        self.push(NEWFLOWTABLE, NLM_F_CREATE, table.family, format!("flow table `{FLOW_TABLE}`"), &a);
    }

    /// Deletes it. No rule names it any more.
    pub fn delete_flow_table(&mut self, table: &Table) {
        let mut a = Attributes::default();
        a.text(NFTA_FLOWTABLE_TABLE, table.name).text(NFTA_FLOWTABLE_NAME, FLOW_TABLE);
        self.push(DELFLOWTABLE, 0, table.family, format!("delete flow table `{FLOW_TABLE}`"), &a);
    }

    fn set(&mut self, table: &Table, set: Set, id: u32) {
        let (key, data) = (set.key(), set.data());
        let concatenated = set.interval() && key.len() > 1;
        let flags = if set.interval() { NFT_SET_INTERVAL } else { 0 }
            | if data.is_empty() { 0 } else { NFT_SET_MAP }
            | if concatenated { NFT_SET_CONCAT } else { 0 };
        let mut a = Attributes::default();
        a.text(NFTA_SET_TABLE, table.name).text(NFTA_SET_NAME, set.name()).be32(NFTA_SET_FLAGS, flags);
        a.be32(NFTA_SET_KEY_TYPE, type_number(key)).be32(NFTA_SET_KEY_LEN, width(key));
        if !data.is_empty() {
            a.be32(NFTA_SET_DATA_TYPE, type_number(data)).be32(NFTA_SET_DATA_LEN, width(data));
        }
        if concatenated {
            a.nest(NFTA_SET_DESC, |desc| {
                desc.nest(NFTA_SET_DESC_CONCAT, |list| {
                    for field in key {
                        list.nest(NFTA_LIST_ELEM, |f| {
                            f.be32(NFTA_SET_FIELD_LEN, size(*field));
                        });
                    }
                });
            });
        }
        if key == [Field::Link] {
            // nft(8)'s note on the byte order of the key (the host's): without it, it can't print names.
            a.bytes(NFTA_SET_USERDATA, &[0, 4, 1, 0, 0, 0]);
        }
        a.be32(NFTA_SET_ID, id);
        self.push(NEWSET, NLM_F_CREATE, table.family, format!("set `{}`", set.name()), &a);
    }

    fn chain(&mut self, table: &Table, chain: &Chain) {
        let mut a = Attributes::default();
        a.text(NFTA_CHAIN_TABLE, table.name).text(NFTA_CHAIN_NAME, chain.name);
        a.nest(NFTA_CHAIN_HOOK, |hook| {
            hook.be32(NFTA_HOOK_HOOKNUM, chain.hook.number()).be32(NFTA_HOOK_PRIORITY, chain.priority as u32);
            if let Some(device) = chain.device {
                hook.text(NFTA_HOOK_DEV, device);
            }
        });
        a.be32(NFTA_CHAIN_POLICY, NF_ACCEPT as u32).text(NFTA_CHAIN_TYPE, chain.kind);
        self.push(NEWCHAIN, NLM_F_CREATE, table.family, format!("chain `{}`", chain.name), &a);
    }

    fn rule(&mut self, table: &Table, chain: &str, rule: &Rule) {
        let mut a = Attributes::default();
        a.text(NFTA_RULE_TABLE, table.name).text(NFTA_RULE_CHAIN, chain);
        a.nest(NFTA_RULE_EXPRESSIONS, |list| rule_expressions(list, table.family, rule));
        let mut comment = vec![0, rule.comment.len() as u8 + 1];
        comment.extend_from_slice(rule.comment.as_bytes());
        comment.push(0);
        a.bytes(NFTA_RULE_USERDATA, &comment);
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
                a.text(NFTA_SET_ELEM_LIST_TABLE, "rcr").text(NFTA_SET_ELEM_LIST_SET, set.name());
                a.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                    chunk.iter().for_each(|e| one_element(list, e, kind == NEWSETELEM))
                });
                self.push(kind, flags, NFPROTO_INET as u8, format!("elements of `{}`", set.name()), &a);
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
    list.nest(NFTA_LIST_ELEM, |e| {
        let value = |a: &mut Attributes, data: &[Datum]| {
            a.bytes(NFTA_DATA_VALUE, &encode(data));
        };
        e.nest(NFTA_SET_ELEM_KEY, |key| value(key, &element.key));
        if let Some(last) = &element.last {
            e.nest(NFTA_SET_ELEM_KEY_END, |end| value(end, last));
        }
        if with_data && !element.data.is_empty() {
            e.nest(NFTA_SET_ELEM_DATA, |data| value(data, &element.data));
        }
    });
}

/// Values side by side, each in whole 32-bit registers.
pub fn encode(data: &[Datum]) -> Vec<u8> {
    let mut out = Vec::new();
    for datum in data {
        match datum {
            Datum::Link(name) => out.extend_from_slice(&link_name(name.as_str())),
            Datum::V4(a) => out.extend_from_slice(&a.octets()),
            Datum::V6(a) => out.extend_from_slice(&a.octets()),
            Datum::Mac(mac) => out.extend_from_slice(&mac.0),
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
                Field::Mac => 9,
                Field::Proto => 12,
                Field::Port => 13,
                Field::Link => 41,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netd_core::firewall::{Match, host_table, user_table};

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
