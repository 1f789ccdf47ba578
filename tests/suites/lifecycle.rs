//! The verbs around a container's life.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use tests::terminal::Terminal;
use tests::{Host, eventually};

const NONE: [&str; 2] = ["--network", "none"];

fn create(host: &Host, name: &str, script: &str) -> String {
    host.ok(&["create", "--name", name, "--network", "none", "alpine", "sh", "-c", script])
}

#[test]
fn create_start_stop_restart_rm() {
    let host = Host::new();
    let before = host.snapshot();
    let id = create(&host, "c1", "echo started; exec sleep 1000");
    assert_eq!(host.inspect("c1", "/State/Status"), "created");
    assert_eq!(host.ok(&["start", "c1"]), "c1");
    assert_eq!(host.inspect(&id[..8], "/State/Status"), "running");
    let pid = host.inspect("c1", "/State/Pid");
    host.ok(&["restart", "-t", "0", "c1"]);
    assert_ne!(host.inspect("c1", "/State/Pid"), pid);
    eventually("it wrote twice", || host.ok(&["logs", "c1"]) == "started\nstarted");
    let running = host.rcr(&["rm", "c1"]);
    assert!(running.code == 1 && running.stderr.contains("rm -f c1"), "{running:?}");
    host.ok(&["stop", "-t", "0", "c1"]);
    assert_eq!(host.inspect("c1", "/State/Status"), "exited");
    // What the container wrote is still there after a start.
    host.ok(&["rm", "c1"]);
    assert_eq!(host.ok(&["ps", "-aq"]), "");
    before.assert_restored(&host);
}

#[test]
fn the_snapshot_outlives_stops() {
    let host = Host::new();
    create(&host, "c1", "cat /kept 2>/dev/null; echo more >> /kept");
    host.ok(&["start", "c1"]);
    assert_eq!(host.ok(&["wait", "c1"]), "0");
    host.ok(&["start", "c1"]);
    assert_eq!(host.ok(&["wait", "c1"]), "0");
    assert_eq!(host.ok(&["logs", "c1"]), "more");
}

#[test]
fn start_attached_and_wait() {
    let host = Host::new();
    create(&host, "c1", "echo hi; exit 5");
    let ran = host.rcr(&["start", "-a", "c1"]);
    assert_eq!((ran.code, ran.out()), (5, "hi"));
    create(&host, "c2", "sleep 0.2; exit 6");
    host.ok(&["start", "c2"]);
    assert_eq!(host.ok(&["wait", "c2"]), "6");
    assert_eq!(host.ok(&["wait", "c2"]), "6");
}

#[test]
fn kill_sends_any_signal() {
    let host = Host::new();
    create(&host, "c1", "trap 'echo hup' HUP; while :; do sleep 0.05; done");
    host.ok(&["start", "c1"]);
    std::thread::sleep(std::time::Duration::from_millis(200));
    host.ok(&["kill", "-s", "HUP", "c1"]);
    eventually("the signal arrived", || host.ok(&["logs", "c1"]) == "hup");
    assert_eq!(host.inspect("c1", "/State/Status"), "running");
    host.ok(&["kill", "c1"]);
    host.await_status("c1", "exited");
    assert_eq!(host.inspect("c1", "/State/ExitCode"), 137);
    assert_eq!(host.rcr(&["kill", "c1"]).code, 1);
}

#[test]
fn logs_tail_since_timestamps_and_follow() {
    let host = Host::new();
    create(&host, "c1", "echo one; echo two >&2; sleep 1.2; echo three; sleep 0.5; echo four");
    host.ok(&["start", "c1"]);
    let mut follow = host.command(&["logs", "-f", "c1"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines: Vec<String> = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(follow.wait().unwrap().success());
    assert_eq!(lines, ["one", "three", "four"]);
    let all = host.rcr(&["logs", "c1"]);
    assert_eq!((all.stdout.as_str(), all.stderr.as_str()), ("one\nthree\nfour\n", "two\n"));
    assert_eq!(host.ok(&["logs", "--tail", "1", "c1"]), "four");
    let stamped = host.ok(&["logs", "-t", "--tail", "2", "c1"]);
    let (time, text) = stamped.lines().next().unwrap().split_once(' ').unwrap();
    assert_eq!(text, "three");
    assert_eq!(host.ok(&["logs", "--since", time, "c1"]), "three\nfour");
    assert_eq!(host.ok(&["logs", "--since", "1h", "--until", time, "c1"]), "one\nthree");
}

#[test]
fn logs_rotate() {
    let host = Host::new();
    let config = host.scratch().join("config.toml");
    std::fs::write(&config, "[log]\nmax_size = 8192\nmax_files = 2\n").unwrap();
    let config = config.to_str().unwrap();
    host.ok(&[
        "--config",
        config,
        "run",
        "--name",
        "c1",
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        "for i in $(seq 1 400); do echo line-$i; done",
    ]);
    let id = host.inspect("c1", "/Id");
    let dir = host.root().join("containers").join(id.as_str().unwrap());
    let logs = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let logs = logs.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"container.log"));
    let sizes: Vec<u64> = logs.map(|entry| entry.metadata().unwrap().len()).collect();
    assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= 8192), "{sizes:?}");
    assert!(host.ok(&["logs", "c1"]).ends_with("line-400"));
    std::fs::write(host.scratch().join("bad.toml"), "[logs]\n").unwrap();
    let bad = host.refused(&["--config", host.scratch().join("bad.toml").to_str().unwrap(), "ps"]);
    assert!(bad.contains("unknown field"), "{bad}");
}

#[test]
fn exec_in_every_form() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c1", "-e", "BASE=1", "--network", "none", "alpine", "sleep", "1000"]);
    assert_eq!(
        host.ok(&[
            "exec",
            "-e",
            "MORE=2",
            "-w",
            "/tmp",
            "-u",
            "nobody",
            "c1",
            "sh",
            "-c",
            "echo $BASE $MORE $(pwd) $(id -u)"
        ]),
        "1 2 /tmp 65534"
    );
    assert_eq!(host.rcr(&["exec", "c1", "sh", "-c", "exit 8"]).code, 8);
    assert_eq!(host.rcr(&["exec", "c1", "nope"]).code, 127);
    assert_eq!(host.rcr(&["exec", "c1", "/etc/passwd"]).code, 126);
    assert_eq!(host.rcr_with(&["exec", "-i", "c1", "cat"], "in").stdout, "in");
    assert_eq!(host.rcr_with(&["exec", "c1", "cat"], "unseen").stdout, "");
    let apart = host.rcr(&["exec", "c1", "sh", "-c", "echo o; echo e >&2"]);
    assert_eq!((apart.stdout.as_str(), apart.stderr.as_str()), ("o\n", "e\n"));
    assert_eq!(host.ok(&["exec", "-d", "c1", "sh", "-c", "echo done > /tmp/flag"]), "");
    eventually("the detached program ran", || host.rcr(&["exec", "c1", "cat", "/tmp/flag"]).out() == "done");
    // It is as confined as the container's own program.
    let status = host.ok(&["exec", "c1", "grep", "-E", "NoNewPrivs|Seccomp:", "/proc/self/status"]);
    assert!(status.contains("NoNewPrivs:\t0") && status.contains("Seccomp:\t2"), "{status}");
    let mut terminal = Terminal::start(host.command(&["exec", "-it", "c1", "sh"]));
    terminal.send("stty size\n");
    terminal.expect("30 100");
    terminal.send("exit 3\n");
    assert_eq!(terminal.wait(), 3);
    host.ok(&["stop", "-t", "0", "c1"]);
    assert!(host.refused(&["exec", "c1", "true"]).contains("it is exited"));
}

#[test]
fn names_are_unique_and_can_change() {
    let host = Host::new();
    create(&host, "c1", "true");
    create(&host, "c2", "true");
    assert!(host.refused(&["rename", "c1", "c2"]).contains("is in use"));
    host.ok(&["rename", "c1", "c3"]);
    assert_eq!(host.inspect("c3", "/Name"), "/c3");
    assert!(host.refused(&["logs", "c1"]).contains("no such container"));
    host.ok(&["container", "prune", "-f"]);
    assert_eq!(host.ok(&["ps", "-aq"]), "");
}

#[test]
fn a_killed_shim_takes_its_container_along() {
    let host = Host::new();
    let before = host.snapshot();
    host.ok(&["run", "-d", "--name", "c1", "alpine", "sleep", "1000"]);
    let shim = host.inspect("c1", "/Rcr/ShimPid").as_i64().unwrap() as i32;
    let init = host.inspect("c1", "/State/Pid").as_i64().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL).unwrap();
    host.await_status("c1", "exited");
    assert_eq!(host.inspect("c1", "/State/ExitCode"), 137);
    eventually("its processes are gone", || {
        tests::host::bury();
        let stat = std::fs::read_to_string(format!("/proc/{init}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    host.ok(&["start", "c1"]);
    assert_eq!(host.inspect("c1", "/State/Status"), "running");
    host.ok(&["rm", "-f", "c1"]);
    before.assert_restored(&host);
}

#[test]
fn a_failed_start_leaves_nothing() {
    let host = Host::new();
    let before = host.snapshot();
    host.ok(&["run", "--rm", "alpine", "true"]);
    for args in [
        &["run", "--name", "x", "alpine", "nope"][..],
        &["run", "--name", "x", "-v", "vol:/data", "-u", "stranger", "alpine", "true"],
        &["run", "--name", "x", "-p", "8080:80", "--sysctl", "kernel.panic=1", "alpine", "true"],
        &["run", "--name", "x", "--network", "no-such-network", "alpine", "true"],
        &["run", "--name", "x", "-w", "/proc/self/fd/3", "alpine", "true"],
    ] {
        assert!(host.rcr(args).code >= 125, "{args:?}");
        host.rcr(&["volume", "rm", "vol"]);
        before.assert_restored(&host);
    }
}

#[test]
fn twenty_at_once() {
    let host = Host::new();
    let before = host.snapshot();
    let children: Vec<_> = (0..20)
        .map(|n| {
            let name = format!("c{n}");
            let mut args = vec!["run", "-d", "--name", &name];
            args.extend(NONE);
            args.extend(["alpine", "sleep", "1000"]);
            host.command(&args).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(host.ok(&["ps", "-q"]).lines().count(), 20);
    host.remove_containers();
    before.assert_restored(&host);
}

#[test]
fn a_log_in_the_folder_of_an_older_rcr_is_read_and_goes_on_there() {
    let host = Host::new();
    host.ok(&["run", "--name", "c", "--network", "none", "alpine", "echo", "first"]);
    let folder = host.root().join("containers").join(host.inspect("c", "/Id").as_str().unwrap());
    std::fs::create_dir(folder.join("log")).unwrap();
    std::fs::rename(folder.join("container.log"), folder.join("log/container.log")).unwrap();
    assert_eq!(host.ok(&["logs", "c"]), "first");
    host.ok(&["start", "-a", "c"]);
    assert_eq!(host.ok(&["logs", "c"]), "first\nfirst");
    assert!(!folder.join("container.log").exists());
}

#[test]
fn what_a_killed_shim_has_set_aside_goes_with_a_prune() {
    let host = Host::new();
    host.ok(&["run", "--rm", "--network", "none", "alpine", "true"]);
    let left = host.root().join("removed/left-0");
    std::fs::create_dir_all(left.join("snapshot/upper")).unwrap();
    host.ok(&["container", "prune", "-f"]);
    assert!(!left.exists() && host.root().join("removed").exists());
}
