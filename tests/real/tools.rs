//! Tools of administrators: logins, timers, other users, debuggers.
#![allow(clippy::unwrap_used)]

use tests::real::{Check, Life, Real, Row, SHELL};
use tests::terminal::Terminal;

#[test]
fn sshd_with_a_login() {
    let real = Real::new("OpenSSH", &["sshd", "tools"]);
    let client = "tools sshpass -p secret ssh -o StrictHostKeyChecking=no ann@ssh";
    let life = Life {
        name: "ssh",
        start: "-p 2222:22 -v home:/home -e SSH_USER=ann -e SSH_PASSWORD=secret sshd",
        memory: 128,
        ready: ("logs ssh", "Server listening"),
        by_name: Some((&format!("{client} id -un"), "ann")),
        by_port: Some((2222, b"SSH-2.0-x\r\n", "SSH-2.0-OpenSSH")),
        keep: Some(&format!("run --rm --network app {client} 'echo kept > file'")),
        kept: Some((&format!("run --rm --network app {client} cat file"), "kept")),
        log: Some("Accepted password for ann"),
        terminal: SHELL,
        stops: Some((0, "Received signal 15; terminating.")),
    };
    real.starts(&life);
    real.serves(&life);
    // An interactive login: PAM, a terminal, the record of logins.
    let line = "run --rm -it --network app tools sshpass -p secret ssh -tt -o StrictHostKeyChecking=no ann@ssh";
    real.on_terminal(line, "$ ", "tty; echo in-$((40+2))", "in-42");
    real.row.saw("a login on a terminal");
    real.ok("run --rm --network app tools sh -c 'echo data > /tmp/f && sshpass -p secret scp -o StrictHostKeyChecking=no /tmp/f ann@ssh:/tmp/f && \
             sshpass -p secret sftp ann@ssh < /dev/null'");
    assert_eq!(real.ok("exec ssh cat /tmp/f"), "data");
    real.row.saw("scp and sftp");
    real.ends(&life);
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
    real.works_in(
        "tools",
        ("ping -c 2 -i 0.2 peer", "2 received", "", "2 received"),
        "exec box sh -c 'ping -c 1 -W 5 peer > /work/said'",
        ("exec box cat /work/said", "1 received"),
    );
    real.row.end();
}

const ANN: &str = "useradd -m -s /bin/bash -G sudo ann && echo \"ann:secret\" | chpasswd && \
                   echo \"%sudo ALL=(ALL) NOPASSWD: ALL\" > /etc/sudoers.d/sudo";

#[test]
fn sudo_and_su() {
    let mut real = Real::package("sudo", "sudo", &["tools"]);
    let open = "run --rm tools bash -c";
    let ids = real.ok(&format!("{open} '{ANN} && gosu ann sudo id -un && gosu ann sudo -u nobody id -un'"));
    assert_eq!(ids, "root\nnobody");
    real.row.saw("a user becomes root and others");
    real.works_in(
        "tools",
        ("sudo -u nobody sh", "$ ", "id -un; tty", "nobody\r\n/dev/pts/"),
        "exec box sudo sh -c 'id -un > /work/said'",
        ("exec box cat /work/said", "root"),
    );
    real.row.end();
    real.row = Row::package("su", "tools", "util-linux");
    assert_eq!(real.ok(&format!("{open} '{ANN} && su - ann -c \"id -un; pwd\"'")), "ann\n/home/ann");
    real.row.saw("root becomes a user");
    assert_eq!(real.ok(&format!("{open} '{ANN} && echo secret | gosu ann su ann -c \"id -un\" 2>/dev/null'")), "ann");
    real.row.saw("a user gives a password");
    real.works_in(
        "tools",
        ("su -s /bin/sh nobody", "$ ", "id -un; tty", "nobody\r\n/dev/pts/"),
        "exec box su -c 'id -un > /work/said'",
        ("exec box cat /work/said", "root"),
    );
    real.row.end();
}

#[test]
fn cron() {
    let real = Real::package("cron", "cron", &["tools"]);
    let begin = "sh -c 'echo \"* * * * * root id -un > /proc/1/fd/1\" > /etc/cron.d/job && \
                 echo \"* * * * * nobody id -un > /tmp/ran\" >> /etc/cron.d/job && exec cron -f -L 15'";
    let life = Life {
        name: "cron",
        // As process 1 it would not hear SIGTERM.
        start: &format!("--init -v crontabs:/var/spool/cron/crontabs tools {begin}"),
        memory: 128,
        ready: ("exec cron sh -c 'test -e /run/crond.pid && echo runs'", "runs"),
        keep: Some("exec cron sh -c 'echo \"* * * * * id > /tmp/kept\" | crontab -u nobody -'"),
        kept: Some(("exec cron crontab -u nobody -l", "/tmp/kept")),
        terminal: ("bash", "# ", "crontab -l", "no crontab for root"),
        stops: Some((143, "root")),
        ..Life::default()
    };
    real.starts(&life);
    // A job begins with the minute.
    let began = std::time::Instant::now();
    while real.rcr("exec cron cat /tmp/ran").out() != "nobody" {
        assert!(began.elapsed().as_secs() < 90, "no job ran: {}", real.tails());
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    real.row.saw("jobs of root and of another user at the minute");
    real.logs("cron", "root");
    real.serves(&life);
    real.ends(&life);
    real.row.without(&[Check::Name, Check::Port], "no server");
    real.row.end();
}

#[test]
fn strace_and_gdb() {
    let mut real = Real::new("strace", &["debug"]);
    let trace = real.rcr("run --rm --cap-add SYS_PTRACE debug strace -f -e trace=execve sh -c 'ls / >/dev/null; true'");
    assert!(trace.code == 0 && trace.stderr.contains("execve(\"/usr/bin/ls\""), "{trace:?}");
    real.row.saw("with --cap-add SYS_PTRACE, following children");
    real.ok("run -d --name app --cap-add SYS_PTRACE debug sleep 1000");
    let attached = real.rcr("exec app timeout 2 strace -p 1");
    assert!(attached.stderr.contains("clock_nanosleep") || attached.stderr.contains("restart_syscall"), "{attached:?}");
    real.row.saw("attaches to a process");
    real.works_in(
        "--cap-add SYS_PTRACE debug",
        ("strace -e trace=write echo on-screen", "+++ exited with 0 +++", "", "write(1, \"on-screen\\n\", 10"),
        "exec box strace -o /work/trace true",
        ("exec box cat /work/trace", "exited with 0"),
    );
    real.row.end();

    real.row = Row::package("gdb", "debug", "gdb");
    let source = "int f(int n) { return n * 2; } int main(void) { return f(21) - 42; }";
    let script = format!(
        "echo \"{source}\" > /tmp/a.c && gcc -g -o /tmp/a /tmp/a.c && gdb -batch -ex \"break f\" -ex run -ex bt -ex \"print n\" -ex cont /tmp/a"
    );
    let said = real.ok(&format!("run --rm --cap-add SYS_PTRACE debug sh -c '{script}'"));
    assert!(said.contains("$1 = 21") && said.contains("exited normally"), "{said}");
    real.row.saw("breakpoint, backtrace, to the end");
    real.works_in(
        "--cap-add SYS_PTRACE debug",
        ("gdb -q -p 1", "(gdb)", "print 40+2", "$1 = 42"),
        "exec box gdb -batch -p 1 -ex 'generate-core-file /work/core'",
        ("exec box sh -c 'head -c 4 /work/core'", "ELF"),
    );
    real.row.end();
}

#[test]
fn fuse() {
    let real = Real::package("FUSE (bindfs, squashfuse)", "fuse3", &["tools"]);
    let script = "mkdir -p /a /b /c && echo data > /a/file && bindfs -r /a /b && cat /b/file && ! touch /b/new 2>/dev/null && fusermount3 -u /b && \
                  mksquashfs /a /a.sq -quiet >/dev/null && squashfuse /a.sq /c && cat /c/file && umount /c";
    let flags = "--device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined tools";
    let said = real.ok(&format!("run --rm {flags} sh -c '{script}'"));
    assert_eq!(said.lines().filter(|line| *line == "data").count(), 2, "{said}");
    real.row.saw("with --device /dev/fuse and --cap-add SYS_ADMIN");
    real.works_in(
        flags,
        ("sh", "# ", "mkdir -p /b && bindfs /work /b && grep -c '/b fuse' /proc/mounts", "\n1"),
        "exec box sh -c 'echo by-fuse > /b/file'",
        ("exec box cat /work/file", "by-fuse"),
    );
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
    real.works_in(
        "tools",
        ("bash", "# ", "stty size; sleep 1000 & jobs; kill %1", "Running"),
        "exec box bash -c 'history -s kept; history -w /work/history'",
        ("exec box cat /work/history", "kept"),
    );
    real.row.end();
}
