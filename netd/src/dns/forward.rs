//! Asking outside: from the host's network namespace, one server after the other, with a cache.

use super::cache::{Cache, Key};
use super::respond::EDNS_PAYLOAD;
use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::Name;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// The limit for all attempts together; each of the first two servers gets a share.
const OVERALL: Duration = Duration::from_millis(4_800);
const PER_SERVER: Duration = Duration::from_millis(1_600);

/// As resolv.conf(5): more are ignored.
const MAX_SERVERS: usize = 3;
/// As glibc before 2.26. With more, a mistyped name costs seconds.
const MAX_DOMAINS: usize = 6;
const PORT: u16 = 53;

/// Where to ask for names outside.
#[derive(Debug, Clone, Default)]
pub struct DnsConfig {
    /// Servers of the configuration file; empty: those of `resolv_conf`.
    pub upstreams: Vec<SocketAddr>,
    /// Read again whenever it has changed.
    pub resolv_conf: PathBuf,
}

/// Asks resolvers outside.
#[derive(Debug)]
pub struct Forwarder {
    config: DnsConfig,
    cache: Mutex<Cache>,
    host: Mutex<Host>,
}

/// The host's resolvers and search domains, read again when the file has changed.
#[derive(Debug, Default, Clone)]
struct Host {
    changed: Option<SystemTime>,
    servers: Vec<SocketAddr>,
    search: Vec<String>,
}

/// The result of a search.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// A search domain has it, under its whole name.
    Alias(Message),
    /// The answer to the name as it was.
    Bare(Message),
    Nothing,
}

/// Nobody answered.
#[derive(Debug, PartialEq, Eq)]
pub struct NoAnswer;

impl Forwarder {
    /// A forwarder to the configured servers, or else to the host's resolvers.
    pub fn new(config: DnsConfig) -> Self {
        Self { config, cache: Mutex::default(), host: Mutex::default() }
    }

    /// Asks `servers`, or else the configured ones, or else the host's.
    pub async fn ask(&self, request: &Message, servers: &[IpAddr]) -> Result<Message, NoAnswer> {
        let query = request.queries.first().ok_or(NoAnswer)?;
        let servers = self.servers(servers);
        let bits = Bits::of(request);
        let key = Key {
            name: query.name().to_lowercase().to_ascii(),
            kind: query.query_type(),
            bits: (bits.authentic, bits.unchecked, bits.edns),
            servers: servers.clone(),
        };
        let now = Instant::now();
        let kept = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key, now);
        if let Some(message) = kept {
            return Ok(message);
        }
        let message = timeout(OVERALL, ask_all(query, bits, &servers)).await.unwrap_or(Err(NoAnswer))?;
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(key, &message, Instant::now());
        Ok(message)
    }

    /// A single label, where a resolver would look for it: in the search domains (`own`, or else the host's), and bare
    /// where the container was given servers of its own, which may know it. The host's are not told which names are
    /// asked for in here.
    pub async fn search(&self, request: &Message, own: &[String], servers: &[IpAddr]) -> Result<Found, NoAnswer> {
        let query = request.queries.first().ok_or(NoAnswer)?;
        let (mut empty, mut failed) = (None, false);
        for domain in self.domains(own) {
            let Some(name) = Name::from_ascii(&domain).ok().and_then(|d| query.name().clone().append_domain(&d).ok())
            else {
                continue;
            };
            let mut whole = request.clone();
            for query in &mut whole.queries {
                query.set_name(name.clone());
            }
            match self.ask(&whole, servers).await {
                Ok(message) if message.metadata.response_code == ResponseCode::NXDomain => {}
                Ok(message) if message.metadata.response_code != ResponseCode::NoError => failed = true,
                Ok(message) if message.answers.is_empty() => empty = empty.or(Some(message)),
                Ok(message) => return Ok(Found::Alias(message)),
                Err(NoAnswer) => failed = true,
            }
        }
        if !servers.is_empty() {
            return self.ask(request, servers).await.map(Found::Bare);
        }
        match (empty, failed) {
            (Some(message), _) => Ok(Found::Alias(message)),
            (None, true) => Err(NoAnswer),
            (None, false) => Ok(Found::Nothing),
        }
    }

    fn domains(&self, own: &[String]) -> Vec<String> {
        let mut domains = if own.is_empty() { self.host().search } else { own.to_vec() };
        domains.retain(|domain| !domain.trim_end_matches('.').is_empty());
        domains.iter_mut().filter(|domain| !domain.ends_with('.')).for_each(|domain| domain.push('.'));
        domains.truncate(MAX_DOMAINS);
        domains
    }

    fn servers(&self, own: &[IpAddr]) -> Vec<SocketAddr> {
        let mut all: Vec<SocketAddr> = match (own, self.config.upstreams.as_slice()) {
            ([], []) => self.host().servers,
            ([], configured) => configured.to_vec(),
            (own, _) => own.iter().map(|address| SocketAddr::new(*address, PORT)).collect(),
        };
        all.truncate(MAX_SERVERS);
        all
    }

    fn host(&self) -> Host {
        let path: &PathBuf = &self.config.resolv_conf;
        let changed = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.is_none() || host.changed != changed {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            *host = Host { changed, servers: parse_resolv_conf(&text), search: search_of(&text) };
        }
        host.clone()
    }
}

/// What questions and answers have beside names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bits {
    authentic: bool,
    unchecked: bool,
    /// DO, and the bits that mean nothing yet.
    edns: Option<(bool, u16)>,
}

impl Bits {
    fn of(request: &Message) -> Self {
        let edns = request.edns.as_ref().map(|edns| (edns.flags().dnssec_ok, edns.flags().z));
        Self { authentic: request.metadata.authentic_data, unchecked: request.metadata.checking_disabled, edns }
    }
}

/// The domains of resolv.conf(5): the last `search` or `domain` line counts.
pub fn search_of(text: &str) -> Vec<String> {
    let mut lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next()?, "search" | "domain").then(|| words.map(str::to_owned).collect())
    });
    lines.next_back().unwrap_or_default()
}

/// The `nameserver` lines of resolv.conf(5). An IPv6 address with a zone is of no use to us and is left out.
fn parse_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse::<IpAddr>().ok()).flatten()
    });
    addresses.map(|address| SocketAddr::new(address, PORT)).collect()
}

/// Asks one server after the other: the next one is asked if one fails, refuses or stays silent.
async fn ask_all(query: &Query, bits: Bits, servers: &[SocketAddr]) -> Result<Message, NoAnswer> {
    let mut last = Err(NoAnswer);
    for server in servers {
        let Ok(Ok(message)) = timeout(PER_SERVER, ask_one(query, bits, *server)).await else { continue };
        match message.metadata.response_code {
            ResponseCode::ServFail | ResponseCode::Refused | ResponseCode::NotImp => last = Ok(message),
            _ => return Ok(message),
        }
    }
    last
}

/// A fresh id and a fresh source port for every question (RFC 5452): an answer must match both, and the question.
fn question(query: &Query, bits: Bits) -> std::io::Result<(Message, Vec<u8>)> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.metadata.authentic_data = bits.authentic;
    message.metadata.checking_disabled = bits.unchecked;
    message.add_query(query.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(EDNS_PAYLOAD).set_version(0);
    if let Some((signed, z)) = bits.edns {
        edns.set_dnssec_ok(signed);
        edns.flags_mut().z = z;
    }
    message.edns = Some(edns);
    let bytes = message.to_vec().map_err(std::io::Error::other)?;
    Ok((message, bytes))
}

fn matches(answer: &Message, asked: &Message) -> bool {
    answer.metadata.id == asked.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries.first().is_some_and(|query| {
            asked.queries.first().is_some_and(|other| {
                query.query_type() == other.query_type() && query.name().to_lowercase() == other.name().to_lowercase()
            })
        })
}

async fn ask_one(query: &Query, bits: Bits, server: SocketAddr) -> std::io::Result<Message> {
    let (asked, bytes) = question(query, bits)?;
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    // A connected socket takes datagrams from this server alone.
    socket.connect(server).await?;
    socket.send(&bytes).await?;
    let mut buffer = vec![0u8; 4096];
    loop {
        let got = socket.recv(&mut buffer).await?;
        // What can't be read or doesn't match may be forged: the real answer may still come.
        if let Ok(message) = Message::from_vec(&buffer[..got])
            && matches(&message, &asked)
        {
            return if message.metadata.truncation { ask_by_tcp(query, bits, server).await } else { Ok(message) };
        }
    }
}

async fn ask_by_tcp(query: &Query, bits: Bits, server: SocketAddr) -> std::io::Result<Message> {
    let (asked, bytes) = question(query, bits)?;
    let mut stream = TcpStream::connect(server).await?;
    let len = u16::try_from(bytes.len()).map_err(std::io::Error::other)?;
    stream.write_all(&len.to_be_bytes()).await?;
    stream.write_all(&bytes).await?;
    let len = stream.read_u16().await?;
    let mut buffer = vec![0u8; len.into()];
    stream.read_exact(&mut buffer).await?;
    let message = Message::from_vec(&buffer).map_err(std::io::Error::other)?;
    // Cut off, though TCP has room for all of it: that is no answer, and no proof that a name does not exist.
    let whole = matches(&message, &asked) && !message.metadata.truncation;
    if whole { Ok(message) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{RData, Record, RecordType};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn request(name: &str) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        message
    }

    /// A resolver on loopback that answers as `answer` says, and counts.
    async fn resolver(answer: impl Fn(Message) -> Vec<Message> + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        tokio::spawn(async move {
            let mut buffer = [0u8; 4096];
            while let Ok((got, from)) = socket.recv_from(&mut buffer).await {
                counted.fetch_add(1, Ordering::Relaxed);
                for message in answer(Message::from_vec(&buffer[..got]).unwrap()) {
                    socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
                }
            }
        });
        (address, count)
    }

    fn good(asked: Message, ttl: u32) -> Message {
        let name = asked.queries[0].name().clone();
        let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
        answer.queries = asked.queries;
        answer.add_answer(Record::from_rdata(name, ttl, RData::A(A([192, 0, 2, 7].into()))));
        answer
    }

    fn forwarder(servers: Vec<SocketAddr>) -> Forwarder {
        Forwarder::new(DnsConfig { upstreams: servers, resolv_conf: PathBuf::new() })
    }

    #[tokio::test]
    async fn answers_are_cached_and_forged_ones_ignored() {
        let (server, count) = resolver(|asked| {
            let mut forged = good(asked.clone(), 60);
            forged.metadata.id = forged.metadata.id.wrapping_add(1);
            vec![forged, good(asked, 60)]
        })
        .await;
        let forwarder = forwarder(vec![server]);
        for _ in 0..3 {
            assert_eq!(forwarder.ask(&request("example.org."), &[]).await.unwrap().answers.len(), 1);
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_failing_server_is_followed_by_the_next() {
        let (failing, _) = resolver(|asked| {
            let mut answer = good(asked, 60);
            answer.answers.clear();
            answer.metadata.response_code = ResponseCode::ServFail;
            vec![answer]
        })
        .await;
        let (server, _) = resolver(|asked| vec![good(asked, 0)]).await;
        let forwarder = forwarder(vec![failing, server]);
        assert_eq!(forwarder.ask(&request("example.org."), &[]).await.unwrap().answers.len(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_over_tcp_too_is_none() {
        let cut = |asked: Message| {
            let mut answer = good(asked, 60);
            answer.answers.clear();
            answer.metadata.truncation = true;
            answer
        };
        let (server, _) = resolver(move |asked| vec![cut(asked)]).await;
        let listener = tokio::net::TcpListener::bind(server).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0u8; stream.read_u16().await.unwrap().into()];
                stream.read_exact(&mut bytes).await.unwrap();
                let answer = cut(Message::from_vec(&bytes).unwrap()).to_vec().unwrap();
                stream.write_u16(answer.len() as u16).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        assert_eq!(forwarder(vec![server]).ask(&request("example.org."), &[]).await, Err(NoAnswer));
    }

    #[tokio::test]
    async fn bits_of_the_question_reach_the_server() {
        let (server, count) = resolver(|asked| {
            let (signed, z) = asked.edns.as_ref().map_or((false, 0), |e| (e.flags().dnssec_ok, e.flags().z));
            let mut answer = good(asked.clone(), 60);
            answer.metadata.authentic_data = signed && asked.metadata.checking_disabled && z == 4;
            vec![answer]
        })
        .await;
        let forwarder = forwarder(vec![server]);
        let mut asked = request("example.org.");
        assert!(!forwarder.ask(&asked, &[]).await.unwrap().metadata.authentic_data);
        asked.metadata.checking_disabled = true;
        let mut edns = Edns::new();
        edns.set_dnssec_ok(true);
        edns.flags_mut().z = 4;
        asked.edns = Some(edns);
        assert!(forwarder.ask(&asked, &[]).await.unwrap().metadata.authentic_data);
        assert_eq!(count.load(Ordering::Relaxed), 2, "the plain one's answer is no answer to it");
    }

    #[tokio::test]
    async fn a_single_label_is_looked_for_in_the_search_domains() {
        let (server, count) = resolver(|asked| {
            let mut answer = good(asked.clone(), 60);
            if asked.queries[0].name().to_ascii() != "db.two.example." {
                answer.answers.clear();
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            vec![answer]
        })
        .await;
        let forwarder = forwarder(vec![server]);
        let domains = ["one.example".to_owned(), "two.example.".to_owned()];
        assert!(matches!(forwarder.search(&request("db."), &domains, &[]).await, Ok(Found::Alias(_))));
        assert_eq!(count.load(Ordering::Relaxed), 2);
        assert_eq!(forwarder.search(&request("nobody."), &domains, &[]).await, Ok(Found::Nothing));
        assert_eq!(forwarder.search(&request("db."), &[".".to_owned()], &[]).await, Ok(Found::Nothing));
    }

    #[test]
    fn resolv_conf_is_read_as_the_manual_says() {
        let text = "# x\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nsearch a b\nnameserver ::1 # y\nnameservers 1.2.3.4\n";
        let want: Vec<SocketAddr> = vec!["127.0.0.53:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
        assert_eq!(parse_resolv_conf(text), want);
        assert_eq!(search_of(text), ["a", "b"]);
        assert_eq!(search_of("search a b\ndomain c\n"), ["c"]);
    }
}
