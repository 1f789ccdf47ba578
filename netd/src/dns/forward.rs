//! Asking outside: from the host's network namespace, one server after the other, with a cache.

use super::DnsConfig;
use super::cache::{Cache, Key};
use super::respond::EDNS_PAYLOAD;
use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// All attempts together; the first two servers get their share of it.
const OVERALL: Duration = Duration::from_millis(4_800);
const PER_SERVER: Duration = Duration::from_millis(1_600);

/// As resolv.conf(5): more are ignored.
const MAX_SERVERS: usize = 3;
const PORT: u16 = 53;

/// Asks resolvers outside.
#[derive(Debug)]
pub struct Forwarder {
    config: DnsConfig,
    cache: Mutex<Cache>,
    host: Mutex<HostServers>,
}

/// The host's resolvers, read again when the file has changed.
#[derive(Debug, Default)]
struct HostServers {
    changed: Option<SystemTime>,
    servers: Vec<SocketAddr>,
}

/// Nobody answered.
#[derive(Debug, PartialEq, Eq)]
pub struct NoAnswer;

impl Forwarder {
    /// Asks whom the configuration names, or else the host's resolvers.
    pub fn new(config: DnsConfig) -> Self {
        Self { config, cache: Mutex::default(), host: Mutex::default() }
    }

    /// Asks `servers`, or else the configured ones, or else the host's.
    pub async fn ask(&self, request: &Message, servers: &[IpAddr]) -> Result<Message, NoAnswer> {
        let query = request.queries.first().ok_or(NoAnswer)?;
        let servers = self.servers(servers);
        let key =
            Key { name: query.name().to_lowercase().to_ascii(), kind: query.query_type(), servers: servers.clone() };
        let now = Instant::now();
        let kept = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key, now);
        if let Some(message) = kept {
            return Ok(message);
        }
        let message = timeout(OVERALL, ask_all(query, &servers)).await.unwrap_or(Err(NoAnswer))?;
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(key, &message, Instant::now());
        Ok(message)
    }

    fn servers(&self, own: &[IpAddr]) -> Vec<SocketAddr> {
        let mut all: Vec<SocketAddr> = match (own, self.config.upstreams.as_slice()) {
            ([], []) => self.host_servers(),
            ([], configured) => configured.to_vec(),
            (own, _) => own.iter().map(|address| SocketAddr::new(*address, PORT)).collect(),
        };
        all.truncate(MAX_SERVERS);
        all
    }

    fn host_servers(&self) -> Vec<SocketAddr> {
        let path: &PathBuf = &self.config.resolv_conf;
        let changed = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.is_none() || host.changed != changed {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            *host = HostServers { changed, servers: parse_resolv_conf(&text) };
        }
        host.servers.clone()
    }
}

/// The `nameserver` lines of resolv.conf(5). An IPv6 address with a zone is of no use to us and is left out.
fn parse_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse::<IpAddr>().ok()).flatten()
    });
    addresses.map(|address| SocketAddr::new(address, PORT)).collect()
}

/// One after the other: a server that fails, refuses or stays silent is followed by the next.
async fn ask_all(query: &Query, servers: &[SocketAddr]) -> Result<Message, NoAnswer> {
    let mut last = Err(NoAnswer);
    for server in servers {
        let Ok(Ok(message)) = timeout(PER_SERVER, ask_one(query, *server)).await else { continue };
        match message.metadata.response_code {
            ResponseCode::ServFail | ResponseCode::Refused | ResponseCode::NotImp => last = Ok(message),
            _ => return Ok(message),
        }
    }
    last
}

/// A fresh id and a fresh source port for every question (RFC 5452): an answer must match both, and the question.
fn question(query: &Query) -> std::io::Result<(Message, Vec<u8>)> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(query.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(EDNS_PAYLOAD).set_version(0);
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

async fn ask_one(query: &Query, server: SocketAddr) -> std::io::Result<Message> {
    let (asked, bytes) = question(query)?;
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
            return if message.metadata.truncation { ask_by_tcp(query, server).await } else { Ok(message) };
        }
    }
}

async fn ask_by_tcp(query: &Query, server: SocketAddr) -> std::io::Result<Message> {
    let (asked, bytes) = question(query)?;
    let mut stream = TcpStream::connect(server).await?;
    let len = u16::try_from(bytes.len()).map_err(std::io::Error::other)?;
    stream.write_all(&len.to_be_bytes()).await?;
    stream.write_all(&bytes).await?;
    let len = stream.read_u16().await?;
    let mut buffer = vec![0u8; len.into()];
    stream.read_exact(&mut buffer).await?;
    let message = Message::from_vec(&buffer).map_err(std::io::Error::other)?;
    if matches(&message, &asked) { Ok(message) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{Name, RData, Record, RecordType};
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

    #[test]
    fn resolv_conf_is_read_as_the_manual_says() {
        let text = "# x\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nsearch a b\nnameserver ::1 # y\nnameservers 1.2.3.4\n";
        let want: Vec<SocketAddr> = vec!["127.0.0.53:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
        assert_eq!(parse_resolv_conf(text), want);
    }
}
