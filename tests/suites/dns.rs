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

/// A resolver in the world outside. It answers A questions with 192.0.2.99; `big.…` only over TCP in full; `dead.…`
/// never.
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
        if name.starts_with("cut.") {
            let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
            answer.add_query(query);
            answer.metadata.truncation = true;
            return answer.to_vec().ok();
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
            // Of this domain there is one name.
            _ if name.ends_with("corp.example.") && name != "intra.corp.example." => {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            // It says whether it was asked for signatures, unchecked.
            _ if name.starts_with("signed.") => {
                let signed = request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
                answer.metadata.authentic_data = signed && request.metadata.checking_disabled;
                let address = RData::A(A(Ipv4Addr::new(192, 0, 2, 98)));
                answer.add_answer(Record::from_rdata(query.name().clone(), 3600, address));
            }
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
    exchange(container, question(name, kind))
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

/// What the files are that netd has open.
fn descriptors(host: &Host) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", host.netd_pid().unwrap())).unwrap().count()
}

#[test]
fn a_container_costs_netd_two_descriptors_and_has_names_over_tcp_whoever_listens() {
    let host = Host::new();
    start(&host, "c1", &[]);
    // What a call has opened is closed a moment later.
    let settles = |most: usize| eventually("descriptors are closed", || descriptors(&host) <= most);
    std::thread::sleep(Duration::from_millis(300));
    let before = descriptors(&host);
    let others: Vec<Netns> = (2..8).map(|n| start(&host, &format!("c{n}"), &[])).collect();
    settles(before + 2 * others.len());
    let c1 = [host.address("c1", "bridge")];
    others.iter().for_each(|other| assert_eq!(addresses(&ask_tcp(other, "c1.", RecordType::A)), c1));
    // Without netd a question is refused at once; the next netd lends its sockets anew.
    host.kill_netd();
    let refused = others[0].inside(|| TcpStream::connect(RESOLVER).unwrap_err().kind());
    assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
    host.ok(&["network", "ls"]);
    others.iter().for_each(|other| assert_eq!(addresses(&ask_tcp(other, "c1.", RecordType::A)), c1));
    settles(before + 2 * others.len());
    // A namespace that is known by its resolver alone is entered as any other.
    host.ok(&["network", "create", "later"]);
    host.ok(&["network", "connect", "later", "c2"]);
    let links = others[0].inside(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    assert!(links.contains("eth1:"), "{links}");
    host.ok(&["network", "disconnect", "later", "c2"]);
    host.remove_containers();
    settles(before);
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
    // What is ours never leaves.
    for name in ["c1.", "c1.bridge.", "C1."] {
        ask(&c1, name, RecordType::A);
    }
    let asked = upstream.asked.lock().unwrap().clone();
    assert!(!asked.iter().any(|one| one.to_lowercase().starts_with("c1.")), "{asked:?}");
}

/// Asks over UDP from inside a container, with a message of the test's own.
fn exchange(container: &Netns, bytes: Vec<u8>) -> Message {
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

#[test]
fn a_network_that_is_called_like_a_domain_hides_nothing_of_it() {
    let host = Host::new();
    let upstream = Upstream::start(&host.outside);
    for name in ["dev", "example.org"] {
        host.ok(&["network", "create", name]);
    }
    let c1 = start(&host, "c1", &["--network", "dev", "--network", "example.org", "--dns", UPSTREAM]);
    for name in ["pkg.go.dev.", "go.dev.", "www.example.org.", "nobody.bridge."] {
        assert_eq!(addresses(&ask(&c1, name, RecordType::A)), ["192.0.2.99"], "{name}");
    }
    // What is there is ours, in both, and other types of it are nobody else's.
    assert_eq!(addresses(&ask(&c1, "c1.dev.", RecordType::A)), [host.address("c1", "dev")]);
    assert_eq!(addresses(&ask(&c1, "c1.example.org.", RecordType::A)), [host.address("c1", "example.org")]);
    ask(&c1, "c1.dev.", RecordType::TXT);
    let asked = upstream.asked.lock().unwrap().clone();
    assert!(!asked.iter().any(|one| one.starts_with("c1.")), "{asked:?}");
}

#[test]
fn bits_pass_both_ways_and_an_unknown_version_is_answered_as_such() {
    use hickory_proto::op::Edns;
    let host = Host::new();
    Upstream::start(&host.outside);
    let c1 = start(&host, "c1", &["--dns", UPSTREAM]);
    let mut query = Message::from_vec(&question("signed.example.org.", RecordType::A)).unwrap();
    assert!(!exchange(&c1, query.to_vec().unwrap()).metadata.authentic_data);
    query.metadata.checking_disabled = true;
    let mut edns = Edns::new();
    edns.set_dnssec_ok(true);
    query.edns = Some(edns.clone());
    // Not the answer that was kept for the plain question.
    let answer = exchange(&c1, query.to_vec().unwrap());
    assert!(answer.metadata.authentic_data && answer.metadata.checking_disabled, "{answer:?}");
    assert!(answer.edns.as_ref().unwrap().flags().dnssec_ok, "{answer:?}");
    edns.set_version(7);
    query.edns = Some(edns);
    for name in ["signed.example.org.", "c1."] {
        query.queries = vec![Query::query(Name::from_ascii(name).unwrap(), RecordType::A)];
        let answer = exchange(&c1, query.to_vec().unwrap());
        // 16 is BADVERS here, and BADSIG beside a signature (RFC 6895, 2.3).
        assert_eq!((u16::from(answer.metadata.response_code), answer.answers.len()), (16, 0), "{name}");
        assert_eq!(answer.edns.unwrap().version(), 0);
    }
}

#[test]
fn single_labels_go_where_a_resolver_would_take_them() {
    let mut host = Host::new();
    let upstream = Upstream::start(&host.outside);
    // With a search domain: found there, under its whole name; the container's own names come first, and never leave.
    let c1 = start(&host, "c1", &["--dns", UPSTREAM, "--dns-search", "corp.example", "--network-alias", "db"]);
    let found = ask(&c1, "intra.", RecordType::A);
    assert_eq!(found.answers.last().unwrap().data.to_string(), "192.0.2.99", "{found:?}");
    assert_eq!(found.answers[0].data.to_string(), "intra.corp.example.");
    assert_eq!(addresses(&ask(&c1, "c1.", RecordType::A)), [host.address("c1", "bridge")]);
    // As programs ask, by glibc; musl does not search where `ndots:0` says that a name is whole, and asks as above.
    let said = host.ok(&["exec", "c1", "ping", "-c", "1", "-W", "1", "-q", "c1"]);
    assert!(said.contains("1 packets received") || said.contains("1 received"), "{said}");
    let asked = upstream.asked.lock().unwrap().clone();
    assert!(asked.iter().any(|one| one == "intra.corp.example. A"), "{asked:?}");
    assert!(!asked.iter().any(|one| one.starts_with("c1.") || one.starts_with("db.")), "{asked:?}");
    // `--dns` names a server that may know it bare.
    let c2 = start(&host, "c2", &["--dns", UPSTREAM, "--dns-search", "."]);
    assert_eq!(addresses(&ask(&c2, "router.", RecordType::A)), ["192.0.2.99"]);
    // The host's own servers are not told which names are asked for in here; what means a domain is asked.
    host.kill_netd();
    host.configure(&format!("[dns]\nservers = [\"{UPSTREAM}\"]\n"));
    let c3 = start(&host, "c3", &["--dns-search", "."]);
    assert_eq!(ask(&c3, "secret.", RecordType::A).metadata.response_code, ResponseCode::NXDomain);
    ask(&c3, "com.", RecordType::NS);
    let asked = upstream.asked.lock().unwrap().clone();
    assert!(!asked.iter().any(|one| one.starts_with("secret.")), "{asked:?}");
    assert!(asked.iter().any(|one| one == "com. NS"), "{asked:?}");
}

#[test]
fn an_answer_that_is_cut_over_tcp_too_is_a_failure() {
    let host = Host::new();
    Upstream::start(&host.outside);
    let c1 = start(&host, "c1", &["--dns", UPSTREAM]);
    for ask in [ask, ask_tcp] {
        assert_eq!(ask(&c1, "cut.example.org.", RecordType::A).metadata.response_code, ResponseCode::ServFail);
    }
}

#[test]
fn idle_connections_do_not_shut_out_the_next_question() {
    let host = Host::new();
    let c1 = start(&host, "c1", &[]);
    let silent: Vec<TcpStream> = c1.inside(|| (0..40).map(|_| TcpStream::connect(RESOLVER).unwrap()).collect());
    assert_eq!(addresses(&ask_tcp(&c1, "c1.", RecordType::A)), [host.address("c1", "bridge")]);
    drop(silent);
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
