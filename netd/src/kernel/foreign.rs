//! Other tables' chains at the forward hook, read from the kernel.

use super::KernelError;
use super::netlink::{Attributes, Netlink, attributes};
use super::nft_encode::{GETCHAIN, GETRULE, GETSETELEM};
use super::nft_names::*;
use netd_core::firewall::foreign::{Expression, ForeignChain, Judgement, Rules, What};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Chains of others at the forward hook, with the rules of their tables.
pub fn forward_chains(socket: &mut Netlink) -> Result<Vec<(ForeignChain, Rules)>, KernelError> {
    let chains = socket.dump(GETCHAIN, &[0; 4], |_, body| chain(body))?;
    let mut tables: BTreeMap<(u8, String), Rules> = BTreeMap::new();
    for one in &chains {
        if let Entry::Vacant(free) = tables.entry((one.family, one.table.clone())) {
            free.insert(rules_of(socket, one)?);
        }
    }
    let with_rules = |one: ForeignChain| {
        let rules = tables.get(&(one.family, one.table.clone())).cloned().unwrap_or_default();
        (one, rules)
    };
    Ok(chains.into_iter().map(with_rules).collect())
}

/// All rules of a chain's table.
fn rules_of(socket: &mut Netlink, chain: &ForeignChain) -> Result<Rules, KernelError> {
    let mut name = Attributes::default();
    name.text(NFTA_RULE_TABLE, &chain.table);
    let payload = [&[chain.family, 0, 0, 0], &name.0[..]].concat();
    let (mut rules, mut sets) = (Rules::new(), BTreeMap::new());
    for (of, mut rule) in socket.dump(GETRULE, &payload, |_, body| rule(body))? {
        for expression in &mut rule {
            let Expression::In { set, values, .. } = expression else { continue };
            if let Entry::Vacant(free) = sets.entry(set.clone()) {
                free.insert(elements(socket, chain, set)?);
            }
            *values = sets.get(set).cloned().flatten();
        }
        rules.entry(of).or_default().push(rule);
    }
    Ok(rules)
}

/// The keys of a set, if it is a plain list of them (`NFTA_SET_ELEM_*`).
fn elements(socket: &mut Netlink, chain: &ForeignChain, set: &str) -> Result<Option<Vec<Vec<u8>>>, KernelError> {
    const MOST: usize = 1024;
    let mut names = Attributes::default();
    names.text(NFTA_SET_ELEM_LIST_TABLE, &chain.table).text(NFTA_SET_ELEM_LIST_SET, set);
    let payload = [&[chain.family, 0, 0, 0], &names.0[..]].concat();
    let (mut keys, mut plain) = (Vec::new(), true);
    let dumped = socket.dump(GETSETELEM, &payload, |_, body| {
        let lists =
            attributes(body.get(4..).unwrap_or_default()).filter(|(kind, _)| *kind == NFTA_SET_ELEM_LIST_ELEMENTS);
        for (_, element) in lists.flat_map(|(_, list)| attributes(list)) {
            let key = attributes(element).find(|(kind, _)| *kind == NFTA_SET_ELEM_KEY).map(|(_, key)| key);
            let key = key.and_then(|key| {
                attributes(key).find(|(kind, _)| *kind == NFTA_DATA_VALUE).map(|(_, value)| value.to_vec())
            });
            // The end of an interval, or the rest of all keys.
            let flags =
                attributes(element).find(|(kind, _)| *kind == NFTA_SET_ELEM_FLAGS).and_then(|(_, flags)| be32(flags));
            plain &= flags.unwrap_or(0) == 0 && keys.len() < MOST;
            keys.extend(key.filter(|_| plain));
        }
        None::<()>
    });
    match dumped {
        Ok(_) => Ok(Some(keys).filter(|_| plain)),
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

fn be32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

/// `NFTA_CHAIN_*`.
fn chain(body: &[u8]) -> Option<ForeignChain> {
    let family = *body.first()?;
    let (mut table, mut name, mut hook, mut drops) = (String::new(), String::new(), None, false);
    for (kind, value) in attributes(body.get(4..)?) {
        match kind {
            NFTA_CHAIN_TABLE => table = text(value),
            NFTA_CHAIN_NAME => name = text(value),
            NFTA_CHAIN_HOOK => {
                hook =
                    attributes(value).find(|(kind, _)| *kind == NFTA_HOOK_HOOKNUM).and_then(|(_, number)| be32(number));
            }
            NFTA_CHAIN_POLICY => drops = be32(value) == Some(NF_DROP as u32),
            _ => {}
        }
    }
    let inet = u32::from(family) == NFPROTO_INET;
    let ours = inet && (table == "rcr" || table == "rcr-user");
    let theirs =
        [NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6].contains(&family.into()) && hook == Some(NF_INET_FORWARD) && !ours;
    theirs.then_some(ForeignChain { family, table, name, drops })
}

/// `NFTA_RULE_*`: the chain, and what the rule does.
fn rule(body: &[u8]) -> Option<(String, Vec<Expression>)> {
    let mut chain = None;
    let mut expressions = Vec::new();
    for (kind, value) in attributes(body.get(4..)?) {
        match kind {
            NFTA_RULE_CHAIN => chain = Some(text(value)),
            NFTA_RULE_EXPRESSIONS => expressions.extend(attributes(value).map(|(_, one)| expression(one))),
            _ => {}
        }
    }
    Some((chain?, expressions))
}

fn expression(body: &[u8]) -> Expression {
    let (mut name, mut data): (String, &[u8]) = (String::new(), &[]);
    for (kind, value) in attributes(body) {
        match kind {
            NFTA_EXPR_NAME => name = text(value),
            NFTA_EXPR_DATA => data = value,
            _ => {}
        }
    }
    let number = |wanted: u16| attributes(data).find(|(kind, _)| *kind == wanted).and_then(|(_, v)| be32(v));
    match name.as_str() {
        "counter" | "log" | "quota" | "notrack" | "last" => Expression::Nothing,
        "reject" => Expression::Verdict(Judgement::Drop),
        "meta" => match (number(NFTA_META_DREG), number(NFTA_META_KEY)) {
            (Some(register), Some(key)) => {
                let what = match key {
                    NFT_META_IIFNAME => What::Iif,
                    NFT_META_OIFNAME => What::Oif,
                    NFT_META_NFPROTO => What::Family,
                    _ => What::Other,
                };
                Expression::Load { register, what }
            }
            // It sets a mark, a priority, or the like.
            _ => Expression::Nothing,
        },
        // All of them name the register that they fill by the first attribute.
        "payload" | "ct" | "fib" | "rt" | "exthdr" | "socket" | "hash" | "numgen" => match number(NFTA_PAYLOAD_DREG) {
            Some(register) => Expression::Load { register, what: What::Other },
            None => Expression::Unknown,
        },
        // With a destination it yields something: a map.
        "lookup" => match (number(NFTA_LOOKUP_SREG), number(NFTA_LOOKUP_DREG)) {
            (Some(register), None) => {
                let set = attributes(data).find(|(kind, _)| *kind == NFTA_LOOKUP_SET).map(|(_, name)| text(name));
                let not = number(NFTA_LOOKUP_FLAGS).unwrap_or(0) & NFT_LOOKUP_F_INV != 0;
                Expression::In { register, not, set: set.unwrap_or_default(), values: None }
            }
            _ => Expression::Unknown,
        },
        "cmp" => compare(data, number(NFTA_CMP_SREG), number(NFTA_CMP_OP)),
        "immediate" => verdict(data).map_or(Expression::Unknown, Expression::Verdict),
        "target" => {
            match attributes(data).find(|(kind, _)| *kind == NFTA_TARGET_NAME).map(|(_, name)| text(name)).as_deref() {
                Some("REJECT" | "DROP") => Expression::Verdict(Judgement::Drop),
                Some("ACCEPT") => Expression::Verdict(Judgement::Accept),
                Some("LOG" | "NFLOG" | "MARK" | "CONNMARK" | "TCPMSS") => Expression::Nothing,
                _ => Expression::Unknown,
            }
        }
        _ => Expression::Unknown,
    }
}

fn compare(data: &[u8], register: Option<u32>, operator: Option<u32>) -> Expression {
    let value = attributes(data).find(|(kind, _)| *kind == NFTA_CMP_DATA).map(|(_, nested)| nested);
    let value =
        value.and_then(|nested| attributes(nested).find(|(kind, _)| *kind == NFTA_DATA_VALUE).map(|(_, v)| v.to_vec()));
    match (register, operator, value) {
        (Some(register), Some(operator @ (NFT_CMP_EQ | NFT_CMP_NEQ)), Some(value)) => {
            Expression::Compare { register, not: operator == NFT_CMP_NEQ, value }
        }
        _ => Expression::Unknown,
    }
}

/// An immediate into the verdict register.
fn verdict(data: &[u8]) -> Option<Judgement> {
    let nested = attributes(data).find(|(kind, _)| *kind == NFTA_IMMEDIATE_DATA)?.1;
    let verdict = attributes(nested).find(|(kind, _)| *kind == NFTA_DATA_VERDICT)?.1;
    let code = attributes(verdict).find(|(kind, _)| *kind == NFTA_VERDICT_CODE).and_then(|(_, v)| be32(v))? as i32;
    let chain = || attributes(verdict).find(|(kind, _)| *kind == NFTA_VERDICT_CHAIN).map(|(_, v)| text(v));
    match code {
        NF_ACCEPT => Some(Judgement::Accept),
        NF_DROP => Some(Judgement::Drop),
        NFT_RETURN => Some(Judgement::Return),
        NFT_JUMP => chain().map(Judgement::Jump),
        NFT_GOTO => chain().map(Judgement::Goto),
        _ => None,
    }
}
