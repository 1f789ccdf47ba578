//! A netd that does not answer, and changes that are cut off half way: waits end, nothing is stuck.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tests::{Host, eventually};

fn spawn(host: &Host, args: &[&str]) -> Child {
    let rcr = host.command(args);
    // A shell that started the tests in the background has made SIGINT one that is ignored.
    let mut command = host.netns.command("env");
    command.arg("--default-signal=INT,TERM,HUP").arg(rcr.get_program()).args(rcr.get_args());
    command.envs(rcr.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for a program's end; how it ended, as a shell says it.
fn end(mut child: Child, limit: Duration) -> (i32, String) {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let mut said = String::new();
            std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
            return (status.code().or(status.signal().map(|s| 128 + s)).unwrap(), said);
        }
        if begin.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            panic!("not within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether it waits for netd: its socket is connected, or it is about to be. A wait for the disk is another one.
fn waits(child: &Child) -> bool {
    let calls = std::fs::read_to_string(format!("/proc/{}/wchan", child.id())).unwrap_or_default();
    ["poll", "unix", "sock"].iter().any(|word| calls.contains(word))
}

#[test]
fn signals_end_every_wait() {
    let host = Host::new();
    let before = host.snapshot();
    host.ok(&["run", "--rm", "alpine", "true"]);
    let netd = Pid::from_raw(host.netd_pid().unwrap());
    kill(netd, Signal::SIGSTOP).unwrap();
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let (a, b) = (format!("a{code}"), format!("b{code}"));
        for args in [
            &["run", "--name", &a, "alpine", "sleep", "1000"][..],
            &["run", "-d", "--name", &b, "alpine", "sleep", "1000"],
            &["network", "ls"],
            &["network", "create", "blue"],
        ] {
            let child = spawn(&host, args);
            eventually("it waits", || waits(&child));
            // It may wait for something else first: the image, its own shim.
            std::thread::sleep(Duration::from_millis(300));
            kill(Pid::from_raw(child.id() as i32), signal).unwrap();
            let (ended, said) = end(child, Duration::from_secs(5));
            assert_eq!(ended, code, "{args:?}: {said}");
        }
    }
    kill(netd, Signal::SIGCONT).unwrap();
    // What those that could not clean up have left is seen, and can be removed.
    eventually("netd answers", || host.rcr(&["network", "ls"]).code == 0);
    host.remove_containers();
    eventually("the network can go", || {
        host.rcr(&["network", "rm", "blue"]);
        !host.ok(&["network", "ls"]).contains("blue")
    });
    host.ok(&["run", "--rm", "--name", "a143", "alpine", "true"]);
    before.assert_restored(&host);
}

#[test]
fn a_wait_has_a_limit() {
    let host = Host::new();
    host.ok(&["network", "ls"]);
    let netd = Pid::from_raw(host.netd_pid().unwrap());
    kill(netd, Signal::SIGSTOP).unwrap();
    let children = [(spawn(&host, &["network", "ls"]), 1), (spawn(&host, &["run", "alpine", "sleep", "1000"]), 125)];
    for (child, wanted) in children {
        let (code, said) = end(child, Duration::from_secs(80));
        assert_eq!(code, wanted, "{said}");
        assert!(said.contains("ETIMEDOUT") && said.contains("hint: "), "{said}");
    }
    kill(netd, Signal::SIGCONT).unwrap();
    eventually("netd answers", || host.rcr(&["network", "ls"]).code == 0);
}

/// Makes it impossible to write a container's configuration, until the drop.
struct Unwritable(std::path::PathBuf);

impl Unwritable {
    fn new(host: &Host, id: &str) -> Self {
        let path = host.root().join("containers").join(id).join(".config.json");
        std::fs::create_dir_all(path.join("in-the-way")).unwrap();
        Self(path)
    }
}

impl Drop for Unwritable {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_connect_that_cannot_be_saved_did_not_happen_and_can_be_made_again() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    let id = host.ok(&["run", "-d", "--name", "c1", "alpine", "sleep", "1000"]);
    let links = || host.container_netns("c1").ip("-o link").lines().count();
    assert_eq!(links(), 2);
    let stuck = Unwritable::new(&host, &id);
    let said = host.refused(&["network", "connect", "blue", "c1"]);
    assert!(said.contains("cannot connect `c1` to network `blue`") && said.contains("(EISDIR)"), "{said}");
    assert_eq!(links(), 2, "it is not on it");
    drop(stuck);
    host.ok(&["network", "connect", "blue", "c1"]);
    assert_eq!(links(), 3);
    let stuck = Unwritable::new(&host, &id);
    host.refused(&["network", "disconnect", "blue", "c1"]);
    drop(stuck);
    host.ok(&["network", "disconnect", "blue", "c1"]);
    assert_eq!(links(), 2);
    host.ok(&["network", "connect", "blue", "c1"]);
    assert_eq!(links(), 3);
}

/// Killed between netd's part and the file: each command ends what the other one has begun.
#[test]
fn half_a_connect_can_be_ended_from_both_sides() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    let id = host.ok(&["run", "-d", "--name", "c1", "alpine", "sleep", "1000"]);
    let file = host.root().join("containers").join(&id).join("config.json");
    let links = || host.container_netns("c1").ip("-o link").lines().count();
    for again in ["connect", "disconnect"] {
        let before = std::fs::read(&file).unwrap();
        host.ok(&["network", "connect", "blue", "c1"]);
        std::fs::write(&file, &before).unwrap();
        host.ok(&["network", again, "blue", "c1"]);
        assert_eq!(links(), if again == "connect" { 3 } else { 2 });
        host.rcr(&["network", "disconnect", "blue", "c1"]);
        assert_eq!(links(), 2);
    }
    // The other way round: the file says that it is on it, netd that it is not.
    host.ok(&["network", "connect", "blue", "c1"]);
    let with = std::fs::read(&file).unwrap();
    host.ok(&["network", "disconnect", "blue", "c1"]);
    std::fs::write(&file, &with).unwrap();
    host.ok(&["network", "disconnect", "blue", "c1"]);
    host.ok(&["network", "connect", "blue", "c1"]);
    assert_eq!(links(), 3);
}
