//! Standard streams and terminals: whose they are, what reaches the container, and that no byte and no exit code is
//! lost.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::terminal::Terminal;
use tests::{Host, eventually};

const SLEEP: [&str; 7] = ["run", "-d", "--name", "c", "--network", "none", "alpine"];

fn sleeper(host: &Host) {
    let mut args = SLEEP.to_vec();
    args.extend(["sleep", "1000"]);
    host.ok(&args);
}

#[test]
fn streams_belong_to_the_user_of_the_program() {
    let host = Host::new();
    let script = "echo out >/dev/stdout && echo err >/dev/stderr";
    for user in ["0", "1000", "nobody"] {
        let ran = host.rcr(&["run", "--rm", "-i", "-u", user, "--network", "none", "alpine", "sh", "-c", script]);
        assert_eq!((ran.code, ran.stdout.trim(), ran.stderr.trim()), (0, "out", "err"), "{user}: {ran:?}");
    }
    sleeper(&host);
    let ran = host.rcr(&["exec", "-u", "1000", "c", "sh", "-c", script]).expect_code(0);
    assert_eq!((ran.stdout.trim(), ran.stderr.trim()), ("out", "err"));
    for args in
        [&["run", "--rm", "-it", "-u", "1000", "--network", "none", "alpine"][..], &["exec", "-it", "-u", "1000", "c"]]
    {
        let mut command = host.command(args);
        command.args(["sh", "-c", "stat -c %u $(tty); echo opened >/dev/stdout"]);
        let mut terminal = Terminal::start(command);
        terminal.expect("opened");
        assert!(terminal.seen().contains("1000"), "{}", terminal.seen());
        assert_eq!(terminal.wait(), 0);
    }
}

/// Inodes of the files behind a program's standard streams, as it sees them.
const INODES: &str = "for n in 0 1 2; do stat -L -c %i /proc/self/fd/$n; done";

#[test]
fn nothing_that_the_caller_has_open_reaches_the_container() {
    let host = Host::new();
    sleeper(&host);
    let path = host.scratch().join("file");
    std::fs::write(&path, "secret\n").unwrap();
    for args in [
        &["exec", "-i", "c"][..],
        &["exec", "c"],
        &["run", "--rm", "-i", "--network", "none", "alpine"],
        &["run", "--rm", "--network", "none", "alpine"],
    ] {
        // The file that `>>file` appends to: opened anew it could be read, and cut off.
        let file = File::options().append(true).open(&path).unwrap();
        // It goes before the end: where the stream is a pipe, it would take that out again.
        let script = "cat /proc/self/fd/1 /proc/self/fd/2 2>/dev/null & sleep 0.2; kill $!; wait; \
                      : 2>/dev/null >/proc/self/fd/1; echo end";
        let mut command = host.command(args);
        command
            .args(["sh", "-c", script])
            .stdin(File::open("/dev/null").unwrap())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        assert!(command.status().unwrap().success());
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("secret").count(), 1, "{args:?}: {text}");
        assert!(text.starts_with("secret\n") && text.contains("end"), "{args:?}: {text}");
        // Nor is any of the streams the very file that we have.
        let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap()).to_string();
        let mut command = host.command(args);
        command.args(["sh", "-c", INODES]).stdin(File::open(&path).unwrap()).stderr(Stdio::null());
        let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(!out.lines().any(|line| line == inode), "{args:?}: {out}");
    }
}

#[test]
fn a_background_child_does_not_read_what_is_typed_into_the_hosts_shell() {
    let host = Host::new();
    sleeper(&host);
    let rcr = tests::bin().join("rcr");
    let mut command = host.netns.command("sh");
    command.env("RCR_ROOT", host.root()).env("RCR_RUN", host.run_dir());
    let mut terminal = Terminal::start(command);
    // By a descriptor of its own: what a shell starts in the background has /dev/null as its input.
    let reads = "exec 3<&0; cat <&3 > /tmp/typed & echo started";
    terminal.send(&format!("{} exec -i c sh -c '{reads}'\n", rcr.display()));
    // Until then it is exec that reads, as it was asked to.
    terminal.expect("started\r\n# ");
    // Whoever else reads gets some of the lines.
    for n in 0..10 {
        terminal.send(&format!("echo my-$((40 + {n}))-password\n"));
        terminal.expect(&format!("my-{}-password", 40 + n));
    }
    terminal.send("exit\n");
    terminal.wait();
    assert!(!host.rcr(&["exec", "c", "cat", "/tmp/typed"]).stdout.contains("password"));
}

#[test]
fn the_null_device_is_the_containers_own() {
    let host = Host::new();
    sleeper(&host);
    let mode = |path: &str| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap());
    let before = mode("/dev/null");
    host.ok(&["exec", "c", "chmod", "0600", "/proc/self/fd/0"]);
    host.ok(&["exec", "-d", "c", "chmod", "0600", "/proc/self/fd/1"]);
    host.sh(&["--network", "none"], "chmod 0600 /proc/self/fd/0");
    assert_eq!(mode("/dev/null"), before, "the host's /dev/null was changed");
    // A container that has broken its own can still be looked into.
    host.ok(&["exec", "c", "rm", "/dev/null"]);
    assert_eq!(host.ok(&["exec", "c", "sh", "-c", "cat; echo fine"]), "fine");
}

#[test]
fn a_slow_reader_loses_neither_the_tail_nor_the_exit_code() {
    let host = Host::new();
    sleeper(&host);
    // Amounts that fit into a pipe, into what lies between, and into neither: the program ends at once, soon, or only
    // with its reader.
    let amounts = [60_000, 150_000, 300_000, 500_000, 800_000, 3_000_000];
    let mut all = Vec::new();
    for bytes in amounts {
        for args in [&["run", "--rm", "--network", "none", "alpine"][..], &["exec", "c"]] {
            let mut command = host.command(args);
            command.args(["sh", "-c", &format!("head -c {bytes} /dev/zero; exit 7")]);
            let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
            all.push((bytes, args[0], child));
        }
    }
    // Longer than any patience that a shim might have with a reader.
    std::thread::sleep(Duration::from_secs(9));
    for (bytes, verb, mut child) in all {
        let mut got = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut got).unwrap();
        assert_eq!((got.len(), child.wait().unwrap().code()), (bytes, Some(7)), "{verb}");
    }
}

#[test]
fn a_stopped_container_with_a_slow_reader_is_stopped_and_its_name_is_free() {
    let host = Host::new();
    let mut command = host.command(&["run", "--name", "slow", "--network", "none", "alpine"]);
    command.args(["sh", "-c", "yes"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    eventually("it runs", || host.ok(&["ps", "-q", "-f", "name=slow"]).len() == 12);
    host.ok(&["stop", "-t", "1", "slow"]);
    host.ok(&["rm", "slow"]);
    host.ok(&["run", "-d", "--name", "slow", "--network", "none", "alpine", "true"]);
    let mut all = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut all).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert!(all.len() > 4096 && all.chunks(2).all(|line| line == b"y\n"), "{} bytes", all.len());
}

#[test]
fn whoever_goes_away_leaves_a_container_that_goes_on() {
    let host = Host::new();
    // The reader of the output goes: quietly, as SIGPIPE would have it.
    let script = "i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i + 1)); sleep 0.05; done";
    let mut command = host.command(&["run", "--name", "talk", "--network", "none", "alpine", "sh", "-c", script]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(host.inspect("talk", "/State/Status"), "running");
    host.ok(&["rm", "-f", "talk"]);
    // A stderr that is full, or closed: a code, never a crash.
    for redirect in ["2>/dev/full", "2>&-", ">/dev/full 2>&1", ">&- 2>&-"] {
        let mut shell = Command::new("sh");
        let line = format!("exec \"$0\" run --rm --network nowhere alpine true {redirect}");
        shell
            .args(["-c", &line])
            .arg(tests::bin().join("rcr"))
            .env("RCR_ROOT", host.root())
            .env("RCR_RUN", host.run_dir());
        assert_eq!(shell.status().unwrap().code(), Some(125), "{redirect}");
    }
}

#[test]
fn a_terminal_that_hangs_up_ends_the_client_and_not_the_container() {
    let host = Host::new();
    let started = Instant::now();
    let mut terminal =
        Terminal::start(host.command(&["run", "-it", "--name", "t", "--network", "none", "alpine", "sh"]));
    terminal.send("trap '' HUP; echo re''ady\n");
    terminal.expect("ready");
    terminal.hang_up();
    let code = terminal.wait();
    assert!(code != 134 && started.elapsed() < Duration::from_secs(15), "{code}");
    assert_eq!(host.inspect("t", "/State/Status"), "running");
}

/// systemd closes its console and opens it for each line; so does a login.
#[test]
fn a_terminal_that_its_last_program_closed_can_be_opened_again() {
    let host = Host::new();
    let script = |name: &str| {
        format!(
            "t={name}; exec </dev/null >/dev/null 2>&1; i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo again-$i > $t; sleep 0.02; done; \
             read -r typed < $t; echo got-$typed > $t; exit 7"
        )
    };
    host.ok(&["run", "-dit", "--name", "console", "alpine", "sh", "-c", &script("/dev/console")]);
    eventually("the log has it", || host.ok(&["logs", "console"]).contains("again-50"));
    let mut terminal = Terminal::start(host.command(&["attach", "console"]));
    terminal.send("word\r");
    terminal.expect("got-word");
    assert_eq!(terminal.wait(), 7);
    assert_eq!(host.inspect("console", "/State/ExitCode"), 7);
    sleeper(&host);
    let mut terminal = Terminal::start(host.command(&["exec", "-it", "c", "sh", "-c", &script("$(tty)")]));
    terminal.expect("again-50");
    terminal.send("word\r");
    terminal.expect("got-word");
    assert_eq!(terminal.wait(), 7);
}

#[test]
fn a_program_that_ignores_signals_can_be_left() {
    let host = Host::new();
    let mut command = host.command(&["run", "--name", "deaf", "--network", "none", "alpine"]);
    command.args(["sh", "-c", "trap '' TERM INT; echo up; while :; do sleep 1; done"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    for _ in 0..3 {
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    eventually("the client has ended", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(host.inspect("deaf", "/State/Status"), "running");
}

#[test]
fn a_terminal_has_its_size_and_its_type_from_the_first_instruction() {
    let host = Host::new();
    sleeper(&host);
    for args in [&["run", "--rm", "-it", "--network", "none", "alpine"][..], &["exec", "-it", "c"]] {
        for _ in 0..4 {
            let mut command = host.command(args);
            command.args(["stty", "size"]);
            let mut terminal = Terminal::start(command);
            terminal.expect("30 100");
            assert_eq!(terminal.wait(), 0);
        }
    }
    host.ok(&["create", "-it", "--name", "late", "--network", "none", "alpine", "stty", "size"]);
    let mut terminal = Terminal::start(host.command(&["start", "-ai", "late"]));
    terminal.expect("30 100");
    terminal.wait();
    // What the image or the user says of the terminal's type stays.
    let mut terminal = Terminal::start(host.command(&[
        "run",
        "--rm",
        "-it",
        "-e",
        "TERM=vt100",
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        "echo is-$TERM",
    ]));
    terminal.expect("is-vt100");
    terminal.wait();
}

#[test]
fn what_a_pipe_carries_arrives_both_ways() {
    let host = Host::new();
    sleeper(&host);
    let mut file = tempfile::tempfile().unwrap();
    let block: Vec<u8> = (0..1_000_003u32).map(|n| (n % 251) as u8).collect();
    for _ in 0..20 {
        file.write_all(&block).unwrap();
    }
    for args in [&["exec", "-i", "c"][..], &["run", "--rm", "-i", "--network", "none", "alpine"]] {
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut command = host.command(args);
        command.args(["sh", "-c", "tee /dev/stderr"]).stdin(file.try_clone().unwrap());
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success());
        for stream in [output.stdout, output.stderr] {
            assert!(
                stream.len() == block.len() * 20 && stream.chunks(block.len()).all(|part| part == block),
                "{args:?}"
            );
        }
    }
}
