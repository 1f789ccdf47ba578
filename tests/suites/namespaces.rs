//! Namespaces that a container shares with the host or with another container.
#![allow(clippy::unwrap_used)]

use tests::host::{exec, sleeper};
use tests::{Host, eventually};

/// The kernel's number of a namespace, as a process sees it.
fn host_namespace(name: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string()
}

fn namespace(host: &Host, flags: &[&str], name: &str) -> String {
    let mut all = vec!["--network", "none"];
    all.extend(flags);
    host.sh(&all, &format!("readlink /proc/self/ns/{name}"))
}

#[test]
fn namespaces_are_the_containers_own_or_the_hosts() {
    let host = Host::new();
    for (flag, name) in [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")] {
        assert_eq!(namespace(&host, &[flag, "host"], name), host_namespace(name), "{flag}");
        assert_ne!(namespace(&host, &[], name), host_namespace(name), "{flag}");
        assert_ne!(namespace(&host, &[flag, "private"], name), host_namespace(name), "{flag}");
    }
    assert_eq!(namespace(&host, &["--userns", "host"], "user"), host_namespace("user"));
    let mine = format!("test -d /proc/{} && echo seen", std::process::id());
    assert_eq!(host.sh(&["--network", "none", "--pid", "host"], &mine), "seen");
    let name = String::from_utf8(std::process::Command::new("uname").arg("-n").output().unwrap().stdout).unwrap();
    assert_eq!(
        host.sh(&["--network", "none", "--uts=host"], "hostname; cat /etc/hostname"),
        format!("{0}\n{0}", name.trim())
    );
    let path = host.sh(&["--network", "none", "--cgroupns", "host"], "grep :pids: /proc/self/cgroup");
    assert!(path.contains("/rcr/"), "{path}");
    // A process that is executed there is where the first one is.
    sleeper(
        &host,
        "h",
        &["--network", "none", "--pid", "host", "--ipc", "host", "--uts", "host", "--cgroupns", "host"],
    );
    for (field, value) in [("PidMode", "host"), ("IpcMode", "host"), ("UTSMode", "host"), ("CgroupnsMode", "host")] {
        assert_eq!(host.inspect("h", &format!("/HostConfig/{field}")), value);
    }
    for name in ["pid", "ipc", "uts", "cgroup"] {
        assert_eq!(exec(&host, "h", &format!("readlink /proc/self/ns/{name}")), host_namespace(name));
    }
}

#[test]
fn shared_memory_is_ones_own_the_hosts_anothers_or_none() {
    let host = Host::new();
    let mark = format!("/dev/shm/rcr-t{}", std::process::id());
    std::fs::write(&mark, "the host's").unwrap();
    let seen = host.sh(&["--network", "none", "--ipc", "host"], &format!("cat {mark}"));
    std::fs::remove_file(&mark).unwrap();
    assert_eq!(seen, "the host's");
    assert_eq!(host.sh(&["--network", "none", "--ipc", "none"], "grep -c /dev/shm /proc/mounts || true"), "0");
    sleeper(&host, "giver", &["--network", "none", "--ipc", "shareable", "--shm-size", "3m"]);
    sleeper(&host, "taker", &["--network", "none", "--ipc", "container:giver"]);
    exec(&host, "giver", "echo hello > /dev/shm/x");
    assert_eq!(exec(&host, "taker", "cat /dev/shm/x; echo back > /dev/shm/y"), "hello");
    assert_eq!(exec(&host, "giver", "cat /dev/shm/y"), "back");
    assert!(exec(&host, "taker", "grep /dev/shm /proc/mounts").contains("size=3072k"));
    let of = |name: &str| exec(&host, name, "readlink /proc/self/ns/ipc");
    assert_eq!(of("giver"), of("taker"));
    // What the other has put in its place is not followed.
    sleeper(&host, "sly", &["--network", "none", "--ipc", "shareable", "--privileged"]);
    exec(&host, "sly", "umount /dev/shm && rmdir /dev/shm && ln -s / /dev/shm");
    let said = host.refused(&["run", "--rm", "--network", "none", "--ipc", "container:sly", "alpine", "true"]);
    assert!(said.contains("join the other container's shared memory") && said.contains("ELOOP"), "{said}");
    sleeper(&host, "closed", &["--network", "none"]);
    let said = host.refused(&["run", "--network", "none", "--ipc", "container:closed", "alpine", "true"]);
    assert!(said.contains("`--ipc private`") && said.contains("`--ipc shareable`"), "{said}");
    let said = host.refused(&["run", "--ipc", "container:giver", "--sysctl", "kernel.shmmni=77", "alpine", "true"]);
    assert!(said.contains("would change others"), "{said}");
}

#[test]
fn processes_of_another_container_are_seen_and_its_end_is_ones_own() {
    let host = Host::new();
    let before = host.snapshot();
    sleeper(&host, "first", &["--network", "none"]);
    sleeper(&host, "second", &["--network", "none", "--pid", "container:first"]);
    assert!(exec(&host, "second", "cat /proc/1/cmdline").contains("sleep"));
    assert!(exec(&host, "first", "ps").matches("sleep 1000").count() == 2);
    assert_ne!(exec(&host, "second", "echo $$"), "1");
    // Its processes end with it, though the namespace lives on.
    exec(&host, "second", "(sleep 2000 &) ");
    assert!(exec(&host, "first", "ps").contains("sleep 2000"));
    host.ok(&["rm", "-f", "second"]);
    eventually("no process of it is left", || !exec(&host, "first", "ps").contains("sleep 2000"));
    // `--init` buries orphans there, too: the namespace's own first process buries none.
    let orphan = ["--init", "--pid", "container:first", "alpine", "sh", "-c", "(sleep 0.1 &); exec sleep 3000"];
    host.ok(&[&["run", "-d", "--name", "init", "--network", "none"][..], &orphan].concat());
    eventually("the orphan is buried", || !exec(&host, "first", "ps").contains(" Z"));
    host.ok(&["rm", "-f", "init"]);
    sleeper(&host, "third", &["--network", "none", "--pid", "container:first"]);
    host.ok(&["stop", "-t", "0", "first"]);
    host.await_status("third", "exited");
    assert_eq!(host.inspect("third", "/State/ExitCode"), 137);
    let said = host.rcr(&["start", "third"]);
    assert!(said.code != 0 && said.stderr.contains("start it first: `rcr start first`"), "{said:?}");
    host.ok(&["start", "first"]);
    host.ok(&["start", "third"]);
    assert!(exec(&host, "third", "ps").matches("sleep 1000").count() == 2);
    host.ok(&["rm", "-f", "first", "third"]);
    before.assert_restored(&host);
}

#[test]
fn a_policy_brings_a_container_back_to_the_one_that_it_joins() {
    let host = Host::new();
    sleeper(&host, "base", &["--network", "none"]);
    sleeper(&host, "guest", &["--network", "none", "--pid", "container:base", "--restart", "always"]);
    host.ok(&["stop", "-t", "0", "base"]);
    host.await_status("guest", "restarting");
    // Not for want of trying: the other one is not there.
    eventually("it has tried again", || host.inspect("guest", "/RestartCount").as_i64() >= Some(2));
    host.ok(&["start", "base"]);
    host.await_status("guest", "running");
    assert!(exec(&host, "base", "ps").matches("sleep 1000").count() == 2);
    host.ok(&["stop", "-t", "0", "base"]);
    host.ok(&["rm", "-f", "guest"]);
}

/// The host's own processes don't end with a container: what it has started does.
#[test]
fn nothing_is_left_of_a_container_in_the_hosts_pid_namespace() {
    let host = Host::new();
    let before = host.snapshot();
    let script = "sleep 4321 & sleep 4322 & exec sleep 0.2";
    host.sh(&["--network", "none", "--pid", "host"], script);
    let left = || {
        let out = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
        String::from_utf8(out.stdout).unwrap().lines().any(|line| line.starts_with("sleep 432"))
    };
    assert!(!left());
    sleeper(&host, "c", &["--network", "none", "--pid", "host"]);
    exec(&host, "c", "(sleep 4323 &)");
    // Its shim is killed: the first process goes with it, and the next command ends the rest.
    let shim = host.inspect("c", "/Rcr/ShimPid").as_i64().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    host.await_status("c", "exited");
    host.ok(&["rm", "c"]);
    assert!(!left());
    before.assert_restored(&host);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let host = Host::new();
    let before = host.snapshot();
    for (flags, says) in [
        (&["--uts", "host", "--hostname", "x"][..], "`--hostname` can't be combined with `--uts host`"),
        (&["--pid", "container:nobody"], "no such container: `nobody`"),
        (&["--ipc", "container:nobody"], "no such container: `nobody`"),
        (&["--pid", "hots"], "did you mean `host`"),
        (&["--userns", "auto"], "known is host"),
        (&["--cgroupns", "mine"], "known are host, private"),
        (&["--ipc", "host", "--sysctl", "kernel.msgmax=8192"], "would change others"),
    ] {
        let mut args = vec!["run", "--network", "none"];
        args.extend(flags);
        args.extend(["alpine", "true"]);
        let said = host.refused(&args);
        assert!(said.contains(says), "{flags:?}: {said}");
    }
    before.assert_restored(&host);
}
