//! `make bench-overlay`: how fast frames travel beside a bare VXLAN link, how soon a name is known on another host, and
//! a cluster of simulated hosts that write to a real etcd.

use netd::cluster::{Cluster as Client, Identity, Own, Snapshot};
use netd::store::etcd::EtcdConfig;
use netd_api::{ContainerId, NetworkId};
use netd_core::model::Network;
use netd_core::schema::Endpoint;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tests::cluster::{Cluster, STORE};
use tests::{Netns, eventually};

const ROUNDS: usize = 7;
/// Claims that took longer than a command waits, and were made again.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// `bench overlay [HOSTS CONTAINERS]`: so many simulated hosts with so many containers each; 100 and 50 by default. All
/// of them live in this one process: the figures say something about etcd only as long as the machine has cores for
/// both.
pub fn main() {
    let number = |at, default| std::env::args().nth(at).map_or(default, |text| text.parse().expect("a number"));
    travel();
    simulate(number(2, 100), number(3, 50));
}

/// Throughput and latency over two hosts on one segment, interleaved with a VXLAN link without anything around it.
fn travel() {
    let cluster = Cluster::new(2, false);
    cluster.hosts[0].ok(&["network", "create", "-d", "overlay", "--subnet", "10.4.0.0/16", "mesh"]);
    cluster.sleeper(0, "c1", &["--network", "mesh"]);
    eventually("the network is there", || cluster.hosts[1].rcr(&["network", "inspect", "mesh"]).code == 0);
    cluster.sleeper(1, "c2", &["--network", "mesh"]);
    eventually("by name", || cluster.pings(1, "c2", "c1"));
    for (i, peer) in [(0, 12), (1, 11)] {
        let netns = &cluster.hosts[i].netns;
        // A port of its own, from the same addresses; 1450 bytes as the overlay has.
        netns.ip(&format!(
            "link add bare0 type vxlan id 77 remote 192.0.2.{peer} local 192.0.2.{} dstport 14789 dev lan0",
            11 + i
        ));
        netns.ip(&format!("addr add 10.99.0.{}/24 dev bare0", i + 1));
        netns.ip("link set bare0 mtu 1450 up");
    }
    let [first, second] = ["c1", "c2"].map(|name| usize::from(name == "c2"));
    let inside = [("c1", first), ("c2", second)].map(|(name, i)| cluster.hosts[i].container_netns(name));
    let overlay: IpAddr = cluster.hosts[0].address("c1", "mesh").parse().unwrap();
    let bare = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
    let ways = [
        ("overlay, container to container", &inside[0], &inside[1], overlay),
        ("a bare VXLAN link, host to host", &cluster.hosts[0].netns, &cluster.hosts[1].netns, bare),
        (
            "the segment itself, host to host",
            &cluster.hosts[0].netns,
            &cluster.hosts[1].netns,
            "192.0.2.11".parse().unwrap(),
        ),
    ];
    let mut rates = vec![Vec::new(); ways.len()];
    let mut trips = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for (i, (_, to, from, address)) in ways.iter().enumerate() {
            let (rate, trip) = transfer(to, from, *address);
            rates[i].push(rate);
            trips[i].push(trip);
        }
    }
    let middle = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let rates: Vec<f64> = rates.into_iter().map(middle).collect();
    println!("{:<36} {:>8} {:>8} {:>12}", "TCP, one stream", "Gbit/s", "ratio", "round trip");
    for ((name, ..), (rate, trip)) in ways.iter().zip(rates.iter().zip(trips)) {
        println!("{name:<36} {rate:>8.2} {:>8.2} {:>9.0} us", rate / rates[1], middle(trip));
    }
    names(&cluster);
}

/// Gbit/s of one stream in one second, and the middle round trip of one byte in microseconds.
fn transfer(to: &Netns, from: &Netns, address: IpAddr) -> (f64, f64) {
    let listener = to.inside(move || TcpListener::bind(SocketAddr::new(address, 0)).expect("a port"));
    let at = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0u8; 1 << 20];
        for _ in 0..1000 {
            stream.read_exact(&mut buffer[..1]).unwrap();
            stream.write_all(&buffer[..1]).unwrap();
        }
        let (begin, mut bytes) = (Instant::now(), 0usize);
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            bytes += n;
        }
        bytes as f64 * 8.0 / 1e9 / begin.elapsed().as_secs_f64()
    });
    let mut stream =
        from.inside(move || TcpStream::connect_timeout(&at, Duration::from_secs(3)).expect("the other end"));
    stream.set_nodelay(true).unwrap();
    let mut trips: Vec<f64> = (0..1000)
        .map(|_| {
            let begin = Instant::now();
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    trips.sort_by(f64::total_cmp);
    let (chunk, begin) = (vec![0u8; 1 << 20], Instant::now());
    while begin.elapsed() < Duration::from_secs(1) {
        stream.write_all(&chunk).unwrap();
    }
    drop(stream);
    (server.join().unwrap(), trips[trips.len() / 2])
}

/// From the moment `rcr run` is typed on one host until its name is answered on another, and how long the `run` itself
/// took.
fn names(cluster: &Cluster) {
    let asker = cluster.hosts[1].container_netns("c2");
    let mut took: Vec<(Duration, Duration)> = Vec::new();
    for round in 0..15 {
        let name = format!("n{round}");
        let begin = Instant::now();
        cluster.sleeper(0, &name, &["--network", "mesh"]);
        let ran = begin.elapsed();
        while !resolves(&asker, &name) {
            std::thread::sleep(Duration::from_micros(500));
        }
        took.push((begin.elapsed(), ran));
        cluster.hosts[0].ok(&["rm", "-f", &name]);
    }
    took.sort();
    let (name, ran) = took[took.len() / 2];
    println!(
        "`rcr run -d` on one host until its name is answered on another: {name:.1?} (the `run` itself {ran:.1?}), worst {:.1?}",
        took[took.len() - 1].0
    );
}

/// One question for an A record (RFC 1035) to the resolver inside.
fn resolves(netns: &Netns, name: &str) -> bool {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.len() as u8];
    query.extend(name.as_bytes());
    query.extend([0, 0, 1, 0, 1]);
    netns.inside(move || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
        socket.send_to(&query, "127.0.0.11:53").expect("a resolver");
        let mut answer = [0u8; 512];
        // The number of answers is the fourth 16-bit word.
        socket.recv(&mut answer).is_ok_and(|n| n > 12 && answer[6..8] != [0, 0])
    })
}

struct Host {
    client: Client,
    own: Own,
}

/// Hosts that exist only as clients of a real etcd, in one process.
fn simulate(count: u32, containers: u32) {
    let cluster = Cluster::new(0, false);
    let runtime = cluster.store.inside(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().expect("a runtime")
    });
    let network = network();
    println!("\n{count} simulated hosts with {containers} containers each, one etcd:");
    let hosts: Vec<Host> = (0..count).map(|i| host(&runtime, i)).collect();
    let all_there = |hosts: &[Host], what: &str, check: &dyn Fn(&Snapshot) -> bool| {
        let begin = Instant::now();
        while !hosts.iter().all(|host| check(&host.client.snapshot())) {
            assert!(begin.elapsed() < Duration::from_secs(300), "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let begin = Instant::now();
    all_there(&hosts, "all are alive", &|s| s.alive.len() == count as usize);
    println!("  all hosts know each other after               {:.2?}", begin.elapsed());
    eventually("the network is claimed", || {
        hosts[0].client.claim_network(network.clone()).is_ok() || !hosts[0].client.snapshot().networks.is_empty()
    });

    let begin = Instant::now();
    let hosts: Vec<Host> = fill(hosts, &network, containers);
    let claimed = begin.elapsed();
    let total = (count * containers) as usize;
    all_there(&hosts, "all containers are known", &|s| s.endpoints.size() == total);
    println!(
        "  {total} addresses claimed and published after      {claimed:.2?}, known everywhere after {:.2?}",
        begin.elapsed()
    );
    println!("    claims that took longer than a command waits (5 s): {}", REFUSED.load(Ordering::Relaxed));
    traffic(&cluster, "since the start");
    let snapshot = hosts[0].client.snapshot();
    let peers = snapshot.peers(&network.id, &hosts[0].client.own.node);
    let plan = netd_core::drivers::overlay::peers(&network, &peers, Some(hosts[0].client.own.address));
    println!("  kernel entries of other hosts' containers on one host: {}", plan.steps.len());

    // Every container is restarted: a new MAC each, all at once.
    let begin = Instant::now();
    let mut hosts = hosts;
    for host in &mut hosts {
        host.own.endpoints.values_mut().for_each(|endpoint| endpoint.mac.0[1] ^= 0xff);
        host.client.publish(host.own.clone());
    }
    all_there(&hosts, "all restarts are known", &|s| s.endpoints.values().all(|e| e.mac.0[1] == 0xff));
    println!("  mass restart of all containers, known everywhere after {:.2?}", begin.elapsed());
    traffic(&cluster, "with it");

    // Every netd is restarted, with its containers running.
    let owns: Vec<Own> = hosts.into_iter().map(|host| host.own).collect();
    let begin = Instant::now();
    let hosts: Vec<Host> = owns.into_iter().zip(0..).map(|(own, i)| host_with(&runtime, i, own)).collect();
    all_there(&hosts, "all are there again", &|s| s.endpoints.size() == total && s.alive.len() == count as usize);
    println!("  all netds restarted, all known everywhere after {:.2?}", begin.elapsed());
    traffic(&cluster, "with it");
}

fn network() -> Network {
    let id = "a".repeat(64);
    serde_json::from_value(serde_json::json!({
        "id": id, "name": "mesh", "driver": netd_api::DriverSpec::Overlay(netd_api::OverlayOptions::default()),
        "internal": false, "ipv6": false, "shared": true, "created": 0, "predefined": false, "labels": {},
        "interface": format!("br-{}", &id[..12]), "mac": "02:00:00:00:00:01",
        "subnets": [netd_core::model::Subnet {
            subnet: "10.4.0.0/16".parse().unwrap(), gateway: "10.4.0.1".parse().ok(), ip_range: None, aux_addresses: [].into(),
        }],
    }))
    .expect("a network")
}

fn host(runtime: &tokio::runtime::Runtime, number: u32) -> Host {
    host_with(runtime, number, Own::default())
}

fn host_with(runtime: &tokio::runtime::Runtime, number: u32, own: Own) -> Host {
    let identity = Identity {
        node: format!("{number:032x}").parse().unwrap(),
        name: format!("node{number}"),
        address: Ipv4Addr::from(0xc612_0000 + number).into(),
    };
    let config = EtcdConfig { endpoints: vec![format!("{STORE}:2379")], ..EtcdConfig::default() };
    let known = (Snapshot::default(), own.clone());
    Host { client: Client::start(runtime, config, identity, known, |_: Arc<Snapshot>| {}, |_| {}), own }
}

/// Each host starts its containers one by one, all hosts at once.
fn fill(hosts: Vec<Host>, network: &Network, containers: u32) -> Vec<Host> {
    let threads = hosts.into_iter().zip(0u32..).map(|(mut host, number)| {
        let network = network.clone();
        std::thread::spawn(move || {
            while host.client.snapshot().networks.is_empty() {
                std::thread::sleep(Duration::from_millis(5));
            }
            host.own.at.insert(network.id.clone());
            host.own.networks.insert(network.id.clone(), network.clone());
            for box_ in 0..containers {
                start(&mut host, &network.id, number * containers + box_);
            }
            host
        })
    });
    let threads: Vec<_> = threads.collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn start(host: &mut Host, network: &NetworkId, number: u32) {
    let id: ContainerId = format!("{number:064x}").parse().unwrap();
    let name = format!("c{number}");
    let mut requests = [netd_api::AttachmentRequest::to("mesh")];
    // Hosts that all start at once wait for each other: a claim may be refused for time, as it is for a user.
    let claimed = loop {
        match host.client.claim_addresses(&id, &name, &mut requests) {
            Ok(claimed) => break claimed,
            Err(_) => drop(REFUSED.fetch_add(1, Ordering::Relaxed)),
        }
    };
    let bytes = number.to_be_bytes();
    let endpoint = Endpoint {
        name,
        aliases: Vec::new(),
        addresses: requests[0].ip.map(IpAddr::V4).into_iter().collect(),
        mac: netd_api::Mac([2, 0, bytes[0], bytes[1], bytes[2], bytes[3]]),
        withheld: false,
    };
    host.own.endpoints.insert((network.clone(), id), endpoint);
    host.client.publish(host.own.clone());
    drop(claimed);
}

/// What etcd says of itself: the size of its data, and what it has sent.
fn traffic(cluster: &Cluster, when: &str) {
    let metrics = cluster.store.tcp(&format!("{STORE}:2379"), "GET /metrics HTTP/1.0\r\n\r\n").unwrap_or_default();
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with(' '));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    println!(
        "    store {:.1} MB in use, {} keys; etcd has sent {:.0} MB {when} (counted from its start)",
        value("etcd_mvcc_db_total_size_in_use_in_bytes") / 1e6,
        cluster.etcd_count("/rcr/v1/"),
        value("etcd_network_client_grpc_sent_bytes_total") / 1e6,
    );
}
