//! Rules of nftables as they stand, ours and others': why they are there, what they look up, what they counted.

use super::rule_text;
use crate::kernel::KernelError;
use crate::kernel::netlink::{Attributes, Netlink, attributes};
use crate::kernel::nft_encode::GETRULE;
use crate::kernel::nft_names::*;
use netd_core::seen::RuleSeen;

const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;
/// A comment among a rule's user data, as nft(8) writes it: kind 0, length, text with its end.
const COMMENT: u8 = 0;

/// The rules of a table of the calling thread's network namespace, in their order. None, if there is no such table.
pub fn rules_of_table(family: u8, table: &str) -> Result<Vec<RuleSeen>, KernelError> {
    let mut name = Attributes::default();
    name.text(NFTA_RULE_TABLE, table);
    let payload = [&[family, 0, 0, 0], &name.0[..]].concat();
    match Netlink::netfilter()?.dump(GETRULE, &payload, |_, body| rule(body)) {
        Err(error) if error.is_gone() => Ok(Vec::new()),
        other => other,
    }
}

fn rule(body: &[u8]) -> Option<RuleSeen> {
    let mut seen = RuleSeen { family: *body.first()?, ..RuleSeen::default() };
    for (kind, value) in attributes(body.get(4..)?) {
        match kind {
            NFTA_RULE_TABLE => seen.table = text(value),
            NFTA_RULE_CHAIN => seen.chain = text(value),
            NFTA_RULE_HANDLE => seen.handle = be64(value)?,
            NFTA_RULE_USERDATA => seen.comment = comment(value),
            NFTA_RULE_EXPRESSIONS => {
                seen.text = rule_text::text(value);
                attributes(value).for_each(|(_, one)| expression(one, &mut seen));
            }
            _ => {}
        }
    }
    Some(seen)
}

fn expression(body: &[u8], seen: &mut RuleSeen) {
    let of = |wanted: u16| attributes(body).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let (Some(name), data) = (of(NFTA_EXPR_NAME).map(text), of(NFTA_EXPR_DATA).unwrap_or_default()) else { return };
    let inner = |wanted: u16| attributes(data).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    match name.as_str() {
        "lookup" => seen.sets.extend(inner(NFTA_LOOKUP_SET).map(text)),
        "counter" => {
            let number = |wanted| inner(wanted).and_then(be64).unwrap_or(0);
            seen.counted = Some((number(NFTA_COUNTER_PACKETS), number(NFTA_COUNTER_BYTES)));
        }
        _ => {}
    }
}

/// The first comment among user data.
fn comment(mut rest: &[u8]) -> Option<String> {
    while let [kind, length, tail @ ..] = rest {
        let value = tail.get(..usize::from(*length))?;
        if *kind == COMMENT {
            return Some(text(value)).filter(|text| !text.is_empty());
        }
        rest = &tail[value.len()..];
    }
    None
}

fn be64(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_found_among_other_user_data() {
        assert_eq!(comment(&[0, 3, b'a', b'b', 0]), Some("ab".to_owned()));
        assert_eq!(comment(&[7, 1, 9, 0, 2, b'x', 0]), Some("x".to_owned()));
        for none in [&[][..], &[0], &[0, 9, b'a'], &[1, 1, 0], &[0, 1, 0]] {
            assert_eq!(comment(none), None, "{none:?}");
        }
    }
}
