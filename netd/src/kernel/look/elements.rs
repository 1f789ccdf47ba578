//! What the sets and maps of the host's table have.

use crate::kernel::KernelError;
use crate::kernel::netlink::{Attributes, Netlink, attributes};
use crate::kernel::nft_encode::{GETSETELEM, encode};
use crate::kernel::nft_names::*;
use netd_core::firewall::{Element, Set};
use std::collections::{BTreeSet, HashSet};

/// An element as the kernel has it: the key, of an interval the last key, the data.
type Held = (Vec<u8>, Vec<u8>, Vec<u8>);

/// Those of these elements that `inet rcr` has not, or with other data. A set is asked for once, whole.
pub fn lost(wanted: &BTreeSet<Element>) -> Result<BTreeSet<Element>, KernelError> {
    let sets: BTreeSet<Set> = wanted.iter().map(|element| element.set).collect();
    let mut socket = Netlink::netfilter()?;
    let mut lost = BTreeSet::new();
    for set in sets {
        let held = held(&mut socket, set)?;
        let of_set = wanted.iter().filter(|element| element.set == set);
        lost.extend(of_set.filter(|element| !held.contains(&as_held(element))).cloned());
    }
    Ok(lost)
}

fn as_held(element: &Element) -> Held {
    (encode(&element.key), element.last.as_deref().map(encode).unwrap_or_default(), encode(&element.data))
}

fn held(socket: &mut Netlink, set: Set) -> Result<HashSet<Held>, KernelError> {
    let mut request = Attributes::default();
    request.text(NFTA_SET_ELEM_LIST_TABLE, "rcr").text(NFTA_SET_ELEM_LIST_SET, set.name());
    let payload = [&[NFPROTO_INET as u8, 0, 0, 0], &request.0[..]].concat();
    match socket.dump(GETSETELEM, &payload, |_, body| Some(listed(body))) {
        Ok(parts) => Ok(parts.into_iter().flatten().collect()),
        // The table went in this moment, or the set did.
        Err(error) if error.is_gone() => Ok(HashSet::new()),
        Err(error) => Err(error),
    }
}

/// The elements in one message of a dump.
fn listed(body: &[u8]) -> Vec<Held> {
    let lists = attributes(body.get(4..).unwrap_or_default()).filter(|(kind, _)| *kind == NFTA_SET_ELEM_LIST_ELEMENTS);
    let one = |element: &[u8]| {
        let of = |wanted: u16| {
            let nest = attributes(element).find(|(kind, _)| *kind == wanted).map(|(_, nest)| nest);
            nest.and_then(|nest| attributes(nest).find(|(kind, _)| *kind == NFTA_DATA_VALUE)).map(|(_, value)| value)
        };
        let value = |wanted| of(wanted).unwrap_or_default().to_vec();
        (value(NFTA_SET_ELEM_KEY), value(NFTA_SET_ELEM_KEY_END), value(NFTA_SET_ELEM_DATA))
    };
    lists.flat_map(|(_, list)| attributes(list)).map(|(_, element)| one(element)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_and_a_broken_one_does_no_harm() {
        let mut message = Attributes(vec![1, 0, 0, 0]);
        message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
            list.nest(NFTA_LIST_ELEM, |one| {
                one.nest(NFTA_SET_ELEM_KEY, |key| {
                    key.bytes(NFTA_DATA_VALUE, &[10, 9, 0, 2]);
                });
                one.nest(NFTA_SET_ELEM_DATA, |data| {
                    data.bytes(NFTA_DATA_VALUE, &[0, 80]);
                });
            });
        });
        assert_eq!(listed(&message.0), [(vec![10, 9, 0, 2], vec![], vec![0, 80])]);
        for length in 0..message.0.len() {
            assert!(listed(&message.0[..length]).len() <= 1);
        }
    }
}
