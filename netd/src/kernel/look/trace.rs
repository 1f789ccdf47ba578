//! Where a probe goes in the host's firewall: a table of ours marks its packets, and the kernel then tells of each rule
//! that judges them (`NFT_MSG_TRACE`).
//!
//! The table belongs to the socket that makes it and does not persist (`NFT_TABLE_F_OWNER` alone): whatever happens to
//! us, it is gone with the socket. It drops and changes nothing. A kernel that can't do this (before 5.12) is not asked
//! for it in another way.

use super::rules::rules_of_table;
use crate::kernel::KernelError;
use crate::kernel::netlink::{Attributes, Message, Netlink, attributes};
use crate::kernel::nft::commit;
use crate::kernel::nft_encode::{Batch, NEWCHAIN, NEWRULE, SUBSYSTEM};
use crate::kernel::nft_expression::{expression, matches};
use crate::kernel::nft_names::*;
use netd_api::IfName;
use netd_core::firewall::Match;
use netd_core::seen::{DropSeen, TraceSeen};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::SockProtocol;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// `NFT_TABLE_F_OWNER`.
const OWNER: u32 = 2;
/// `NFNLGRP_NFTRACE`, group 9, as a bit.
const TRACES: u32 = 1 << 8;
const NFT_MSG_TRACE: u16 = SUBSYSTEM | 17;
/// `NF_INET_INGRESS`, `NF_INET_LOCAL_OUT`.
const INGRESS: u32 = 5;
const OUTPUT: u32 = 3;
/// Before everybody else, connection tracking included.
const FIRST: i32 = -500;
const NFTA_HOOK_DEV: u16 = 3;
const NFTA_META_SREG: u16 = 3;
const NFT_META_NFTRACE: u32 = 12;
const NFTA_TRACE_TABLE: u16 = 1;
const NFTA_TRACE_CHAIN: u16 = 2;
const NFTA_TRACE_RULE_HANDLE: u16 = 3;
const NFTA_TRACE_TYPE: u16 = 4;
const NFTA_TRACE_VERDICT: u16 = 5;
const NFTA_TRACE_ID: u16 = 6;
const NFTA_TRACE_NETWORK_HEADER: u16 = 8;
const NFTA_TRACE_POLICY: u16 = 16;
/// `NFT_TRACETYPE_POLICY`, `NFT_TRACETYPE_RULE`.
const OF_POLICY: u32 = 1;
const OF_RULE: u32 = 3;
/// No probe makes so many packets: whoever floods us with others' traces is not listened to for ever.
const MOST: usize = 4096;

/// Packets that are followed.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Where they come in; absent: the host itself sends them.
    pub link: Option<IfName>,
    pub from: Option<IpAddr>,
    pub to: Option<IpAddr>,
    /// A transport protocol's number, and the port that they go to.
    pub proto: u8,
    pub port: Option<u16>,
    /// They are answers.
    pub answer: bool,
}

/// A trace that is running.
pub struct Trace {
    heard: Netlink,
    /// Ends the table when it is dropped.
    _owner: Netlink,
    table: String,
    marks: Vec<Mark>,
}

impl Trace {
    /// Starts one in the calling thread's network namespace. `number` tells it from others that run at the same time.
    pub fn start(number: u64, marks: Vec<Mark>) -> Result<Self, KernelError> {
        let table = format!("rcr-why-{}-{number}", std::process::id());
        let heard = Netlink::open(SockProtocol::NetlinkNetFilter, TRACES)?;
        let mut owner = Netlink::netfilter()?;
        let mut batch = Batch::new(owner.next_seq());
        batch.new_table(NFPROTO_INET as u8, &table, OWNER);
        for (i, mark) in marks.iter().enumerate() {
            let chain = format!("at{i}");
            batch.push(NEWCHAIN, 0x400, NFPROTO_INET as u8, format!("chain `{chain}`"), &hooked(&table, &chain, mark));
            batch.push(
                NEWRULE,
                0xc00,
                NFPROTO_INET as u8,
                format!("rule of `{chain}`"),
                &marking(&table, &chain, mark),
            );
        }
        commit(&mut owner, batch.finish())?;
        Ok(Self { heard, _owner: owner, table, marks })
    }

    /// What was told since, and within `limit` from now; a packet that was dropped ends the wait.
    pub fn heard(mut self, limit: Duration) -> Result<TraceSeen, KernelError> {
        let (mut steps, mut sources) = (Vec::new(), BTreeMap::new());
        let until = Instant::now() + limit;
        while steps.len() < MOST {
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            let mut fds = [PollFd::new(self.heard.as_fd(), PollFlags::POLLIN)];
            let wait = PollTimeout::try_from(left as i32).unwrap_or(PollTimeout::ZERO);
            if poll(&mut fds, wait).map_err(KernelError::call("wait for traces"))? == 0 {
                break;
            }
            let told = self.heard.receive(|message| {
                steps.extend(step(&message, &mut sources));
                false
            });
            // More was told than the socket holds: the rest is enough.
            drop(told);
        }
        let mut seen = TraceSeen { arrived: !steps.is_empty(), drops: Vec::new() };
        for step in steps.iter().filter(|step| step.table != self.table && step.dropped) {
            let answer =
                sources.get(&step.id).is_some_and(|from| self.marks.iter().any(|m| m.answer && m.from == Some(*from)));
            seen.drops.push(named(step, answer)?);
        }
        Ok(seen)
    }
}

/// What the kernel told.
struct Step {
    id: u32,
    family: u8,
    table: String,
    chain: String,
    /// Of the rule; absent: the policy.
    handle: Option<u64>,
    dropped: bool,
}

fn step(message: &Message<'_>, sources: &mut BTreeMap<u32, IpAddr>) -> Option<Step> {
    if message.kind != NFT_MSG_TRACE {
        return None;
    }
    let family = *message.payload.first()?;
    let body = message.payload.get(4..)?;
    let of = |wanted: u16| attributes(body).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let number = |wanted: u16| of(wanted).and_then(be32);
    let id = number(NFTA_TRACE_ID)?;
    if let Some(from) = of(NFTA_TRACE_NETWORK_HEADER).and_then(source) {
        sources.entry(id).or_insert(from);
    }
    let text = |wanted: u16| of(wanted).map(|v| String::from_utf8_lossy(v).trim_end_matches('\0').to_owned());
    let kind = number(NFTA_TRACE_TYPE)?;
    let verdict = of(NFTA_TRACE_VERDICT).and_then(|v| attributes(v).find(|(kind, _)| *kind == NFTA_VERDICT_CODE));
    let dropped = match kind {
        OF_RULE => verdict.and_then(|(_, code)| be32(code)) == Some(NF_DROP as u32),
        OF_POLICY => number(NFTA_TRACE_POLICY) == Some(NF_DROP as u32),
        _ => false,
    };
    let handle = of(NFTA_TRACE_RULE_HANDLE).and_then(|v| v.try_into().ok()).map(u64::from_be_bytes);
    let handle = handle.filter(|_| kind == OF_RULE);
    Some(Step { id, family, table: text(NFTA_TRACE_TABLE)?, chain: text(NFTA_TRACE_CHAIN)?, handle, dropped })
}

/// The source address of an IP header.
fn source(header: &[u8]) -> Option<IpAddr> {
    match header.first()? >> 4 {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(header.get(12..16)?).ok()?)),
        6 => Some(IpAddr::from(<[u8; 16]>::try_from(header.get(8..24)?).ok()?)),
        _ => None,
    }
}

/// The rule behind a number.
fn named(step: &Step, answer: bool) -> Result<DropSeen, KernelError> {
    let rule = match step.handle {
        Some(handle) => {
            let rules = rules_of_table(step.family, &step.table)?;
            rules.into_iter().find(|rule| rule.chain == step.chain && rule.handle == handle)
        }
        None => None,
    };
    Ok(DropSeen { family: step.family, table: step.table.clone(), chain: step.chain.clone(), rule, answer })
}

fn hooked(table: &str, chain: &str, mark: &Mark) -> Attributes {
    let mut a = Attributes::default();
    a.text(NFTA_CHAIN_TABLE, table).text(NFTA_CHAIN_NAME, chain);
    a.nest(NFTA_CHAIN_HOOK, |hook| {
        let number = if mark.link.is_some() { INGRESS } else { OUTPUT };
        hook.be32(NFTA_HOOK_HOOKNUM, number).be32(NFTA_HOOK_PRIORITY, FIRST as u32);
        if let Some(link) = &mark.link {
            hook.text(NFTA_HOOK_DEV, link.as_str());
        }
    });
    a.be32(NFTA_CHAIN_POLICY, NF_ACCEPT as u32).text(NFTA_CHAIN_TYPE, "filter");
    a
}

/// `ip saddr FROM ip daddr TO meta l4proto PROTO th dport PORT meta nftrace set 1`.
fn marking(table: &str, chain: &str, mark: &Mark) -> Attributes {
    let v4 = mark.from.or(mark.to).is_none_or(|address| address.is_ipv4());
    let mut wanted = vec![Match::Family(if v4 { NFPROTO_IPV4 } else { NFPROTO_IPV6 } as u8)];
    wanted.extend(mark.from.map(|from| Match::From(from.into())));
    wanted.extend(mark.to.map(|to| Match::To(to.into())));
    wanted.push(Match::Proto(mark.proto));
    wanted.extend(mark.port.map(Match::Port));
    let mut a = Attributes::default();
    a.text(NFTA_RULE_TABLE, table).text(NFTA_RULE_CHAIN, chain);
    a.nest(NFTA_RULE_EXPRESSIONS, |list| {
        matches(list, NFPROTO_INET as u8, &wanted);
        expression(list, "immediate", |e| {
            e.be32(NFTA_IMMEDIATE_DREG, NFT_REG32_00).nest(NFTA_IMMEDIATE_DATA, |data| {
                data.bytes(NFTA_DATA_VALUE, &[1]);
            });
        });
        expression(list, "meta", |e| {
            e.be32(NFTA_META_KEY, NFT_META_NFTRACE).be32(NFTA_META_SREG, NFT_REG32_00);
        });
    });
    a
}

fn be32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}
