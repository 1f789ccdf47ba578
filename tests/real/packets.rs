//! Servers and tools near to the network: names, files, measurements, tunnels.
#![allow(clippy::unwrap_used)]

use tests::host::HOST_V4;
use tests::real::{Check, Life, Real, Row, SHELL};

#[test]
fn an_ftp_server() {
    let real = Real::new("vsftpd", &["vsftpd", "tools"]);
    // Each connection is a process in namespaces of its own, where it may; where not, it goes on without.
    let put = "tools sh -c 'echo data > /tmp/f && curl -sS -T /tmp/f ftp://ann:secret@ftp/f && curl -sS ftp://ann:secret@ftp/f'";
    let life = Life {
        name: "ftp",
        // As process 1 it dies of children that it did not start, and needs an init above it.
        start: &format!(
            "--init -p 21:21 -p 21100-21109:21100-21109 -e PASV_ADDRESS={HOST_V4} -v home:/home -e FTP_USER=ann -e FTP_PASSWORD=secret vsftpd"
        ),
        memory: 64,
        ready: ("exec ftp sh -c 'grep -q :0015 /proc/net/tcp && echo listens'", "listens"),
        by_name: Some((put, "data")),
        by_port: Some((21, b"QUIT\r\n", "220 (vsFTPd")),
        kept: Some(("run --rm --network app tools curl -sS ftp://ann:secret@ftp/f", "data")),
        log: Some("OK UPLOAD"),
        terminal: SHELL,
        // By init, which hands the signal on.
        stops: Some((143, "OK UPLOAD")),
        ..Life::default()
    };
    real.starts(&life);
    real.serves(&life);
    // Data comes on ports of their own, which are published, too.
    let said = real.host.outside.run(&format!("curl -sS ftp://ann:secret@{HOST_V4}/f"));
    assert_eq!(said.trim(), "data");
    real.row.saw("passive transfers by name and from outside");
    real.ends(&life);
    real.row.end();
}

#[test]
fn a_dns_server_on_port_53() {
    let real = Real::new("BIND", &["bind", "tools"]);
    let update =
        "printf \"server ns\\nzone kept.test\\nupdate add www.kept.test 60 A 192.0.2.99\\nsend\\n\" | nsupdate";
    let query = "\u{1}\u{2}\u{1}\0\0\u{1}\0\0\0\0\0\0\u{3}www\u{7}example\u{4}test\0\0\u{1}\0\u{1}";
    let life = Life {
        name: "ns",
        start: "-p 53:53/udp -p 53:53/tcp -v zones:/var/cache/bind bind",
        memory: 256,
        ready: ("run --rm --network app tools dig +short @ns www.example.test", "192.0.2.80"),
        by_name: Some(("tools dig +short +tcp @ns www.example.test", "192.0.2.80")),
        by_port: Some((53, &[b"\0\x22", query.as_bytes()].concat(), "example")),
        keep: Some(&format!("run --rm --network app tools sh -c '{update}'")),
        kept: Some(("run --rm --network app tools dig +short @ns www.kept.test", "192.0.2.99")),
        log: Some("running"),
        terminal: ("bash", "# ", "named-checkconf && echo fine-$((40+2))", "fine-42"),
        stops: Some((0, "exiting")),
    };
    real.starts(&life);
    real.serves(&life);
    // From outside, on the host's port 53.
    let answer = real.host.outside.udp(&format!("{HOST_V4}:53"), query).unwrap();
    assert!(answer.contains("example"), "{answer:?}");
    real.row.saw("over UDP and TCP, by name and from outside");
    // As another container's resolver.
    let address = real.host.address("ns", "app");
    let said = real.ok(&format!("run --rm --network app --dns {address} tools getent hosts www.example.test"));
    assert!(said.starts_with("192.0.2.80"), "{said}");
    real.row.saw("another container's --dns");
    real.ends(&life);
    real.row.end();
}

#[test]
fn iperf3_and_tcpdump() {
    let mut real = Real::package("iperf3", "iperf3", &["tools"]);
    let life = Life {
        name: "server",
        start: "-p 5201:5201 -p 5201:5201/udp tools iperf3 -s --forceflush",
        memory: 128,
        ready: ("logs server", "Server listening"),
        by_name: Some(("tools iperf3 -c server -t 1 -P 4", "receiver")),
        // A client's cookie; it asks for parameters then.
        by_port: Some((5201, b"abcdefghijklmnopqrstuvwxyz2345672345\0", "\t")),
        log: Some("Accepted connection"),
        terminal: ("sh", "# ", "iperf3 -c server -t 1", "receiver"),
        stops: Some((1, "the server has terminated")),
        ..Life::default()
    };
    real.starts(&life);
    real.serves(&life);
    real.until("run --rm --network app tools iperf3 -c server -t 1 -u -b 50M -R", "receiver");
    real.row.saw("TCP with four streams, UDP in reverse, by name");
    real.ends(&life);
    real.row.without(&[Check::Volume], "keeps nothing on a disk");
    real.row.end();

    real.row = Row::package("tcpdump", "tools", "tcpdump");
    real.ok("run -d --name server --network app tools sleep 1000");
    real.ok("run -d --name other --network container:server --cap-add NET_RAW tools tcpdump -l -n -i eth0 -c 2 icmp");
    real.until("logs other", "listening on eth0");
    real.until("run --rm --network app tools ping -c 3 -W 2 server", "3 received");
    real.until("logs other", "ICMP echo request");
    real.row.saw("with --cap-add NET_RAW, in another container's network");
    let life = Life {
        name: "dump",
        start: "--cap-add NET_RAW -v dumps:/dumps tools sh -c 'exec tcpdump -l -n -U -i eth0 --print -w /dumps/now icmp'",
        memory: 64,
        ready: ("logs dump", "listening on eth0"),
        keep: Some("exec dump cp /dumps/now /dumps/kept"),
        kept: Some(("exec dump tcpdump -n -r /dumps/kept", "ICMP echo request")),
        log: Some("ICMP echo request"),
        terminal: ("sh", "# ", "tcpdump -n -r /dumps/now", "ICMP echo request"),
        stops: Some((0, "packets received by filter")),
        ..Life::default()
    };
    real.starts(&life);
    real.until("run --rm --network app tools ping -c 3 -W 2 dump", "3 received");
    real.serves(&life);
    real.ends(&life);
    real.row.without(&[Check::Name, Check::Port], "no server");
    real.row.end();
}

const VPN: &str = "--cap-add NET_ADMIN --device /dev/net/tun";

#[test]
fn openvpn() {
    let real = Real::package("OpenVPN", "openvpn", &["tools"]);
    let keys = real.host.scratch().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let keys = keys.display();
    let openvpn = "tools openvpn --dev tun --secret /keys/key --cipher AES-256-CBC --proto udp";
    real.ok(&format!("run --rm -v {keys}:/keys tools openvpn --genkey secret /keys/key"));
    // The server's key comes by a volume.
    real.ok(&format!("run --rm -v server:/server -v {keys}:/keys:ro tools cp /keys/key /server/"));
    let life = Life {
        name: "server",
        start: &format!("{VPN} -p 1194:1194/udp -v server:/keys {openvpn} --ifconfig 10.9.0.1 10.9.0.2"),
        memory: 64,
        ready: ("logs server", "link remote"),
        kept: Some(("exec server head -n 4 /keys/key", "OpenVPN Static key")),
        log: Some("link local"),
        terminal: ("sh", "# ", "ip -br addr show tun0", "10.9.0.1"),
        stops: Some((0, "process exiting")),
        ..Life::default()
    };
    real.starts(&life);
    let client = format!("{openvpn} --ifconfig 10.9.0.2 10.9.0.1 --remote");
    real.ok(&format!("run -d --name client {VPN} --network app -v {keys}:/keys {client} server"));
    real.until("logs client", "Initialization Sequence Completed");
    real.until("exec client ping -c 1 -W 2 10.9.0.1", "1 received");
    real.row.holds(Check::Name);
    real.remove("client");
    let outside = Real { host: real.host.neighbour(), row: Row::package("OpenVPN", "tools", "openvpn") };
    tests::real::load(&outside.host, "tools");
    outside.ok(&format!("run -d --name client {VPN} --network host -v {keys}:/keys {client} {HOST_V4}"));
    outside.until("exec client ping -c 1 -W 2 10.9.0.1", "1 received");
    real.row.holds(Check::Port);
    outside.remove("client");
    real.row.saw("tunnels with --device /dev/net/tun and --cap-add NET_ADMIN");
    real.serves(&life);
    real.ends(&life);
    real.row.end();
}

#[test]
fn wireguard() {
    let real = Real::package("WireGuard (userspace)", "wireguard-go", &["tools"]);
    // Its key and its peers are in its volume.
    let up = |address: &str| {
        format!(
            "tools sh -c '(until ip link show wg0 2>/dev/null; do sleep 0.1; done; umask 077; \
             test -e /keys/conf || printf \"[Interface]\\nListenPort=51820\\nPrivateKey=$(wg genkey)\\n\" > /keys/conf; until wg setconf wg0 /keys/conf 2>/dev/null; do sleep 0.1; done; \
             ip addr add {address}/24 dev wg0; ip link set wg0 up; echo is-up) & LOG_LEVEL=verbose exec wireguard-go -f wg0'"
        )
    };
    let life = Life {
        name: "one",
        start: &format!("{VPN} -p 51820:51820/udp -v one:/keys {}", up("10.8.0.1")),
        memory: 64,
        ready: ("logs one", "is-up"),
        keep: Some("exec one sh -c 'wg showconf wg0 > /keys/conf'"),
        kept: Some(("exec one wg show wg0", "10.8.0.2/32")),
        log: Some("UAPI listener started"),
        terminal: ("sh", "# ", "wg show wg0 | grep -c peer", "\n1"),
        stops: Some((0, "Shutting down")),
        ..Life::default()
    };
    real.starts(&life);
    let outside = Real { host: real.host.neighbour(), row: Row::package("WireGuard", "tools", "wireguard-go") };
    tests::real::load(&outside.host, "tools");
    for (client, network, endpoint, check) in
        [(&real, "app", "one", Check::Name), (&outside, "host", HOST_V4, Check::Port)]
    {
        client.ok(&format!("run -d --name two {VPN} --network {network} -v two:/keys {}", up("10.8.0.2")));
        client.until("logs two", "is-up");
        let key = |of: &Real, name: &str| of.ok(&format!("exec {name} wg show wg0 public-key"));
        let (one, two) = (key(&real, "one"), key(client, "two"));
        real.ok(&format!("exec one wg set wg0 peer {two} allowed-ips 10.8.0.2/32"));
        client.ok(&format!("exec two wg set wg0 peer {one} endpoint {endpoint}:51820 allowed-ips 10.8.0.0/24"));
        client.until("exec two ping -c 1 -W 2 10.8.0.1", "1 received");
        real.row.holds(check);
        client.remove("two");
        if check == Check::Name {
            real.ok(&format!("exec one wg set wg0 peer {two} remove"));
        }
    }
    real.row.saw("tunnels with --device /dev/net/tun and --cap-add NET_ADMIN");
    real.serves(&life);
    real.ends(&life);
    real.row.end();
}
