//! What goes wrong on a host, and what is right again after it.
#![allow(clippy::unwrap_used)]

use nix::fcntl::{FcntlArg, fcntl};
use std::fs::File;
use std::path::Path;
use tests::host::{HOST_V4, pings};
use tests::ruleset::sort_chains;
use tests::{Host, eventually};

fn pair() -> Host {
    let host = Host::new();
    for name in ["a", "b"] {
        host.ok(&[
            "run",
            "-d",
            "--name",
            name,
            "-p",
            if name == "a" { "5000:5000" } else { "5001:5000" },
            "alpine",
            "sh",
            "-c",
            "while :; do echo hello | nc -l -p 5000; done",
        ]);
    }
    host
}

#[test]
fn traffic_goes_on_without_netd_and_it_adopts_what_it_finds() {
    let host = pair();
    let before = Host::snapshot(&host);
    let b = host.address("b", "bridge");
    host.kill_netd();
    assert!(pings(&host, "a", &b));
    assert!(host.outside.tcp(&format!("{HOST_V4}:5001"), "").unwrap().contains("hello"));
    // Started by the next command, it knows all: names resolve, ports are held, connect works.
    host.ok(&["network", "ls"]);
    eventually("names are back", || pings(&host, "a", "b"));
    assert_eq!(host.address("b", "bridge"), b);
    assert!(host.refused(&["run", "--rm", "-p", "5001:80", "alpine", "true"]).contains("5001"));
    before.assert_restored(&host);
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "connect", "blue", "a"]);
    host.ok(&["rm", "-f", "a", "b"]);
    host.ok(&["network", "rm", "blue"]);
}

#[test]
fn containers_that_end_while_netd_is_away_are_released_by_the_next_one() {
    let host = Host::new();
    let before = host.snapshot();
    host.ok(&["run", "-d", "--name", "a", "-p", "5000:80", "alpine", "sleep", "1000"]);
    host.kill_netd();
    host.ok(&["rm", "-f", "a"]);
    host.ok(&["network", "ls"]);
    before.assert_restored(&host);
    host.ok(&["run", "-d", "--name", "again", "-p", "5000:80", "alpine", "sleep", "1000"]);
}

#[test]
fn a_netd_that_is_told_to_end_leaves_nothing_for_the_next_one_to_do() {
    use nix::sys::signal::{Signal, kill};
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "stays", "alpine", "sleep", "1000"]);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        host.ok(&["run", "-d", "--name", "goes", "alpine", "sleep", "1000"]);
        let netd = host.netd_pid().unwrap();
        host.ok(&["rm", "-f", "goes"]);
        kill(nix::unistd::Pid::from_raw(netd), signal).unwrap();
        eventually("netd has ended", || {
            tests::host::bury();
            host.netd_pid() != Some(netd)
        });
        let log = host.run_dir().join("netd.log");
        let before = std::fs::read_to_string(&log).unwrap().len();
        host.ok(&["network", "ls"]);
        let said = std::fs::read_to_string(&log).unwrap()[before..].to_owned();
        assert!(said.contains("ready, pid") && !said.contains("releasing"), "{signal}: {said}");
        assert!(pings(&host, "stays", HOST_V4));
    }
}

#[test]
fn a_flushed_ruleset_comes_back() {
    let host = pair();
    let rules = || sort_chains(&String::from_utf8_lossy(&host.netns.try_run("nft -s list table inet rcr").stdout));
    let before = rules();
    assert!(before.contains("chain publish"));
    // Owned tables survive a flush where the kernel has them; elsewhere they are rebuilt at once.
    host.netns.run("nft flush ruleset");
    eventually("the rules are there", || rules() == before);
    assert!(host.outside.tcp(&format!("{HOST_V4}:5000"), "").unwrap().contains("hello"));
}

#[test]
fn a_power_cut_leaves_records_that_read_as_ended() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "a", "alpine", "sleep", "1000"]);
    let id = host.inspect("a", "/Id").as_str().unwrap().to_owned();
    let path = host.run_dir().join("containers").join(&id).join("state.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    host.ok(&["stop", "-t", "0", "a"]);
    // As after a reboot: the record speaks of processes of another boot.
    state["boot_id"] = "00000000-0000-0000-0000-000000000000".into();
    std::fs::write(&path, state.to_string()).unwrap();
    assert_eq!(host.inspect("a", "/State/Status"), "exited");
    host.ok(&["start", "a"]);
    assert_eq!(host.inspect("a", "/State/Status"), "running");
    // And with the run folder gone altogether.
    host.ok(&["stop", "-t", "0", "a"]);
    std::fs::remove_dir_all(host.run_dir().join("containers")).unwrap();
    assert_eq!(
        (host.inspect("a", "/State/Status"), host.inspect("a", "/State/ExitCode")),
        ("exited".into(), 137.into())
    );
    host.ok(&["start", "a"]);
}

fn whole_file(kind: i32) -> libc::flock {
    libc::flock { l_type: kind as _, l_whence: libc::SEEK_SET as _, l_start: 0, l_len: 0, l_pid: 0 }
}

/// The process that has a lock on a file; 0: none has.
fn lock_holder(path: &Path) -> i32 {
    let mut lock = whole_file(libc::F_RDLCK);
    fcntl(File::open(path).unwrap(), FcntlArg::F_GETLK(&mut lock)).unwrap();
    if i32::from(lock.l_type) == libc::F_UNLCK { 0 } else { lock.l_pid }
}

/// Locks a file as a shim does, until the file is closed.
fn lock(path: &Path) -> File {
    let file = File::options().write(true).open(path).unwrap();
    fcntl(&file, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))).unwrap();
    file
}

#[test]
fn a_living_shim_is_known_by_its_lock_and_one_of_an_older_rcr_by_its_start() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "a", "--network", "none", "alpine", "sleep", "1000"]);
    let status = || host.inspect("a", "/State/Status");
    let id = host.inspect("a", "/Id").as_str().unwrap().to_owned();
    let path = host.run_dir().join("containers").join(&id).join("state.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(Some(i64::from(lock_holder(&path))), state["shim"]["pid"].as_i64());
    // What runs under a lock of its own runs, whatever else is said of it.
    state["shim"]["start"] = 1.into();
    std::fs::write(&path, state.to_string()).unwrap();
    assert_eq!(status(), "running");
    // Another file in its place has no lock: the start of the process counts.
    let replace = |text: &str| {
        std::fs::write(path.with_extension("new"), text).unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        assert_eq!(lock_holder(&path), 0);
    };
    replace(&text);
    assert_eq!(status(), "running");
    replace(&state.to_string());
    assert_eq!(status(), "exited");
    // The lock of any other process means nothing.
    let _file = lock(&path);
    assert_eq!(status(), "exited");
    replace(&text);
}

#[test]
fn what_comes_up_with_the_machine_is_what_its_restart_policy_says() {
    let host = Host::new();
    let start = |name: &str, policy: &str, network: &str| {
        host.ok(&["run", "-d", "--name", name, "--restart", policy, "--network", network, "alpine", "sleep", "1000"]);
    };
    start("plain", "no", "bridge");
    start("failing", "on-failure", "bridge");
    start("stopped", "unless-stopped", "bridge");
    start("killed", "unless-stopped", "bridge");
    start("always", "always", "bridge");
    host.ok(&["create", "--name", "never", "--restart", "always", "alpine", "sleep", "1000"]);
    start("web", "unless-stopped", "bridge");
    start("beside", "unless-stopped", "container:web");
    host.ok(&["stop", "-t", "0", "stopped", "always"]);
    host.ok(&["kill", "killed"]);
    host.await_status("killed", "exited");
    // The machine goes down in order, and comes up with an empty run folder and no kernel object of ours.
    let mut halted: Vec<String> = host.ok(&["system", "halt"]).lines().map(str::to_owned).collect();
    halted.sort();
    assert_eq!(halted, ["beside", "failing", "plain", "web"]);
    host.kill_netd();
    std::fs::remove_dir_all(host.run_dir()).unwrap();
    let mut up: Vec<String> = host.ok(&["system", "boot"]).lines().map(str::to_owned).collect();
    up.sort();
    assert_eq!(up, ["always", "beside", "web"]);
    assert_eq!(host.ok(&["exec", "always", "ping", "-c", "1", "-q", "web"]).lines().count(), 5);
    assert_eq!(host.ok(&["system", "boot"]), "");
    // What can't start is named, and keeps nobody else from it.
    host.ok(&["system", "halt"]);
    host.ok(&["rm", "-f", "web"]);
    let second = host.rcr(&["system", "boot"]);
    assert_eq!(second.code, 1);
    assert_eq!(second.stdout.trim(), "always");
    assert!(
        second.stderr.contains("cannot start container `beside`") && second.stderr.contains("hint:"),
        "{}",
        second.stderr
    );
}

#[test]
fn damaged_state_is_named_and_the_rest_goes_on() {
    let host = Host::new();
    host.ok(&["create", "--name", "good", "alpine", "true"]);
    host.ok(&["create", "--name", "bad", "alpine", "true"]);
    let id = host.inspect("bad", "/Id").as_str().unwrap().to_owned();
    std::fs::write(host.root().join("containers").join(&id).join("config.json"), "{").unwrap();
    let error = host.refused(&["logs", "bad"]);
    assert!(error.contains(&id[..12]) && error.contains("hint: "), "{error}");
    assert!(host.ok(&["ps", "-a"]).contains("good"));
    std::fs::write(host.root().join("images/index.json"), "nonsense").unwrap();
    assert!(host.refused(&["run", "--rm", "alpine", "true"]).contains("is damaged"));
}
