//! `network capture`: what is sent is heard where it passes, by names, and the file is read by somebody else's program.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command};
use tests::Host;
use tests::host::{exec, pings, sleeper};

/// A capture that has begun.
struct Listening {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

fn listen(host: &Host, args: &[&str]) -> Listening {
    let mut child = host.spawn(&[&["network", "capture"], args].concat());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.starts_with("listening at "), "{said}");
    Listening { child, stderr }
}

impl Listening {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Its output, what it said at its end, and its exit code.
    fn end(mut self) -> (String, String, i32) {
        let (mut out, mut said) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.stderr.read_to_string(&mut said).unwrap();
        (out, said, self.child.wait().unwrap().code().unwrap_or(-1))
    }
}

fn two(host: &Host) {
    host.ok(&["network", "create", "--subnet", "10.9.0.0/24", "blue"]);
    sleeper(host, "c1", &["--network", "blue", "--ip", "10.9.0.11"]);
    sleeper(host, "c2", &["--network", "blue", "--ip", "10.9.0.12"]);
}

#[test]
fn packets_are_heard_by_name_and_no_more_than_were_asked_for() {
    let host = Host::new();
    two(&host);
    let before = host.snapshot();
    let heard = listen(&host, &["-c", "2", "--duration", "60s", "c1", "icmp", "and", "host", "c2"]);
    assert!(pings(&host, "c1", "10.9.0.1") && pings(&host, "c1", "c2"));
    let (out, said, code) = heard.end();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines.len()), (0, 2), "{out}{said}");
    assert!(lines[0].contains("  c1 → c2  ICMP echo request "), "{out}");
    assert!(lines[1].contains("  c2 → c1  ICMP echo reply "), "{out}");
    assert_eq!(said, "2 packets: as many as were asked for\n");
    // A bridge hands frames between its ports to whoever listens at it, too.
    let heard = listen(&host, &["-c", "1", "-n", "blue", "src host c2 and icmp"]);
    assert!(pings(&host, "c1", "c2"));
    let (out, _, code) = heard.end();
    assert!(code == 0 && out.contains("  10.9.0.12 → 10.9.0.11  ICMP echo reply "), "{out}");
    // Ports, and who is called what, in the other direction.
    let heard = listen(&host, &["-c", "3", "c2", "tcp port 9"]);
    exec(&host, "c1", "nc -w 1 c2 9 || true");
    assert!(pings(&host, "c1", "c2"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    heard.signal(Signal::SIGINT);
    let (out, said, code) = heard.end();
    assert!(out.contains(" → c2:9  TCP SYN  ") && out.contains("  c2:9 → c1:"), "{out}");
    assert!(out.contains("TCP RST ACK") && !out.contains("ICMP"), "{out}");
    assert_eq!((code, said.as_str()), (0, "2 packets: you ended it\n"));
    // Nothing is left: no link hears all any more.
    let links = host.netns.run("ip -d link") + &host.container_netns("c1").run("ip -d link show eth0");
    assert!(!links.contains("PROMISC"), "{links}");
    before.assert_restored(&host);
}

#[test]
fn a_capture_ends_by_itself_and_when_its_link_goes() {
    let host = Host::new();
    two(&host);
    let (out, said, code) = listen(&host, &["--duration", "300ms", "c1", "port 7"]).end();
    assert_eq!((out.as_str(), said.as_str(), code), ("", "0 packets: the time is over\n", 0));
    let heard = listen(&host, &["c1", "port 7"]);
    host.ok(&["rm", "-f", "c1"]);
    let (_, said, code) = heard.end();
    assert_eq!((said.as_str(), code), ("0 packets: link `eth0` is down or gone\n", 0));
    // netd is needed to begin, not to go on.
    let heard = listen(&host, &["-c", "1", "blue", "dst host c2 and icmp"]);
    host.kill_netd();
    host.ok(&["exec", "c2", "true"]);
    assert!(host.netns.try_run("ping -c 1 -W 2 10.9.0.12").status.success());
    let (out, _, code) = heard.end();
    assert!(code == 0 && out.contains("  host → c2  ICMP echo request"), "{out}");
}

/// What Wireshark's own program reads out of a file: these fields, a line for each packet.
fn tshark(file: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    // Names come from the file alone.
    command.args(["-o", "nameres.network_name:TRUE", "-o", "nameres.dns_pkt_addr_resolution:FALSE"]);
    command.args(["-o", "nameres.use_external_name_resolver:FALSE", "-N", "n", "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let ran = command.arg("-r").arg(file).env("HOME", "/nonexistent").output().expect("tshark is needed");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn a_file_is_read_by_wireshark_with_names_and_comments() {
    let host = Host::new();
    two(&host);
    host.ok(&["network", "create", "--subnet", "10.8.0.0/24", "--ipv6", "--subnet", "fd08::/64", "green"]);
    host.ok(&["network", "connect", "green", "c1"]);
    sleeper(&host, "c3", &["--network", "green"]);
    // A container that has just come tells all of its IPv6 address: that is no talk between two.
    let file = host.scratch().join("c1.pcapng");
    let heard =
        listen(&host, &["-w", file.to_str().unwrap(), "-c", "4", "c1", "icmp and host c1 and (host c2 or host c3)"]);
    assert!(pings(&host, "c1", "10.9.0.12"));
    let v6 = host.inspect("c3", "/NetworkSettings/Networks/green/GlobalIPv6Address").as_str().unwrap().to_owned();
    assert!(pings(&host, "c1", &v6));
    let (out, said, code) = heard.end();
    assert_eq!((out.as_str(), code), ("", 0));
    assert_eq!(said, format!("4 packets in `{}`: as many as were asked for\n", file.display()));
    let fields = ["frame.interface_name", "ip.src_host", "ip.dst_host", "ipv6.dst_host", "frame.comment", "frame.len"];
    let read = tshark(&file, &fields);
    assert_eq!(read.len(), 4, "{read:?}");
    assert_eq!(read[0][..4], ["eth0", "c1", "c2", ""], "{read:?}");
    assert!(read[0][4].starts_with("c1 → c2  ICMP echo request"), "{read:?}");
    assert_eq!(read[0][5], "98");
    assert!(read.iter().any(|one| one[0] == "eth1" && one[3] == "c3" && one[4].starts_with("c1 → c3")), "{read:?}");
    // As a stream for another program; a reader that is gone ends it.
    let stream = host.scratch().join("stream.pcapng");
    let mut heard = listen(&host, &["-w", "-", "-c", "1", "--network", "blue", "c1", "icmp"]);
    assert!(pings(&host, "c1", "c2"));
    let mut bytes = Vec::new();
    heard.child.stdout.as_mut().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(heard.child.wait().unwrap().code(), Some(0));
    std::fs::write(&stream, bytes).unwrap();
    assert_eq!(tshark(&stream, &["ip.src_host"]), [["c1"]]);
    let mut heard = listen(&host, &["c1"]);
    drop(heard.child.stdout.take());
    assert_eq!(heard.child.wait().unwrap().code(), Some(141));
}

/// As many links at once as a container can have reason for: one packet of each.
#[test]
fn all_links_of_a_container_are_heard_at_once() {
    const NETWORKS: u8 = 12;
    let host = Host::new();
    let mut flags: Vec<String> = Vec::new();
    for n in 0..NETWORKS {
        host.ok(&["network", "create", "--subnet", &format!("10.9.{n}.0/24"), &format!("net{n}")]);
        flags.extend(["--network".to_owned(), format!("net{n}")]);
    }
    sleeper(&host, "c1", &flags.iter().map(String::as_str).collect::<Vec<_>>());
    let count = NETWORKS.to_string();
    let heard = listen(&host, &["-n", "-c", &count, "--duration", "60s", "c1", "icmp and src host c1"]);
    for n in (0..NETWORKS).rev() {
        assert!(pings(&host, "c1", &format!("10.9.{n}.1")));
    }
    let (out, said, code) = heard.end();
    assert_eq!((code, out.lines().count()), (0, usize::from(NETWORKS)), "{out}{said}");
    for n in 0..NETWORKS {
        assert_eq!(out.matches(&format!("→ 10.9.{n}.1 ")).count(), 1, "{out}");
    }
}

#[test]
fn what_can_not_be_heard_is_told_and_leaves_no_file() {
    let host = Host::new();
    two(&host);
    host.ok(&["network", "create", "-d", "macvlan", "--subnet", "10.7.0.0/24", "-o", "parent=up0", "lan"]);
    sleeper(&host, "at-home", &["--network", "host"]);
    host.ok(&["create", "--name", "asleep", "--network", "blue", "alpine", "true"]);
    let file = host.scratch().join("none.pcapng");
    for (args, part) in [
        (vec!["no-such"], "no container and no network is called so"),
        (vec!["asleep"], "it is not running"),
        (vec!["at-home"], "no network that gives it a link of its own"),
        (vec!["host"], "it has no link on the host"),
        (vec!["--network", "bridge", "c1"], "is not on network `bridge`"),
        (vec!["--network", "blue", "no-such"], "no-such"),
        (vec!["c1", "tpc"], "`tpc` is no test"),
        (vec!["c1", "host", "nobody"], "nobody is called `nobody`"),
        (vec!["--duration", "soon", "c1"], "is not a span"),
    ] {
        let said = host.refused(&[&["network", "capture", "-w", file.to_str().unwrap()], &args[..]].concat());
        assert!(said.contains(part), "{args:?}: {said}");
        assert!(!file.exists(), "{args:?}");
    }
    let said = host.refused(&["network", "capture", "-w", "/no/such/folder/x", "c1"]);
    assert!(said.contains("(ENOENT)"), "{said}");
    sleeper(&host, "m1", &["--network", "lan"]);
    let mut heard = listen(&host, &["--duration", "200ms", "lan", "port 7"]);
    let mut note = String::new();
    heard.stderr.read_line(&mut note).unwrap();
    assert!(note.starts_with("note: packets between containers") && note.contains("`up0`"), "{note}");
    assert_eq!(heard.end().2, 0);
}
