//! The question that is asked most, answered from its bytes into bytes, without a message in between: an address of a
//! container by its name. Pure, safe with any bytes, and of the same effect as [`super::respond`], which has all others.

use super::respond::{EDNS_PAYLOAD, PLAIN_PAYLOAD, TTL};
use super::zone::{View, Zone};
use std::net::IpAddr;

/// Bytes of a header, of a name, of an OPT record without options (RFC 1035, 4.1.1 and 3.1; RFC 6891, 6.1.2).
const HEADER: usize = 12;
const LONGEST: usize = 255;
const OPT: usize = 11;
/// Record types and the class IN, and the name at the question's place, as they are written (RFC 1035, 3.2, 4.1.4).
const A: u16 = 1;
const AAAA: u16 = 28;
const IN: [u8; 2] = [0, 1];
const THE_NAME: [u8; 2] = [0xc0, HEADER as u8];
/// Bits of a header's third and fourth byte.
const RESPONSE: u8 = 0x80;
const AUTHORITATIVE: u8 = 0x04;
const DESIRED: u8 = 0x01;
const AVAILABLE: u8 = 0x80;
const AUTHENTIC: u8 = 0x20;
const UNCHECKED: u8 = 0x10;

/// A question as it lies in its bytes.
struct Question<'a> {
    id: &'a [u8],
    desired: u8,
    unchecked: u8,
    /// Its name, type and class.
    bytes: &'a [u8],
    v6: bool,
    /// How long an answer may be, and whether DNSSEC is asked for; absent without EDNS.
    edns: Option<(u16, bool)>,
}

/// Writes the answer into `room`, and says how long it is. Nothing: the question is another one, or not ours, or its
/// answer has no room there. `addresses` is room of the caller's, so that nothing is allocated.
pub fn answer(
    bytes: &[u8],
    zone: &Zone,
    view: &View,
    turn: usize,
    addresses: &mut Vec<IpAddr>,
    room: &mut [u8],
) -> Option<usize> {
    let mut name = [0; LONGEST];
    let (question, long) = read(bytes, &mut name)?;
    addresses.clear();
    zone.find(view, std::str::from_utf8(&name[..long]).ok()?, addresses);
    if addresses.is_empty() {
        return None;
    }
    addresses.retain(|address| address.is_ipv6() == question.v6);
    if !addresses.is_empty() {
        let by = turn % addresses.len();
        addresses.rotate_left(by);
    }
    write(&question, addresses, room)
}

/// The question, if it is one for an address, with its name in lower case and dots, and how long that is.
fn read<'a>(bytes: &'a [u8], name: &mut [u8; LONGEST]) -> Option<(Question<'a>, usize)> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let [_, _, first, second, counts @ ..] = header else { return None };
    // A plain query, with one question and nothing else but perhaps an OPT record.
    if first & !DESIRED != 0 || second & !(AUTHENTIC | UNCHECKED) != 0 {
        return None;
    }
    let [0, 1, 0, 0, 0, 0, 0, more @ (0 | 1)] = counts else { return None };
    let (long, after) = read_name(rest, name)?;
    let (asked, additional) = rest[after..].split_at_checked(4)?;
    let v6 = match u16::from_be_bytes([asked[0], asked[1]]) {
        A => false,
        AAAA => true,
        _ => return None,
    };
    let edns = match (more, additional) {
        (0, []) => None,
        // Version 0, no options.
        (1, [0, 0, 41, high, low, _, 0, flags, _, 0, 0]) => {
            Some((u16::from_be_bytes([*high, *low]), flags & 0x80 != 0))
        }
        _ => return None,
    };
    let (desired, unchecked) = (first & DESIRED, second & UNCHECKED);
    let question = Question { id: &header[..2], desired, unchecked, bytes: &rest[..after + 4], v6, edns };
    (asked[2..] == IN).then_some((question, long))
}

/// Reads a name of ordinary labels: how long it is with dots, and where what follows begins.
fn read_name(bytes: &[u8], name: &mut [u8; LONGEST]) -> Option<(usize, usize)> {
    let (mut at, mut long) = (0, 0);
    loop {
        let label = match *bytes.get(at)? {
            0 => break,
            length @ 1..=63 => bytes.get(at + 1..at + 1 + usize::from(length))?,
            _ => return None,
        };
        if long > 0 {
            *name.get_mut(long)? = b'.';
            long += 1;
        }
        for (to, byte) in name.get_mut(long..long + label.len())?.iter_mut().zip(label) {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => *to = byte.to_ascii_lowercase(),
                _ => return None,
            }
        }
        long += label.len();
        at += 1 + label.len();
    }
    // With its lengths and its end a name has two bytes more than with dots (RFC 1035, 2.3.4).
    (long > 0 && at < LONGEST).then_some((long, at + 1))
}

fn write(question: &Question<'_>, addresses: &[IpAddr], room: &mut [u8]) -> Option<usize> {
    let each = THE_NAME.len() + 10 + if question.v6 { 16 } else { 4 };
    let opt = question.edns.map_or(0, |_| OPT);
    let whole = HEADER + question.bytes.len() + each * addresses.len() + opt;
    let limit = question.edns.map_or(PLAIN_PAYLOAD, |(limit, _)| limit.clamp(PLAIN_PAYLOAD, EDNS_PAYLOAD));
    let room = room.get_mut(..whole).filter(|_| whole <= usize::from(limit))?;
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        room[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(question.id);
    put(&[RESPONSE | AUTHORITATIVE | question.desired, AVAILABLE | question.unchecked, 0, 1]);
    put(&u16::try_from(addresses.len()).ok()?.to_be_bytes());
    put(&[0, 0, 0, u8::from(question.edns.is_some())]);
    put(question.bytes);
    for address in addresses {
        put(&THE_NAME);
        put(&if question.v6 { AAAA } else { A }.to_be_bytes());
        put(&IN);
        put(&TTL.to_be_bytes());
        match address {
            IpAddr::V4(v4) => {
                put(&4u16.to_be_bytes());
                put(&v4.octets());
            }
            IpAddr::V6(v6) => {
                put(&16u16.to_be_bytes());
                put(&v6.octets());
            }
        }
    }
    if let Some((_, secured)) = question.edns {
        let [high, low] = EDNS_PAYLOAD.to_be_bytes();
        put(&[0, 0, 41, high, low, 0, 0, u8::from(secured) << 7, 0, 0, 0]);
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::super::respond::{Response, Transport, respond};
    use super::super::zone::Endpoint;
    use super::*;
    use hickory_proto::op::{Edns, Message, Query};
    use hickory_proto::rr::{Name, RecordType};
    use proptest::prelude::*;

    fn zone() -> (Zone, View) {
        let mut zone = Zone::default();
        let network: netd_api::NetworkId = "a".repeat(64).parse().unwrap();
        for (digit, names, addresses) in
            [("1", &["c1", "web"][..], &["10.0.0.2", "fd00::2"][..]), ("2", &["C2", "web", "a.b_c-d"], &["10.0.0.3"])]
        {
            let endpoint = Endpoint {
                container: digit.repeat(64).parse().unwrap(),
                names: names.iter().map(|name| name.to_string()).collect(),
                addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            };
            zone.set(&network, "blue", endpoint);
        }
        let endpoint = Endpoint {
            container: "3".repeat(64).parse().unwrap(),
            names: vec!["many".into()],
            addresses: (0..60).map(|n| IpAddr::from([10, 0, 1, n])).collect(),
        };
        zone.set(&network, "blue", endpoint);
        (zone, View { networks: vec![network], forward: true, ..View::default() })
    }

    fn direct(bytes: &[u8], turn: usize) -> Option<Vec<u8>> {
        let (zone, view) = zone();
        let (mut addresses, mut room) = (Vec::new(), [0xff; EDNS_PAYLOAD as usize]);
        let long = answer(bytes, &zone, &view, turn, &mut addresses, &mut room)?;
        Some(room[..long].to_vec())
    }

    fn whole(bytes: &[u8], turn: usize) -> Option<Vec<u8>> {
        let (zone, view) = zone();
        match respond(bytes, &zone, &view, Transport::Udp, turn) {
            Response::Answer(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn question(name: &str, kind: RecordType, edns: Option<(u16, bool)>, bits: u8) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.id = 0x1234;
        message.metadata.recursion_desired = bits & 1 != 0;
        message.metadata.checking_disabled = bits & 2 != 0;
        message.metadata.authentic_data = bits & 4 != 0;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.edns = edns.map(|(limit, secured)| {
            let mut edns = Edns::new();
            edns.set_max_payload(limit).set_version(0).set_dnssec_ok(secured);
            edns
        });
        message.to_vec().unwrap()
    }

    #[test]
    fn names_are_answered_here_and_what_is_not_ours_is_not() {
        for (name, count) in [("c1.", 1), ("WEB.", 2), ("c2.blue.", 1), ("a.b_c-d.Blue.", 1)] {
            let bytes = direct(&question(name, RecordType::A, None, 1), 0).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(Message::from_vec(&bytes).unwrap().answers.len(), count, "{name}");
        }
        let none = direct(&question("c2.", RecordType::AAAA, None, 1), 0).unwrap();
        assert!(Message::from_vec(&none).unwrap().answers.is_empty(), "the name exists, without this");
        assert!(direct(&question("many.", RecordType::A, Some((4096, false)), 1), 0).is_some());
        for (name, kind) in [("nobody.", RecordType::A), ("c1.", RecordType::ANY), ("many.", RecordType::A)] {
            assert_eq!(direct(&question(name, kind, None, 1), 0), None, "{name} {kind}");
        }
    }

    proptest! {
        #[test]
        fn an_answer_is_the_one_that_the_whole_way_gives(
            name in "(c1|C2|web|WEB|many|nobody|a\\.b_c-d|[a-z0-9][a-z0-9_-]{0,40})(\\.blue|\\.BLUE|\\.org)?\\.",
            kind in prop_oneof![Just(RecordType::A), Just(RecordType::AAAA), Just(RecordType::ANY), Just(RecordType::MX)],
            edns: Option<(u16, bool)>, bits in 0u8..8, turn in 0usize..70,
        ) {
            let bytes = question(&name, kind, edns, bits);
            if let Some(direct) = direct(&bytes, turn) {
                prop_assert_eq!(Some(direct), whole(&bytes, turn));
            }
        }

        #[test]
        fn damaged_bytes_are_answered_the_same_or_not_here(
            at in 0usize..60, byte: u8, cut in 0usize..60, edns: Option<(u16, bool)>,
        ) {
            let mut bytes = question("web.blue.", RecordType::A, edns, 1);
            if let Some(damaged) = bytes.get_mut(at) {
                *damaged = byte;
            }
            bytes.truncate(bytes.len().max(cut) - cut);
            if let Some(direct) = direct(&bytes, 0) {
                prop_assert_eq!(Some(direct), whole(&bytes, 0));
            }
        }

        #[test]
        fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = direct(&bytes, 7);
        }
    }
}
