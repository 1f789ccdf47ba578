//! `bench packets`: how fast packets pass beside a bare veth pair and bridge, with and without a table that translates.
//!
//! Each contender has a host, which is a network namespace, of its own, so that nobody crosses another's rules. They
//! take turns, and a ratio is that of one turn: what else the machine does meanwhile concerns all of them.

use crate::pair::Pair;
use crate::table::{Row, Table};
use std::any::Any;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use tests::{Host, Netns};

/// How long one contender works in a turn.
const TURN: Duration = Duration::from_millis(400);
/// Clients at once.
const CLIENTS: usize = 8;
/// A request and its answer, in bytes.
const REQUEST: usize = 100;
const ANSWER: usize = 200;

/// Two containers, and somebody outside who reaches the second by a published port.
struct Contender {
    name: &'static str,
    near: Netns,
    far: Netns,
    outside: Netns,
    at: SocketAddr,
    published: Option<SocketAddr>,
    /// What ends with it.
    _keeps: Option<Box<dyn Any>>,
    host: Netns,
}

#[derive(Clone, Copy, PartialEq)]
enum Work {
    Connections,
    Requests,
    Stream,
}

impl Work {
    fn unit(self) -> &'static str {
        if self == Work::Stream { "Gbit/s" } else { "1/s" }
    }
}

/// `rounds`: turns of each contender in each row.
pub fn main(rounds: usize) {
    let bare = [bare("bare veth and bridge", false), bare("the same, with a nat table", true)];
    let ours = [rcr("rcr", &[]), rcr("rcr, redirect_peer=true", &["-o", "redirect_peer=true"])];
    compare(rounds, &bare.into_iter().chain(ours).chain(podman()).collect::<Vec<_>>());
}

/// `bench flows`: what a flow table (nf_flow_table) brings to published ports, on a kernel that has it.
pub fn flows(rounds: usize) {
    let fast = bare("with a nat and a flow table", true);
    fast.host.run("nft add flowtable ip bench fast { hook ingress priority 0 ; devices = { pub0 , v3 } ; }");
    fast.host.run("nft add chain ip bench forward { type filter hook forward priority 0 ; }");
    fast.host.run("nft add rule ip bench forward ct state established flow add @fast");
    compare(rounds, &[bare("bare veth and bridge, a nat table", true), fast]);
}

fn compare(rounds: usize, contenders: &[Contender]) {
    let rows = [("Connections", Work::Connections), ("Keep-alive requests", Work::Requests), ("TCP", Work::Stream)];
    for (name, work) in rows {
        row(&format!("{name}, between containers"), work, rounds, contenders, &|c| Some((&c.near, c.at)));
        row(&format!("{name}, published"), work, rounds, contenders, &|c| Some((&c.outside, c.published?)));
    }
}

/// Thousands of connections a second would soon leave no port that is not in TIME-WAIT, and the search for one would be
/// all that is measured.
fn forgetful(netns: &Netns) {
    netns.run("sysctl -qw net.ipv4.tcp_max_tw_buckets=512");
}

fn outside(host: &Netns) -> Netns {
    let outside = Netns::new();
    host.link("pub0", &outside, "out0");
    host.ip("addr add 192.0.2.1/24 dev pub0");
    host.ip("link set pub0 up");
    outside.ip("addr add 192.0.2.2/24 dev out0");
    outside.ip("link set out0 up");
    forgetful(&outside);
    outside
}

/// What the kernel alone has: a bridge, a veth pair for each container; and perhaps a table that publishes a port.
fn bare(name: &'static str, translates: bool) -> Contender {
    let host = Netns::new();
    let outside = outside(&host);
    host.run("sysctl -qw net.ipv4.ip_forward=1");
    host.ip("link add br0 type bridge");
    host.ip("addr add 10.9.0.1/24 dev br0");
    host.ip("link set br0 up");
    let [near, far] = [2, 3].map(|number| {
        let container = Netns::new();
        let port = format!("v{number}");
        host.link(&port, &container, "eth0");
        host.ip(&format!("link set {port} master br0 up"));
        container.ip(&format!("addr add 10.9.0.{number}/24 dev eth0"));
        container.ip("link set eth0 up");
        container.ip("route add default via 10.9.0.1");
        forgetful(&container);
        container
    });
    if translates {
        host.run("nft add table ip bench");
        host.run("nft add chain ip bench in { type nat hook prerouting priority -100 ; }");
        host.run("nft add rule ip bench in iifname pub0 tcp dport 8080 dnat to 10.9.0.3:80");
        host.run("nft add chain ip bench out { type nat hook postrouting priority 100 ; }");
        host.run("nft add rule ip bench out iifname br0 oifname != br0 masquerade");
    }
    let published = translates.then(|| SocketAddr::from(([192, 0, 2, 1], 8080)));
    let at = SocketAddr::from(([10, 9, 0, 3], 80));
    Contender { name, near, far, outside, at, published, _keeps: None, host }
}

fn rcr(name: &'static str, options: &[&str]) -> Contender {
    let host = Host::new();
    let outside = outside(&host.netns);
    host.ok(&[&["network", "create"], options, &["packets"]].concat());
    for (name, flags) in [("near", &[][..]), ("far", &["-p", "8080:80"])] {
        let head = ["run", "-d", "--name", name, "--network", "packets"];
        host.ok(&[&head[..], flags, &["alpine", "sleep", "100000"]].concat());
    }
    let [near, far] = ["near", "far"].map(|name| host.container_netns(name));
    [&near, &far].into_iter().for_each(forgetful);
    let at = SocketAddr::new(host.address("far", "packets").parse().expect("an address"), 80);
    let published = Some(SocketAddr::from(([192, 0, 2, 1], 8080)));
    let netns = host.netns.clone();
    Contender { name, near, far, outside, at, published, _keeps: Some(Box::new(host)), host: netns }
}

fn podman() -> Option<Contender> {
    let host = Netns::new();
    let outside = outside(&host);
    let (pair, [near, far], at) = Pair::start(&host)?;
    [&near, &far].into_iter().for_each(forgetful);
    let published = Some(SocketAddr::from(([192, 0, 2, 1], 8080)));
    Some(Contender { name: "podman", near, far, outside, at, published, _keeps: Some(Box::new(pair)), host })
}

type Way<'a> = &'a dyn Fn(&Contender) -> Option<(&Netns, SocketAddr)>;

fn row(name: &str, work: Work, rounds: usize, contenders: &[Contender], way: Way<'_>) {
    let taking: Vec<(&Contender, &Netns, SocketAddr)> =
        contenders.iter().filter_map(|c| way(c).map(|(from, to)| (c, from, to))).collect();
    let mut figures = vec![Vec::new(); taking.len()];
    for round in 0..rounds {
        // In turns from both ends: who comes first in a round comes last in the next.
        let mut order: Vec<usize> = (0..taking.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let (contender, from, to) = taking[at];
            figures[at].push(measure(work, &contender.far, from, contender.at.port(), to));
        }
    }
    let rows = taking.iter().zip(&figures).map(|((contender, ..), mine)| Row::new(contender.name, mine, &figures[0]));
    Table::new(name, work.unit(), rows.collect()).show();
}

/// What was done in a turn, per second.
fn measure(work: Work, far: &Netns, from: &Netns, port: u16, to: SocketAddr) -> f64 {
    let clients = if work == Work::Stream { 1 } else { CLIENTS };
    let listener = far.inside(move || TcpListener::bind(("0.0.0.0", port)).expect("a port in the container"));
    let server = std::thread::spawn(move || serve(&listener, work, clients));
    let begin = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let from = from.clone();
            std::thread::spawn(move || from.inside(move || ask(work, to, begin)))
        })
        .collect();
    let done: f64 = threads.into_iter().map(|thread| thread.join().expect("a client")).sum();
    let took = begin.elapsed().as_secs_f64();
    // One more connection ends the server.
    drop(from.inside(move || TcpStream::connect_timeout(&to, Duration::from_secs(3))));
    server.join().expect("the server");
    done / took
}

/// Connections are answered one after the other, others by a thread each, until the clients are through.
fn serve(listener: &TcpListener, work: Work, clients: usize) {
    let mut threads = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().expect("a connection");
        if work == Work::Connections {
            let mut request = [0; REQUEST];
            match stream.read_exact(&mut request) {
                Ok(()) => drop(stream.write_all(&[0; ANSWER])),
                // The one that ends it asks nothing.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
                Err(_) => {}
            }
        } else if threads.len() == clients {
            break;
        } else {
            threads.push(std::thread::spawn(move || answer(stream, work)));
        }
    }
    threads.into_iter().for_each(|thread| thread.join().expect("a server's thread"));
}

fn answer(mut stream: TcpStream, work: Work) {
    let _ = stream.set_nodelay(true);
    let mut buffer = vec![0; if work == Work::Stream { 1 << 17 } else { REQUEST }];
    while let Ok(1..) = stream.read(&mut buffer) {
        if work == Work::Requests && stream.write_all(&[0; ANSWER]).is_err() {
            return;
        }
    }
}

/// Works until the turn is over; returns what was done: connections, requests, or gigabits.
fn ask(work: Work, to: SocketAddr, begin: Instant) -> f64 {
    let connect = || {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(3)).expect("the other container");
        stream.set_nodelay(true).expect("an option of TCP");
        stream
    };
    let (mut done, mut answer, chunk) = (0.0, [0; ANSWER], vec![0; 1 << 17]);
    let mut stream = (work != Work::Connections).then(connect);
    while begin.elapsed() < TURN {
        if work == Work::Stream {
            stream.as_mut().expect("a connection").write_all(&chunk).expect("bytes go out");
            done += chunk.len() as f64 * 8e-9;
            continue;
        }
        let mut fresh;
        let stream = match &mut stream {
            Some(stream) => stream,
            None => {
                fresh = connect();
                &mut fresh
            }
        };
        stream.write_all(&[0; REQUEST]).expect("a request goes out");
        stream.read_exact(&mut answer).expect("an answer");
        done += 1.0;
    }
    done
}
