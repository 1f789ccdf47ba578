//! Names, as a container's resolver has them: asked as a program in it would ask.

use crate::dns::search_domains;
use crate::kernel::ask_by_udp;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use netd_core::picture::Picture;
use netd_core::seen::{NameOutcome, NameSeen};
use netd_core::why::Source;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// netd's resolver in a container.
const RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11)), 53);
const PORT: u16 = 53;
/// How long an answer may take that comes from outside, and that a server may take which is asked whether it is there.
const PATIENCE: Duration = Duration::from_millis(1200);
const SIGN_OF_LIFE: Duration = Duration::from_millis(300);
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The servers for names outside, for this source: as the daemon chooses them.
pub fn servers_of(picture: &Picture, source: &Source) -> Vec<IpAddr> {
    if let Source::Container(id) = source
        && let Some(container) = picture.containers.get(id)
    {
        let networks = container.attachments.iter().filter_map(|a| picture.networks.get(&a.network));
        let of_networks: Vec<IpAddr> = networks.flat_map(|n| n.network.dns.iter().copied()).collect();
        for own in [&container.dns.servers, &of_networks, &picture.upstreams] {
            if !own.is_empty() {
                return own.clone();
            }
        }
    }
    let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok());
    named.take(3).collect()
}

/// The domains that the resolver of this source looks for a name in, as the daemon chooses them: for one label alone.
pub fn domains_of(picture: &Picture, source: &Source, name: &str) -> Vec<String> {
    let Source::Container(id) = source else { return Vec::new() };
    if name.trim_end_matches('.').contains('.') {
        return Vec::new();
    }
    let own = picture.containers.get(id).map(|container| container.dns.search.clone()).unwrap_or_default();
    if !own.is_empty() {
        return own;
    }
    let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    search_domains(&text).into_iter().take(6).collect()
}

/// Asks for a name, from a container's network namespace by its resolver, or from the host by its servers. Beside it
/// what could not be asked.
pub fn ask_for(name: &str, netns: Option<BorrowedFd<'_>>, servers: &[IpAddr]) -> (Option<NameSeen>, Vec<String>) {
    let mut unasked = Vec::new();
    let server = match (netns, servers.first()) {
        (Some(_), _) => RESOLVER,
        (None, Some(first)) => SocketAddr::new(*first, PORT),
        (None, None) => return (None, vec![format!("the name `{name}`: the host has no DNS server")]),
    };
    let mut outcome = NameOutcome::NoSuchName;
    for kind in [RecordType::A, RecordType::AAAA] {
        outcome = match question(name, kind).map(|bytes| ask_by_udp(netns, server, &bytes, PATIENCE)) {
            Some(Ok(answer)) => read(answer.as_deref()),
            Some(Err(error)) => {
                unasked.push(format!("the name `{name}`: {error}"));
                return (None, unasked);
            }
            // What is no name of the protocol is nobody's.
            None => NameOutcome::NoSuchName,
        };
        if !matches!(&outcome, NameOutcome::Addresses(all) if all.is_empty()) {
            break;
        }
    }
    if matches!(&outcome, NameOutcome::Addresses(all) if all.is_empty()) {
        outcome = NameOutcome::NoSuchName;
    }
    let failed = matches!(outcome, NameOutcome::Failed(_) | NameOutcome::Silent);
    let asked = servers.iter().take(3).filter(|_| failed).map(|server| (*server, lives(*server)));
    (Some(NameSeen { name: name.to_owned(), outcome, servers: asked.collect(), domains: Vec::new() }), unasked)
}

/// Whether a server says anything at all.
fn lives(server: IpAddr) -> bool {
    let bytes = question(".", RecordType::NS);
    let answer = bytes.map(|bytes| ask_by_udp(None, SocketAddr::new(server, PORT), &bytes, SIGN_OF_LIFE));
    matches!(answer, Some(Ok(Some(_))))
}

fn question(name: &str, kind: RecordType) -> Option<Vec<u8>> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    message.to_vec().ok()
}

fn read(answer: Option<&[u8]>) -> NameOutcome {
    let Some(message) = answer.and_then(|bytes| Message::from_vec(bytes).ok()) else { return NameOutcome::Silent };
    match message.metadata.response_code {
        ResponseCode::NoError => {
            let addresses = message.answers.iter().filter_map(|record| match &record.data {
                RData::A(a) => Some(IpAddr::V4(a.0)),
                RData::AAAA(a) => Some(IpAddr::V6(a.0)),
                _ => None,
            });
            NameOutcome::Addresses(addresses.collect())
        }
        ResponseCode::NXDomain => NameOutcome::NoSuchName,
        other => NameOutcome::Failed(other.to_string()),
    }
}
