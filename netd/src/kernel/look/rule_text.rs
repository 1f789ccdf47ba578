//! A rule as nft(8) would write it, as far as it is understood: `…` stands for the rest.

use crate::kernel::netlink::attributes;
use crate::kernel::nft_names::*;
use std::net::IpAddr;

const NFT_CMP: [&str; 6] = ["", "!= ", "< ", "<= ", "> ", ">= "];
const NFT_META_MARK_KEY: u32 = NFT_META_MARK;

/// What was loaded last, and how its values are written.
#[derive(Clone, Copy, PartialEq)]
enum Left {
    Name(&'static str),
    Address(&'static str),
    Port(&'static str),
    Protocol(&'static str),
    Number(&'static str),
    Other,
}

/// The text of a rule's expressions (`NFTA_RULE_EXPRESSIONS`).
pub fn text(expressions: &[u8]) -> String {
    let (mut words, mut left) = (Vec::new(), Left::Other);
    for (_, one) in attributes(expressions) {
        let of = |wanted: u16| attributes(one).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        let name = of(NFTA_EXPR_NAME).map(string).unwrap_or_default();
        let data = of(NFTA_EXPR_DATA).unwrap_or_default();
        word(&name, data, &mut left, &mut words);
    }
    words.join(" ")
}

fn word(name: &str, data: &[u8], left: &mut Left, words: &mut Vec<String>) {
    let find = |wanted: u16| attributes(data).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let number = |wanted: u16| find(wanted).and_then(be32);
    match name {
        "meta" if number(NFTA_META_DREG).is_some() => *left = meta(number(NFTA_META_KEY).unwrap_or(u32::MAX)),
        "payload" if number(NFTA_PAYLOAD_DREG).is_some() => {
            let part = [NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_OFFSET, NFTA_PAYLOAD_LEN].map(|kind| number(kind).unwrap_or(0));
            *left = payload(part);
        }
        "cmp" => {
            let nested = find(NFTA_CMP_DATA).unwrap_or_default();
            let value = attributes(nested).find(|(kind, _)| *kind == NFTA_DATA_VALUE).map(|(_, value)| value);
            let operator = NFT_CMP.get(number(NFTA_CMP_OP).unwrap_or(0) as usize).copied().unwrap_or("");
            words.push(compared(*left, operator, value.unwrap_or_default()));
        }
        "lookup" => words.push(match (label(*left), find(NFTA_LOOKUP_SET).map(string)) {
            (Some(label), Some(set)) if !set.starts_with("__") => format!("{label} @{set}"),
            (Some(label), _) => format!("{label} {{ … }}"),
            _ => "…".to_owned(),
        }),
        "counter" | "log" | "reject" => words.push(name.to_owned()),
        "immediate" => words.extend(verdict(find(NFTA_IMMEDIATE_DATA).unwrap_or_default())),
        "target" => words.extend(find(NFTA_TARGET_NAME).map(|target| format!("xt target {}", string(target)))),
        "match" => words.extend(find(NFTA_TARGET_NAME).map(|one| format!("xt match {}", string(one)))),
        _ => {
            *left = Left::Other;
            if words.last().is_none_or(|last| last != "…") {
                words.push("…".to_owned());
            }
        }
    }
}

fn meta(key: u32) -> Left {
    match key {
        NFT_META_IIFNAME => Left::Name("iifname"),
        NFT_META_OIFNAME => Left::Name("oifname"),
        NFT_META_NFPROTO => Left::Number("meta nfproto"),
        NFT_META_L4PROTO => Left::Protocol("meta l4proto"),
        NFT_META_MARK_KEY => Left::Number("meta mark"),
        _ => Left::Other,
    }
}

/// Where a header keeps what (RFC 791, RFC 8200, and the ports of all transports).
fn payload(part: [u32; 3]) -> Left {
    match part {
        [NFT_PAYLOAD_NETWORK_HEADER, 12, ..=4] => Left::Address("ip saddr"),
        [NFT_PAYLOAD_NETWORK_HEADER, 16, ..=4] => Left::Address("ip daddr"),
        [NFT_PAYLOAD_NETWORK_HEADER, 8, 16] => Left::Address("ip6 saddr"),
        [NFT_PAYLOAD_NETWORK_HEADER, 24, 16] => Left::Address("ip6 daddr"),
        [NFT_PAYLOAD_NETWORK_HEADER, 9, 1] => Left::Protocol("ip protocol"),
        [NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2] => Left::Port("th sport"),
        [NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2] => Left::Port("th dport"),
        _ => Left::Other,
    }
}

fn label(left: Left) -> Option<&'static str> {
    match left {
        Left::Name(label) | Left::Address(label) | Left::Port(label) | Left::Protocol(label) | Left::Number(label) => {
            Some(label)
        }
        Left::Other => None,
    }
}

fn compared(left: Left, operator: &str, value: &[u8]) -> String {
    let Some(label) = label(left) else { return "…".to_owned() };
    let value = match (left, value.len()) {
        (Left::Name(_), _) => format!("\"{}\"", string(value)),
        (Left::Address(_), 4) => {
            <[u8; 4]>::try_from(value).map_or_else(|_| String::new(), |a| IpAddr::from(a).to_string())
        }
        (Left::Address(_), 16) => {
            <[u8; 16]>::try_from(value).map_or_else(|_| String::new(), |a| IpAddr::from(a).to_string())
        }
        // A prefix that ends at a byte.
        (Left::Address(_), n @ 1..=3) => {
            let mut whole = [0; 4];
            whole[..n].copy_from_slice(value);
            format!("{}/{}", IpAddr::from(whole), n * 8)
        }
        (Left::Port(_), 2) => u16::from_be_bytes([value[0], value[1]]).to_string(),
        (Left::Protocol(_), 1) => match value[0] {
            1 => "icmp".to_owned(),
            6 => "tcp".to_owned(),
            17 => "udp".to_owned(),
            58 => "ipv6-icmp".to_owned(),
            132 => "sctp".to_owned(),
            other => other.to_string(),
        },
        (Left::Number(_), 4) => {
            value.try_into().map_or_else(|_| String::new(), |v| format!("{:#x}", u32::from_ne_bytes(v)))
        }
        (Left::Number(_), 1) => {
            if value[0] == 2 {
                "ipv4".to_owned()
            } else {
                "ipv6".to_owned()
            }
        }
        _ => "…".to_owned(),
    };
    format!("{label} {operator}{value}")
}

fn verdict(nested: &[u8]) -> Option<String> {
    let verdict = attributes(nested).find(|(kind, _)| *kind == NFTA_DATA_VERDICT)?.1;
    let code = attributes(verdict).find(|(kind, _)| *kind == NFTA_VERDICT_CODE).and_then(|(_, v)| be32(v))? as i32;
    let chain = || attributes(verdict).find(|(kind, _)| *kind == NFTA_VERDICT_CHAIN).map(|(_, v)| string(v));
    match code {
        NF_ACCEPT => Some("accept".to_owned()),
        NF_DROP => Some("drop".to_owned()),
        NFT_RETURN => Some("return".to_owned()),
        NFT_JUMP => chain().map(|chain| format!("jump {chain}")),
        NFT_GOTO => chain().map(|chain| format!("goto {chain}")),
        _ => None,
    }
}

fn be32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

fn string(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}
