//! A query's bytes → an answer from memory, or the decision to ask outside. Pure, and safe with any bytes.

use super::zone::{Known, View, Zone};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::IpAddr;

/// Seconds that an answer of ours may be kept: a container that restarts may have another address.
pub const TTL: u32 = 3;

/// What fits an unfragmented datagram everywhere (DNS flag day 2020); without EDNS it is 512 (RFC 1035, 4.2.1).
pub const EDNS_PAYLOAD: u16 = 1232;
pub const PLAIN_PAYLOAD: u16 = 512;

/// Extended DNS errors (RFC 8914).
const EXTENDED_ERROR: u16 = 15;

/// How a query travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What to do with a query.
#[derive(Debug)]
pub enum Response {
    /// Send this.
    Answer(Vec<u8>),
    /// Ask outside, then send what comes, by [`finish`].
    Forward(Box<Message>),
    /// A name of one label, which is none of ours: a resolver would look for it in its search domains. Its answer comes
    /// by [`found`].
    Search(Box<Message>),
    /// Not a query: an answer would only be noise.
    Drop,
}

/// Answers from memory. `turn` rotates the addresses of a name, so that its containers share the work.
pub fn respond(bytes: &[u8], zone: &Zone, view: &View, transport: Transport, turn: usize) -> Response {
    let Ok(request) = Message::from_vec(bytes) else { return malformed(bytes) };
    if request.metadata.message_type != MessageType::Query {
        return Response::Drop;
    }
    // A version that nobody knows yet (RFC 6891, 6.1.3): the answer says which one we know.
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return send(&request, reply(&request, ResponseCode::BADVERS), transport);
    }
    let code = match (request.metadata.op_code, request.queries.as_slice()) {
        (OpCode::Query, [query]) => match local(&request, query, zone, view, turn) {
            Local::Answer(answer) => return send(&request, answer, transport),
            Local::Foreign if view.forward && is_host_name(query) => return Response::Search(Box::new(request)),
            Local::Foreign if view.forward => return Response::Forward(Box::new(request)),
            // An internal network has no outside.
            Local::Foreign => ResponseCode::NXDomain,
            Local::Refused => ResponseCode::Refused,
        },
        (OpCode::Query, _) => ResponseCode::FormErr,
        _ => ResponseCode::NotImp,
    };
    let answer = reply(&request, code);
    send(&request, answer, transport)
}

/// A whole header gets an answer (FORMERR), even if the rest is nonsense. Less gets none.
fn malformed(bytes: &[u8]) -> Response {
    match bytes {
        // The QR bit (RFC 1035, 4.1.1) marks answers.
        [a, b, flags, _, ..] if bytes.len() >= 12 && flags & 0x80 == 0 => {
            let id = u16::from_be_bytes([*a, *b]);
            let message = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
            message.to_vec().map_or(Response::Drop, Response::Answer)
        }
        _ => Response::Drop,
    }
}

/// The address of one label: to a resolver not yet a whole name. What else is asked of one (`com. NS`, `org. DS`) means
/// the domain.
fn is_host_name(query: &Query) -> bool {
    query.name().num_labels() == 1 && matches!(query.query_type(), RecordType::A | RecordType::AAAA)
}

enum Local {
    Answer(Message),
    Foreign,
    Refused,
}

fn local(request: &Message, query: &Query, zone: &Zone, view: &View, turn: usize) -> Local {
    if query.query_class() != DNSClass::IN {
        return Local::Refused;
    }
    if query.query_type() == RecordType::PTR
        && let Ok(net) = query.name().parse_arpa_name()
    {
        let Some(name) = zone.reverse(view, net.addr()) else { return Local::Foreign };
        let Ok(target) = Name::from_ascii(format!("{name}.")) else { return Local::Foreign };
        return Local::Answer(with_records(request, vec![RData::PTR(PTR(target))], query));
    }
    let name = query.name().to_lowercase().to_ascii();
    match zone.lookup(view, name.trim_end_matches('.')) {
        Known::Foreign => Local::Foreign,
        Known::Addresses(addresses) => {
            let mut records: Vec<RData> = addresses
                .into_iter()
                .filter_map(|address| match (address, query.query_type()) {
                    (IpAddr::V4(v4), RecordType::A | RecordType::ANY) => Some(RData::A(A(v4))),
                    (IpAddr::V6(v6), RecordType::AAAA | RecordType::ANY) => Some(RData::AAAA(AAAA(v6))),
                    // NODATA: the name exists, without this (RFC 2308, 2.2).
                    _ => None,
                })
                .collect();
            if !records.is_empty() {
                let by = turn % records.len();
                records.rotate_left(by);
            }
            Local::Answer(with_records(request, records, query))
        }
    }
}

/// An answer's frame: the question, our flags, EDNS if the question had it.
fn reply(request: &Message, code: ResponseCode) -> Message {
    let mut message = Message::response(request.metadata.id, request.metadata.op_code);
    message.metadata.recursion_desired = request.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    // RFC 4035, 3.2.2: as it was asked.
    message.metadata.checking_disabled = request.metadata.checking_disabled;
    message.metadata.response_code = code;
    message.queries.clone_from(&request.queries);
    if let Some(asked) = &request.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(EDNS_PAYLOAD).set_version(0);
        // RFC 3225, 3: the answer has DO as the question had it.
        edns.set_dnssec_ok(asked.flags().dnssec_ok);
        message.edns = Some(edns);
    }
    message
}

fn with_records(request: &Message, records: Vec<RData>, query: &Query) -> Message {
    let mut message = reply(request, ResponseCode::NoError);
    message.metadata.authoritative = true;
    message.answers = records.into_iter().map(|data| Record::from_rdata(query.name().clone(), TTL, data)).collect();
    message
}

/// An error in answer to a forwarded question.
pub fn fail(request: &Message, code: ResponseCode, transport: Transport) -> Response {
    send(request, reply(request, code), transport)
}

/// What came from outside, as an answer to `request`.
pub fn finish(request: &Message, outside: &Message, transport: Transport) -> Response {
    let mut message = reply(request, outside.metadata.response_code);
    // The asker decides whether it trusts the resolver outside, so what that says about signatures is passed on (RFC
    // 6840, 5.7 and 5.8).
    message.metadata.authentic_data = outside.metadata.authentic_data;
    message.metadata.authoritative = outside.metadata.authoritative;
    if let (Some(ours), Some(theirs)) = (&mut message.edns, &outside.edns) {
        ours.flags_mut().z = theirs.flags().z;
        if let Some(why) = theirs.option(EdnsCode::from(EXTENDED_ERROR)) {
            ours.options_mut().insert(why.clone());
        }
    }
    message.answers.clone_from(&outside.answers);
    message.authorities.clone_from(&outside.authorities);
    message.additionals.clone_from(&outside.additionals);
    send(request, message, transport)
}

/// Turns the answer of a search domain into an answer for the bare label: an alias.
pub fn found(request: &Message, outside: &Message, transport: Transport) -> Response {
    let mut message = outside.clone();
    let names = (request.queries.first().map(Query::name), outside.queries.first().map(Query::name));
    if let (Some(bare), Some(whole)) = names {
        let ttl = outside.answers.iter().map(|record| record.ttl).min().unwrap_or(TTL);
        message.answers.insert(0, Record::from_rdata(bare.clone(), ttl, RData::CNAME(CNAME(whole.clone()))));
    }
    // Nobody signed that.
    message.metadata.authentic_data = false;
    message.metadata.authoritative = false;
    finish(request, &message, transport)
}

/// Encodes. An answer too long for a datagram is cut and marked, so that the asker tries TCP.
fn send(request: &Message, message: Message, transport: Transport) -> Response {
    let limit = match transport {
        Transport::Tcp => usize::from(u16::MAX),
        Transport::Udp => {
            let asked = request.edns.as_ref().map_or(PLAIN_PAYLOAD, Edns::max_payload);
            usize::from(asked.clamp(PLAIN_PAYLOAD, EDNS_PAYLOAD))
        }
    };
    let whole = match message.to_vec() {
        Ok(bytes) if bytes.len() <= limit => return Response::Answer(bytes),
        _ => message,
    };
    let mut cut = reply(request, whole.metadata.response_code);
    cut.metadata.truncation = true;
    cut.to_vec().map_or(Response::Drop, Response::Answer)
}

#[cfg(test)]
mod tests {
    use super::super::zone::Endpoint;
    use super::*;
    use netd_api::NetworkId;
    use proptest::prelude::*;

    fn network() -> NetworkId {
        "a".repeat(64).parse().unwrap()
    }

    fn zone(addresses: Vec<IpAddr>) -> Zone {
        let mut zone = Zone::default();
        let endpoint = Endpoint { container: "1".repeat(64).parse().unwrap(), names: vec!["c1".into()], addresses };
        zone.set(&network(), "blue", endpoint);
        zone
    }

    fn view(forward: bool) -> View {
        View { networks: vec![network()], forward, ..View::default() }
    }

    fn question(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn answer(response: Response) -> Message {
        match response {
            Response::Answer(bytes) => Message::from_vec(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn ask(zone: &Zone, name: &str, kind: RecordType) -> Message {
        answer(respond(&question(name, kind), zone, &view(true), Transport::Udp, 0))
    }

    #[test]
    fn names_types_and_cases() {
        let zone = zone(vec!["10.0.0.2".parse().unwrap()]);
        let a = ask(&zone, "C1.", RecordType::A);
        assert_eq!(
            (a.metadata.response_code, a.answers.len(), a.answers[0].ttl <= 5),
            (ResponseCode::NoError, 1, true)
        );
        let aaaa = ask(&zone, "c1.", RecordType::AAAA);
        assert_eq!((aaaa.metadata.response_code, aaaa.answers.len()), (ResponseCode::NoError, 0));
        let single = respond(&question("nobody.", RecordType::A), &zone, &view(true), Transport::Udp, 0);
        assert!(matches!(single, Response::Search(_)), "{single:?}");
        assert_eq!(ask(&zone, "c1.blue.", RecordType::A).answers.len(), 1);
        let ptr = ask(&zone, "2.0.0.10.in-addr.arpa.", RecordType::PTR);
        assert!(ptr.answers[0].to_string().contains("c1.blue"), "{ptr:?}");
    }

    #[test]
    fn foreign_names_are_forwarded_unless_internal() {
        let zone = zone(vec!["10.0.0.2".parse().unwrap()]);
        let query = question("example.org.", RecordType::A);
        assert!(matches!(respond(&query, &zone, &view(true), Transport::Udp, 0), Response::Forward(_)));
        let internal = answer(respond(&query, &zone, &view(false), Transport::Udp, 0));
        assert_eq!(internal.metadata.response_code, ResponseCode::NXDomain);
    }

    #[test]
    fn edns_is_answered_as_it_is_asked() {
        let zone = zone(vec!["10.0.0.2".parse().unwrap()]);
        let mut query = Message::from_vec(&question("c1.", RecordType::A)).unwrap();
        query.metadata.checking_disabled = true;
        let mut edns = Edns::new();
        edns.set_dnssec_ok(true);
        query.edns = Some(edns.clone());
        let reply = answer(respond(&query.to_vec().unwrap(), &zone, &view(true), Transport::Udp, 0));
        assert!(reply.edns.as_ref().unwrap().flags().dnssec_ok && reply.metadata.checking_disabled);
        edns.set_version(1);
        query.edns = Some(edns);
        let reply = answer(respond(&query.to_vec().unwrap(), &zone, &view(true), Transport::Udp, 0));
        // Beside a signature the number is BADSIG's (RFC 6895, 2.3).
        assert_eq!((u16::from(reply.metadata.response_code), reply.answers.len()), (16, 0));
        assert_eq!(reply.edns.unwrap().version(), 0);
    }

    #[test]
    fn words_about_signatures_are_passed_on() {
        let mut query = Message::from_vec(&question("example.org.", RecordType::A)).unwrap();
        query.edns = Some(Edns::new());
        let mut outside = Message::response(1, OpCode::Query);
        outside.queries.clone_from(&query.queries);
        outside.metadata.authentic_data = true;
        assert!(answer(finish(&query, &outside, Transport::Udp)).metadata.authentic_data);
        outside.metadata.authentic_data = false;
        assert!(!answer(finish(&query, &outside, Transport::Udp)).metadata.authentic_data);
    }

    #[test]
    fn addresses_rotate_and_long_answers_are_cut_on_udp_only() {
        let many: Vec<IpAddr> = (0..=200).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let zone = zone(many);
        let query = question("c1.", RecordType::A);
        let cut = answer(respond(&query, &zone, &view(true), Transport::Udp, 0));
        assert!(cut.metadata.truncation && cut.answers.is_empty());
        let first = answer(respond(&query, &zone, &view(true), Transport::Tcp, 0));
        let second = answer(respond(&query, &zone, &view(true), Transport::Tcp, 1));
        assert_eq!(first.answers.len(), 201);
        assert_ne!(first.answers[0], second.answers[0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_or_dropped(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let zone = zone(vec!["10.0.0.2".parse().unwrap()]);
            let _ = respond(&bytes, &zone, &view(true), Transport::Udp, 7);
        }

        #[test]
        fn a_damaged_query_is_no_panic(at in 0usize..40, byte: u8) {
            let zone = zone(vec!["10.0.0.2".parse().unwrap()]);
            let mut query = question("c1.blue.", RecordType::A);
            let at = at % query.len();
            query[at] = byte;
            let _ = respond(&query, &zone, &view(true), Transport::Tcp, 0);
        }
    }
}
