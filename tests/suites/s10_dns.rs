//! The container's resolver, spoken to on the wire (RFC 1035).
#![allow(clippy::unwrap_used)]

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::{Host, Netns, eventually};

const RESOLVER: &str = "127.0.0.11:53";
const UPSTREAM: &str = "198.51.100.2";

/// A resolver in the world outside. It answers A questions with 192.0.2.99; `big.…` only over TCP in full; `dead.…` never.
#[derive(Clone, Default)]
struct Upstream {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    fn start(netns: &Netns) -> Self {
        let upstream = Self::default();
        let (over_udp, over_tcp) = (upstream.clone(), upstream.clone());
        netns.inside(move || {
            let socket = UdpSocket::bind((UPSTREAM, 53)).unwrap();
            let listener = TcpListener::bind((UPSTREAM, 53)).unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0u8; 4096];
                while let Ok((got, from)) = socket.recv_from(&mut buffer) {
                    if let Some(answer) = over_udp.answer(&buffer[..got], true) {
                        let _ = socket.send_to(&answer, from);
                    }
                }
            });
            std::thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    if let Some(answer) = read_frame(&mut stream).and_then(|bytes| over_tcp.answer(&bytes, false)) {
                        let _ = write_frame(&mut stream, &answer);
                    }
                }
            });
        });
        upstream
    }

    fn answer(&self, bytes: &[u8], udp: bool) -> Option<Vec<u8>> {
        let request = Message::from_vec(bytes).ok()?;
        let query = request.queries.first()?.clone();
        let name = query.name().to_ascii();
        self.asked.lock().unwrap().push(format!("{name} {}{}", query.query_type(), if udp { "" } else { " tcp" }));
        if name.starts_with("dead.") {
            return None;
        }
        let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
        answer.metadata.message_type = MessageType::Response;
        answer.metadata.recursion_available = true;
        answer.add_query(query.clone());
        match (name.starts_with("big."), udp) {
            (true, true) => answer.metadata.truncation = true,
            (true, false) => (0..20).for_each(|i| {
                let text = TXT::new(vec![format!("{i}{}", "x".repeat(200))]);
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, RData::TXT(text)));
            }),
            _ if query.query_type() == RecordType::A => {
                let address = RData::A(A(Ipv4Addr::new(192, 0, 2, 99)));
                answer.add_answer(Record::from_rdata(query.name().clone(), 3600, address));
            }
            _ => {}
        }
        answer.to_vec().ok()
    }

    fn times_asked(&self, what: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == what).count()
    }
}

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0u8; 2];
    stream.read_exact(&mut length).ok()?;
    let mut bytes = vec![0u8; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn write_frame(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(&[&(bytes.len() as u16).to_be_bytes()[..], bytes].concat())
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

/// Asks from inside a container.
fn ask(container: &Netns, name: &str, kind: RecordType) -> Message {
    let bytes = question(name, kind);
    let answer = container.inside(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.send_to(&bytes, RESOLVER).unwrap();
        let mut buffer = [0u8; 65535];
        let got = socket.recv(&mut buffer).unwrap();
        buffer[..got].to_vec()
    });
    Message::from_vec(&answer).unwrap()
}

fn ask_tcp(container: &Netns, name: &str, kind: RecordType) -> Message {
    let bytes = question(name, kind);
    let answer = container.inside(move || {
        let mut stream = TcpStream::connect(RESOLVER).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write_frame(&mut stream, &bytes).unwrap();
        read_frame(&mut stream).unwrap()
    });
    Message::from_vec(&answer).unwrap()
}

fn addresses(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

fn start(host: &Host, name: &str, flags: &[&str]) -> Netns {
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(flags);
    args.extend(["alpine", "sleep", "1000"]);
    host.ok(&args);
    host.container_netns(name)
}

#[test]
fn own_names_over_udp_and_tcp_with_short_lives() {
    let host = Host::new();
    host.ok(&["network", "create", "--ipv6", "six"]);
    host.ok(&["network", "create", "four"]);
    let c1 = start(&host, "c1", &["--network", "six", "--network-alias", "db"]);
    let c2 = start(&host, "c2", &["--network", "six"]);
    let address = host.address("c1", "six");
    for ask in [ask, ask_tcp] {
        for name in ["c1.", "C1.", "c1.six.", "db."] {
            let answer = ask(&c2, name, RecordType::A);
            assert_eq!(addresses(&answer), std::slice::from_ref(&address), "{name}");
            assert!(answer.metadata.authoritative && answer.answers.iter().all(|r| r.ttl <= 5), "{answer:?}");
        }
        assert_eq!(ask(&c2, "c1.", RecordType::AAAA).answers.len(), 1);
        let reverse: String = address.split('.').rev().map(|part| format!("{part}.")).collect();
        let names = addresses(&ask(&c2, &format!("{reverse}in-addr.arpa."), RecordType::PTR));
        assert!(names.iter().any(|name| name.starts_with("c1.")), "{names:?}");
    }
    // A family that a name does not have is no error, and another kind neither: the name is there (RFC 2308, NODATA).
    let d1 = start(&host, "d1", &["--network", "four"]);
    for kind in [RecordType::AAAA, RecordType::MX] {
        let nothing = ask(&d1, "d1.", kind);
        assert_eq!((nothing.metadata.response_code, nothing.answers.len()), (ResponseCode::NoError, 0));
    }
    // Not on a common network, not there.
    assert_eq!(ask(&d1, "c1.", RecordType::A).metadata.response_code, ResponseCode::NXDomain);
    drop(c1);
}

#[test]
fn names_follow_what_happens_at_once() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "create", "green"]);
    let c2 = start(&host, "c2", &["--network", "blue"]);
    let known = |name: &str| !ask(&c2, name, RecordType::A).answers.is_empty();
    start(&host, "c1", &["--network", "green"]);
    assert!(!known("c1."));
    host.ok(&["network", "connect", "--alias", "web", "blue", "c1"]);
    assert!(known("c1.") && known("web."));
    host.ok(&["rename", "c1", "c9"]);
    assert!(known("c9.") && !known("c1."));
    host.ok(&["network", "disconnect", "blue", "c9"]);
    assert!(!known("c9.") && !known("web."));
    host.ok(&["network", "connect", "blue", "c9"]);
    host.ok(&["restart", "-t", "0", "c9"]);
    assert!(known("c9."));
    host.ok(&["stop", "-t", "0", "c9"]);
    assert!(!known("c9."));
}

#[test]
fn the_world_is_asked_once_in_full_and_not_for_everything() {
    let host = Host::new();
    let upstream = Upstream::start(&host.outside);
    let c1 = start(&host, "c1", &["--dns", UPSTREAM]);
    for _ in 0..3 {
        assert_eq!(addresses(&ask(&c1, "www.example.org.", RecordType::A)), ["192.0.2.99"]);
    }
    assert_eq!(upstream.times_asked("www.example.org. A"), 1, "the answer is kept");
    // Cut short over UDP, it is fetched by TCP; whoever asks by TCP gets it whole.
    assert_eq!(ask_tcp(&c1, "big.example.org.", RecordType::TXT).answers.len(), 20);
    assert!(ask(&c1, "big.example.org.", RecordType::TXT).metadata.truncation);
    assert_eq!(upstream.times_asked("big.example.org. TXT tcp"), 1);
    // A server that stays silent is an answer, too: before a program's own patience ends.
    assert_eq!(ask(&c1, "dead.example.org.", RecordType::A).metadata.response_code, ResponseCode::ServFail);
    // Single labels never leave, nor what reads back our own addresses.
    for name in ["nobody.", "c1.", "nobody.bridge."] {
        ask(&c1, name, RecordType::A);
    }
    let asked = upstream.asked.lock().unwrap().clone();
    assert!(!asked.iter().any(|one| one.starts_with("nobody. ") || one.starts_with("c1.")), "{asked:?}");
}

#[test]
fn internal_networks_never_ask_outside() {
    let host = Host::new();
    let upstream = Upstream::start(&host.outside);
    host.ok(&["network", "create", "--internal", "inner"]);
    host.ok(&["network", "create", "outer"]);
    let c1 = start(&host, "c1", &["--network", "inner", "--dns", UPSTREAM]);
    assert!(ask(&c1, "www.example.org.", RecordType::A).answers.is_empty());
    assert_eq!(addresses(&ask(&c1, "c1.", RecordType::A)), [host.address("c1", "inner")]);
    assert!(upstream.asked.lock().unwrap().is_empty());
    // Once it is on a network with a way out, it may ask; and no more when that is gone.
    host.ok(&["network", "connect", "outer", "c1"]);
    eventually("it may ask", || !ask(&c1, "www.example.org.", RecordType::A).answers.is_empty());
    host.ok(&["network", "disconnect", "outer", "c1"]);
    assert!(ask(&c1, "other.example.org.", RecordType::A).answers.is_empty());
}

#[test]
fn a_hosts_resolv_conf_is_followed_and_a_container_on_the_host_uses_it() {
    let host = Host::new();
    Upstream::start(&host.outside);
    let seen = host.sh(&["--network", "host"], "cat /etc/resolv.conf");
    let own = std::fs::read_to_string("/etc/resolv.conf").unwrap();
    for line in own.lines().filter(|line| line.starts_with("nameserver")) {
        assert!(seen.contains(line), "{seen}");
    }
    assert!(host.sh(&[], "cat /etc/resolv.conf").contains("nameserver 127.0.0.11"));
}

#[test]
fn noise_on_the_port_is_no_end_of_names() {
    let host = Host::new();
    let c1 = start(&host, "c1", &[]);
    c1.inside(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for length in [0usize, 1, 11, 12, 13, 40, 512, 9000] {
            let noise: Vec<u8> = (0..length).map(|i| (i * 37 % 251) as u8).collect();
            socket.send_to(&noise, RESOLVER).unwrap();
        }
        // Connections that say nothing, too little, or too much.
        let silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(RESOLVER).unwrap()).collect();
        let mut liar = TcpStream::connect(RESOLVER).unwrap();
        let _ = liar.write_all(&[0xff, 0xff, 1, 2, 3]);
        drop(silent);
    });
    assert_eq!(addresses(&ask(&c1, "c1.", RecordType::A)), [host.address("c1", "bridge")]);
    assert_eq!(addresses(&ask_tcp(&c1, "c1.", RecordType::A)), [host.address("c1", "bridge")]);
}
