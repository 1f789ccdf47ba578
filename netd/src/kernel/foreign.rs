//! Other tables' chains at the forward hook, read from the kernel.

use super::KernelError;
use super::netlink::{Attributes, Netlink, attributes};
use super::nft_encode::{GETCHAIN, GETRULE, GETSETELEM};
use crate::firewall::foreign::{Expression, ForeignChain, Judgement, Rules, What};
use std::collections::BTreeMap;

const FORWARD: u32 = 2;
/// `NF_DROP`, `NF_ACCEPT`, and nftables' own verdicts (include/uapi/linux/netfilter/nf_tables.h).
const NF_DROP: i32 = 0;
const NF_ACCEPT: i32 = 1;
const NFT_JUMP: i32 = -3;
const NFT_GOTO: i32 = -4;
const NFT_RETURN: i32 = -5;

/// Chains of others at the forward hook, with the rules of their tables.
pub fn forward_chains(socket: &mut Netlink) -> Result<Vec<(ForeignChain, Rules)>, KernelError> {
    let chains = socket.dump(GETCHAIN, &[0; 4], |_, body| chain(body))?;
    let mut tables: BTreeMap<(u8, String), Rules> = BTreeMap::new();
    for one in &chains {
        let key = (one.family, one.table.clone());
        if !tables.contains_key(&key) {
            let mut name = Attributes::default();
            name.text(1, &one.table);
            let payload = [&[one.family, 0, 0, 0], &name.0[..]].concat();
            let mut rules = Rules::new();
            let mut sets = BTreeMap::new();
            for (chain, mut rule) in socket.dump(GETRULE, &payload, |_, body| rule(body))? {
                for expression in &mut rule {
                    if let Expression::In { set, values, .. } = expression {
                        if !sets.contains_key(set) {
                            sets.insert(set.clone(), elements(socket, one, set)?);
                        }
                        *values = sets.get(set).cloned().flatten();
                    }
                }
                rules.entry(chain).or_default().push(rule);
            }
            tables.insert(key, rules);
        }
    }
    let with_rules = |one: ForeignChain| {
        let rules = tables.get(&(one.family, one.table.clone())).cloned().unwrap_or_default();
        (one, rules)
    };
    Ok(chains.into_iter().map(with_rules).collect())
}

/// The keys of a set, if it is a plain list of them (`NFTA_SET_ELEM_*`).
fn elements(socket: &mut Netlink, chain: &ForeignChain, set: &str) -> Result<Option<Vec<Vec<u8>>>, KernelError> {
    const MOST: usize = 1024;
    let mut names = Attributes::default();
    names.text(1, &chain.table).text(2, set);
    let payload = [&[chain.family, 0, 0, 0], &names.0[..]].concat();
    let (mut keys, mut plain) = (Vec::new(), true);
    let dumped = socket.dump(GETSETELEM, &payload, |_, body| {
        let lists = attributes(body.get(4..).unwrap_or_default()).filter(|(kind, _)| *kind == 3);
        for (_, element) in lists.flat_map(|(_, list)| attributes(list)) {
            let key = attributes(element).find(|(kind, _)| *kind == 1).map(|(_, key)| key);
            let key = key.and_then(|key| attributes(key).find(|(kind, _)| *kind == 1).map(|(_, value)| value.to_vec()));
            // The end of an interval, or the rest of all keys.
            let flags = attributes(element).find(|(kind, _)| *kind == 3).and_then(|(_, flags)| be32(flags));
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
            1 => table = text(value),
            3 => name = text(value),
            4 => hook = attributes(value).find(|(kind, _)| *kind == 1).and_then(|(_, number)| be32(number)),
            5 => drops = be32(value) == Some(NF_DROP as u32),
            _ => {}
        }
    }
    let ours = family == 1 && (table == "rcr" || table == "rcr-user");
    let theirs = [1, 2, 10].contains(&family) && hook == Some(FORWARD) && !ours;
    theirs.then_some(ForeignChain { family, table, name, drops })
}

/// `NFTA_RULE_*`: the chain, and what the rule does.
fn rule(body: &[u8]) -> Option<(String, Vec<Expression>)> {
    let mut chain = None;
    let mut expressions = Vec::new();
    for (kind, value) in attributes(body.get(4..)?) {
        match kind {
            2 => chain = Some(text(value)),
            4 => expressions.extend(attributes(value).map(|(_, one)| expression(one))),
            _ => {}
        }
    }
    Some((chain?, expressions))
}

fn expression(body: &[u8]) -> Expression {
    let (mut name, mut data): (String, &[u8]) = (String::new(), &[]);
    for (kind, value) in attributes(body) {
        match kind {
            1 => name = text(value),
            2 => data = value,
            _ => {}
        }
    }
    let number = |wanted: u16| attributes(data).find(|(kind, _)| *kind == wanted).and_then(|(_, v)| be32(v));
    match name.as_str() {
        "counter" | "log" | "quota" | "notrack" | "last" => Expression::Nothing,
        "reject" => Expression::Verdict(Judgement::Drop),
        "meta" => match (number(1), number(2)) {
            (Some(register), Some(key)) => {
                let what = match key {
                    6 => What::Iif,
                    7 => What::Oif,
                    15 => What::Family,
                    _ => What::Other,
                };
                Expression::Load { register, what }
            }
            // It sets a mark, a priority, or the like.
            _ => Expression::Nothing,
        },
        "payload" | "ct" | "fib" | "rt" | "exthdr" | "socket" | "hash" | "numgen" => match number(1) {
            Some(register) => Expression::Load { register, what: What::Other },
            None => Expression::Unknown,
        },
        // With a destination it yields something: a map.
        "lookup" => match (number(2), number(3)) {
            (Some(register), None) => {
                let set = attributes(data).find(|(kind, _)| *kind == 1).map(|(_, name)| text(name)).unwrap_or_default();
                Expression::In { register, not: number(5).unwrap_or(0) & 1 == 1, set, values: None }
            }
            _ => Expression::Unknown,
        },
        "cmp" => compare(data, number(1), number(2)),
        "immediate" => verdict(data).map_or(Expression::Unknown, Expression::Verdict),
        "target" => match attributes(data).find(|(kind, _)| *kind == 1).map(|(_, name)| text(name)).as_deref() {
            Some("REJECT" | "DROP") => Expression::Verdict(Judgement::Drop),
            Some("ACCEPT") => Expression::Verdict(Judgement::Accept),
            Some("LOG" | "NFLOG" | "MARK" | "CONNMARK" | "TCPMSS") => Expression::Nothing,
            _ => Expression::Unknown,
        },
        _ => Expression::Unknown,
    }
}

fn compare(data: &[u8], register: Option<u32>, operator: Option<u32>) -> Expression {
    let value = attributes(data).find(|(kind, _)| *kind == 3).map(|(_, nested)| nested);
    let value = value.and_then(|nested| attributes(nested).find(|(kind, _)| *kind == 1).map(|(_, v)| v.to_vec()));
    match (register, operator, value) {
        (Some(register), Some(operator @ (0 | 1)), Some(value)) => {
            Expression::Compare { register, not: operator == 1, value }
        }
        _ => Expression::Unknown,
    }
}

/// An immediate into the verdict register.
fn verdict(data: &[u8]) -> Option<Judgement> {
    let nested = attributes(data).find(|(kind, _)| *kind == 2)?.1;
    let verdict = attributes(nested).find(|(kind, _)| *kind == 2)?.1;
    let code = attributes(verdict).find(|(kind, _)| *kind == 1).and_then(|(_, v)| be32(v))? as i32;
    let chain = || attributes(verdict).find(|(kind, _)| *kind == 2).map(|(_, v)| text(v));
    match code {
        NF_ACCEPT => Some(Judgement::Accept),
        NF_DROP => Some(Judgement::Drop),
        NFT_RETURN => Some(Judgement::Return),
        NFT_JUMP => chain().map(Judgement::Jump),
        NFT_GOTO => chain().map(Judgement::Goto),
        _ => None,
    }
}
