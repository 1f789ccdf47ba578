//! Tools of administrators: logins, timers, other users, packets, debuggers.
#![allow(clippy::unwrap_used)]

use tests::host::HOST_V4;
use tests::real::{Real, Row};
use tests::terminal::Terminal;

#[test]
fn sshd_with_a_login() {
    let real = Real::new("OpenSSH", &["sshd", "tools"]);
    real.ok("network create app");
    real.ok("run -d --name ssh --network app -p 2222:22 -e SSH_USER=ann -e SSH_PASSWORD=secret sshd");
    real.outside(2222, "SSH-2.0-x\r\n", "SSH-2.0-OpenSSH");
    real.row.saw("published port");
    let client = "run --rm --network app tools sshpass -p secret ssh -o StrictHostKeyChecking=no ann@ssh";
    assert_eq!(real.ok(&format!("{client} id -un")), "ann");
    real.row.saw("a client finds it by name");
    // An interactive login: PAM, a terminal, the record of logins.
    let line = "run --rm -it --network app tools sshpass -p secret ssh -tt -o StrictHostKeyChecking=no ann@ssh";
    real.on_terminal(line, "$ ", "tty; echo in-$((40+2))", "in-42");
    real.row.saw("a login on a terminal");
    real.ok("run --rm --network app tools sh -c 'echo data > /tmp/f && sshpass -p secret scp -o StrictHostKeyChecking=no /tmp/f ann@ssh:/tmp/f && \
             sshpass -p secret sftp ann@ssh < /dev/null'");
    assert_eq!(real.ok("exec ssh cat /tmp/f"), "data");
    real.row.saw("scp and sftp");
    real.logs("ssh", "Accepted password for ann");
    real.stops("ssh", 0, "Received signal 15; terminating.");
    real.row.end();
}

#[test]
fn ping_as_any_user() {
    let real = Real::new("ping", &["tools"]);
    // Debian's has file capabilities, which any user gets.
    for user in ["0", "1000:1000", "nobody"] {
        real.ok(&format!("run --rm -u {user} tools ping -c 1 -W 5 127.0.0.1"));
    }
    real.ok("network create app");
    real.ok("run -d --name peer --network app tools sleep 1000");
    real.ok("run --rm -u 1000 --network app tools ping -c 1 -W 5 peer");
    real.row.saw("as root and as any user, by name");
    real.row.end();
}

const ANN: &str = "useradd -m -s /bin/bash -G sudo ann && echo \"ann:secret\" | chpasswd && \
                   echo \"%sudo ALL=(ALL) NOPASSWD: ALL\" > /etc/sudoers.d/sudo";

#[test]
fn sudo_and_su() {
    let real = Real::package("sudo", "sudo", &["tools"]);
    let open = "run --rm tools bash -c";
    let ids = real.ok(&format!("{open} '{ANN} && gosu ann sudo id -un && gosu ann sudo -u nobody id -un'"));
    assert_eq!(ids, "root\nnobody");
    real.row.saw("a user becomes root and others");
    real.row.end();
    let row = Row::package("su", "tools", "util-linux");
    assert_eq!(real.ok(&format!("{open} '{ANN} && su - ann -c \"id -un; pwd\"'")), "ann\n/home/ann");
    row.saw("root becomes a user");
    assert_eq!(real.ok(&format!("{open} '{ANN} && echo secret | gosu ann su ann -c \"id -un\" 2>/dev/null'")), "ann");
    row.saw("a user gives a password");
    row.end();
}

#[test]
fn cron() {
    let real = Real::package("cron", "cron", &["tools"]);
    real.ok("run -d --name cron tools sh -c 'echo \"* * * * * root id -un > /proc/1/fd/1\" > /etc/cron.d/job && \
             echo \"* * * * * nobody id -un > /tmp/ran\" >> /etc/cron.d/job && exec cron -f -L 15'");
    // A job begins with the minute.
    let began = std::time::Instant::now();
    while real.rcr("exec cron cat /tmp/ran").out() != "nobody" {
        assert!(began.elapsed().as_secs() < 90, "no job ran: {}", real.tails());
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    real.row.saw("jobs of root and of another user at the minute");
    real.logs("cron", "root");
    real.row.end();
}

#[test]
fn an_ftp_server() {
    let real = Real::new("vsftpd", &["vsftpd", "tools"]);
    real.ok("network create app");
    // As process 1 it dies of children that it did not start, and needs an init above it.
    real.ok("run -d --init --name ftp --network app -e FTP_USER=ann -e FTP_PASSWORD=secret vsftpd");
    // Each connection is a process in namespaces of its own, where it may; where not, it goes on without.
    let put = "echo data > /tmp/f && curl -sS -T /tmp/f ftp://ann:secret@ftp/f && curl -sS ftp://ann:secret@ftp/f";
    assert_eq!(real.until(&format!("run --rm --network app tools sh -c '{put}'"), "data").trim(), "data");
    real.row.saw("with --init, a client finds it by name, sends and fetches a file");
    real.row.end();
}

#[test]
fn a_dns_server_on_port_53() {
    let real = Real::new("BIND", &["bind", "tools"]);
    real.ok("network create app");
    real.ok("run -d --name ns --network app -p 53:53/udp -p 53:53/tcp -v zones:/var/cache/bind bind");
    real.until("run --rm --network app tools dig +short @ns www.example.test", "192.0.2.80");
    real.until("run --rm --network app tools dig +short +tcp @ns www.example.test", "192.0.2.80");
    real.row.saw("a client finds it by name, over UDP and TCP");
    // From outside, on the host's port 53.
    let query = "\u{1}\u{2}\u{1}\0\0\u{1}\0\0\0\0\0\0\u{3}www\u{7}example\u{4}test\0\0\u{1}\0\u{1}";
    let answer = real.host.outside.udp(&format!("{HOST_V4}:53"), query).unwrap();
    assert!(answer.contains("example"), "{answer:?}");
    real.row.saw("published port 53, UDP");
    // As another container's resolver.
    let address = real.host.address("ns", "app");
    let said = real.ok(&format!("run --rm --network app --dns {address} tools getent hosts www.example.test"));
    assert!(said.starts_with("192.0.2.80"), "{said}");
    real.row.saw("another container's --dns");
    real.logs("ns", "running");
    real.stops("ns", 0, "exiting");
    real.row.end();
}

#[test]
fn iperf3_and_tcpdump() {
    let real = Real::package("iperf3", "iperf3", &["tools"]);
    real.ok("network create app");
    real.ok("run -d --name server --network app tools iperf3 -s");
    real.until("run --rm --network app tools iperf3 -c server -t 1 -P 4", "receiver");
    real.ok("run --rm --network app tools iperf3 -c server -t 1 -u -b 50M -R");
    real.row.saw("TCP with four streams, UDP in reverse, by name");
    real.row.end();

    let row = Row::package("tcpdump", "tools", "tcpdump");
    real.ok("run -d --name dump --network container:server --cap-add NET_RAW tools tcpdump -l -n -i eth0 -c 2 icmp");
    real.until("logs dump", "listening on eth0");
    real.until("run --rm --network app tools ping -c 3 -W 2 server", "3 received");
    real.until("logs dump", "ICMP echo request");
    row.saw("with --cap-add NET_RAW, in another container's network");
    row.end();
}

#[test]
fn strace_and_gdb() {
    let real = Real::new("strace", &["debug"]);
    let trace = real.rcr("run --rm --cap-add SYS_PTRACE debug strace -f -e trace=execve sh -c 'ls / >/dev/null; true'");
    assert!(trace.code == 0 && trace.stderr.contains("execve(\"/usr/bin/ls\""), "{trace:?}");
    real.row.saw("with --cap-add SYS_PTRACE, following children");
    real.ok("run -d --name app --cap-add SYS_PTRACE debug sleep 1000");
    let attached = real.rcr("exec app timeout 2 strace -p 1");
    assert!(attached.stderr.contains("clock_nanosleep") || attached.stderr.contains("restart_syscall"), "{attached:?}");
    real.row.saw("attaches to a process");
    real.row.end();

    let row = Row::package("gdb", "debug", "gdb");
    let source = "int f(int n) { return n * 2; } int main(void) { return f(21) - 42; }";
    let script = format!(
        "echo \"{source}\" > /tmp/a.c && gcc -g -o /tmp/a /tmp/a.c && gdb -batch -ex \"break f\" -ex run -ex bt -ex \"print n\" -ex cont /tmp/a"
    );
    let said = real.ok(&format!("run --rm --cap-add SYS_PTRACE debug sh -c '{script}'"));
    assert!(said.contains("$1 = 21") && said.contains("exited normally"), "{said}");
    row.saw("breakpoint, backtrace, to the end");
    row.end();
}

#[test]
fn tunnels() {
    let real = Real::package("OpenVPN", "openvpn", &["tools"]);
    real.ok("network create app");
    let vpn = "--cap-add NET_ADMIN --device /dev/net/tun --network app";
    real.ok("run --rm -v keys:/keys tools openvpn --genkey secret /keys/key");
    real.ok(&format!(
        "run -d --name server {vpn} -v keys:/keys tools openvpn --dev tun --ifconfig 10.9.0.1 10.9.0.2 --secret /keys/key --cipher AES-256-CBC --proto udp"
    ));
    real.ok(&format!(
        "run -d --name client {vpn} -v keys:/keys tools openvpn --dev tun --remote server --ifconfig 10.9.0.2 10.9.0.1 --secret /keys/key \
         --cipher AES-256-CBC --proto udp"
    ));
    real.until("logs client", "Initialization Sequence Completed");
    real.until("exec client ping -c 1 -W 2 10.9.0.1", "1 received");
    real.row.saw("a tunnel between two containers, with --device /dev/net/tun and --cap-add NET_ADMIN");
    real.stops("client", 0, "process exiting");
    real.row.end();

    let row = Row::package("WireGuard (userspace)", "tools", "wireguard-go");
    let up = "wireguard-go wg0 && wg genkey | tee /keys/$0.key | wg pubkey > /keys/$0.pub && wg set wg0 private-key /keys/$0.key listen-port 51820 && \
              ip addr add 10.8.0.$1/24 dev wg0 && ip link set wg0 up && echo up && exec sleep 1000";
    for (name, n) in [("one", 1), ("two", 2)] {
        real.ok(&format!("run -d --name {name} {vpn} -v keys:/keys tools sh -c '{up}' {name} {n}"));
        real.until(&format!("logs {name}"), "up");
    }
    for (name, other, n) in [("one", "two", 2), ("two", "one", 1)] {
        let peer = format!("wg set wg0 peer $(cat /keys/{other}.pub) endpoint {other}:51820 allowed-ips 10.8.0.{n}/32");
        real.ok(&format!("exec {name} sh -c '{peer}'"));
    }
    real.until("exec one ping -c 1 -W 2 10.8.0.2", "1 received");
    row.saw("a tunnel between two containers, with --device /dev/net/tun and --cap-add NET_ADMIN");
    row.end();
}

#[test]
fn fuse() {
    let real = Real::package("FUSE (bindfs, squashfuse)", "fuse3", &["tools"]);
    let script = "mkdir -p /a /b /c && echo data > /a/file && bindfs -r /a /b && cat /b/file && ! touch /b/new 2>/dev/null && fusermount3 -u /b && \
                  mksquashfs /a /a.sq -quiet >/dev/null && squashfuse /a.sq /c && cat /c/file && umount /c";
    let said = real.ok(&format!(
        "run --rm --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined tools sh -c '{script}'"
    ));
    assert_eq!(said.lines().filter(|line| *line == "data").count(), 2, "{said}");
    real.row.saw("with --device /dev/fuse and --cap-add SYS_ADMIN");
    real.row.end();
}

#[test]
fn a_window_that_is_resized_reaches_full_screen_programs() {
    let real = Real::package("bash", "bash", &["tools"]);
    let mut terminal = Terminal::start(real.host.command(&["run", "--rm", "-it", "tools"]));
    terminal.send("echo size-$(stty size | tr ' ' x)-$TERM\n");
    terminal.expect("size-30x100-xterm");
    terminal.resize(50, 132);
    terminal.send("stty size | tr ' ' x\n");
    terminal.expect("50x132");
    terminal.send("sleep 1000 &\njobs\n");
    terminal.expect("Running");
    terminal.send("kill %1; exit 3\n");
    assert_eq!(terminal.wait(), 3);
    real.row.saw("job control, the window's size from the start and after a change");
    real.row.end();
}
