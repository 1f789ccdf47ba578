//! Kills, full disks and hung helpers around a container's life: nothing runs unseen, no name is lost, force is force.
#![allow(clippy::unwrap_used)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::{Host, eventually};

/// Processes whose command line holds this word.
fn running(word: &str) -> Vec<i32> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if String::from_utf8_lossy(&line).split('\0').any(|arg| arg == word) && !stat.contains(") Z ") {
            all.push(pid);
        }
    }
    all
}

fn signal(pid: i64, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap();
}

/// Whether a listing has a container of this name.
fn listed(host: &Host, listing: &[&str], name: &str) -> bool {
    host.ok(listing).lines().any(|line| line.split_whitespace().last() == Some(name))
}

#[test]
fn netd_killed_while_a_container_starts_leaves_no_program_that_nobody_sees() {
    let host = Host::new();
    host.ok(&["network", "create", "n"]);
    let mut failed = 0;
    for (round, delay) in (4..40).step_by(3).enumerate() {
        host.ok(&["network", "ls"]);
        // A number of seconds that is this round's own.
        let seconds = format!("7{round:02}123");
        let name = format!("c{round}");
        let mut command = host.command(&["run", "-d", "--name", &name, "--network", "n", "alpine", "sleep", &seconds]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        host.kill_netd();
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            assert_eq!(running(&seconds).len(), 1);
            assert!(listed(&host, &["ps"], &name), "{output:?}");
            continue;
        }
        failed += 1;
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        let begin = Instant::now();
        eventually("the program is gone", || running(&seconds).is_empty());
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        assert!(!listed(&host, &["ps", "-a"], &name), "after {delay} ms: {output:?}");
        host.ok(&["run", "-d", "--name", &name, "--network", "n", "alpine", "true"]);
    }
    assert!(failed > 0, "no kill came in time");
}

#[test]
fn rcr_killed_while_a_container_starts_leaves_it_whole_or_not_running() {
    let host = Host::new();
    host.ok(&["network", "create", "n"]);
    for (round, delay) in (2..40).step_by(2).enumerate() {
        let seconds = format!("8{round:02}123");
        let name = format!("c{round}");
        let mut command = host.command(&["run", "-d", "--name", &name, "--network", "n", "alpine", "sleep", &seconds]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        let _ = child.kill();
        child.wait().unwrap();
        eventually("its program is seen or gone", || {
            let seen = host.ok(&["ps", "--format", "json"]).contains(&format!("\"Names\":\"{name}\""));
            seen == (running(&seconds).len() == 1)
        });
        // The name is a container's, or free.
        host.rcr(&["rm", "-f", &name]).expect_code(0);
        assert_eq!(host.ok(&["run", "--rm", "--name", &name, "--network", "none", "alpine", "echo", "free"]), "free");
        assert!(running(&seconds).is_empty(), "after {delay} ms");
    }
}

#[test]
fn a_shim_that_hangs_does_not_keep_its_container() {
    let host = Host::new();
    for verb in [&["stop", "-t", "1"][..], &["rm", "-f"]] {
        host.ok(&["run", "-d", "--name", "c", "--network", "none", "alpine", "sleep", "712345"]);
        let shim = host.inspect("c", "/Rcr/ShimPid").as_i64().unwrap();
        signal(shim, Signal::SIGSTOP);
        let begin = Instant::now();
        let ran = host.rcr(&[verb, &["c"]].concat());
        assert!(begin.elapsed() < Duration::from_secs(12), "{verb:?}: {:?} {ran:?}", begin.elapsed());
        ran.expect_code(0);
        eventually("it is gone", || running("712345").is_empty());
        host.ok(&["rm", "-f", "c"]);
        assert_eq!(host.ok(&["ps", "-aq"]), "");
    }
}

#[test]
fn a_name_without_a_container_heals() {
    let host = Host::new();
    let names = host.root().join("names");
    std::fs::create_dir_all(&names).unwrap();
    let nobody = "0".repeat(64);
    for (n, left) in
        [String::new(), "half".to_owned(), nobody.clone(), format!("{nobody}\n999999 1\n")].iter().enumerate()
    {
        let name = format!("n{n}");
        std::fs::write(names.join(&name), left).unwrap();
        assert_eq!(host.ok(&["ps", "-aq"]), "");
        assert_eq!(host.rcr(&["rm", "-f", &name]).expect_code(0).stdout, "");
        host.ok(&["run", "-d", "--name", &name, "--network", "none", "alpine", "true"]);
        assert!(host.refused(&["run", "--name", &name, "--network", "none", "alpine", "true"]).contains("is in use"));
        host.ok(&["rm", "-f", &name]);
    }
    assert_eq!(std::fs::read_dir(&names).unwrap().count(), 0);
}

#[test]
fn a_full_disk_takes_no_name_along() {
    let host = Host::new();
    // The folders of names and containers on a file system of their own, which is then filled.
    let small = host.scratch().join("small");
    std::fs::create_dir_all(&small).unwrap();
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "small"]).arg(&small).status();
    assert!(mounted.unwrap().success());
    for name in ["names", "containers"] {
        let folder = host.root().join(name);
        let _ = std::fs::remove_dir(&folder);
        std::fs::create_dir(small.join(name)).unwrap();
        std::os::unix::fs::symlink(small.join(name), folder).unwrap();
    }
    let fill = small.join("fill");
    let _ = std::fs::write(&fill, vec![0u8; 300 << 10]);
    let refused = host.rcr(&["run", "-d", "--name", "c", "--network", "none", "alpine", "sleep", "1000"]);
    assert_eq!(refused.code, 125, "{refused:?}");
    assert!(refused.stderr.contains("ENOSPC"), "{refused:?}");
    std::fs::remove_file(&fill).unwrap();
    let again = host.rcr(&["run", "-d", "--name", "c", "--network", "none", "alpine", "sleep", "1000"]);
    host.rcr(&["rm", "-f", "c"]);
    assert!(std::process::Command::new("umount").args(["-l"]).arg(&small).status().unwrap().success());
    assert_eq!(again.code, 0, "{again:?}");
}

#[test]
fn after_a_power_cut_a_container_tells_how_it_ended() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "ran", "--network", "none", "alpine", "sleep", "1000"]);
    host.ok(&["run", "-d", "--rm", "--name", "brief", "-v", "/data", "--network", "none", "alpine", "sleep", "1000"]);
    assert_eq!(host.rcr(&["run", "--name", "ended", "--network", "none", "alpine", "sh", "-c", "exit 3"]).code, 3);
    let started = host.inspect("ran", "/State/StartedAt");
    let finished = host.inspect("ended", "/State/FinishedAt");
    // The power goes: all processes and /run with it, and the next boot has another id.
    for name in ["ran", "brief"] {
        let shim = host.inspect(name, "/Rcr/ShimPid").as_i64().unwrap();
        let init = host.inspect(name, "/State/Pid").as_i64().unwrap();
        signal(shim, Signal::SIGKILL);
        let _ = kill(Pid::from_raw(init as i32), Signal::SIGKILL);
    }
    if host.netd_pid().is_some() {
        host.kill_netd();
    }
    tests::host::bury();
    std::fs::remove_dir_all(host.run_dir()).unwrap();
    for entry in std::fs::read_dir(host.root().join("containers")).unwrap().flatten() {
        let file = entry.path().join("state.json");
        // Where nothing outlives the power, there is nothing to change.
        let Ok(text) = std::fs::read(&file) else { continue };
        let mut state: serde_json::Value = serde_json::from_slice(&text).unwrap();
        state["boot_id"] = "another-boot".into();
        std::fs::write(&file, state.to_string()).unwrap();
    }
    assert_eq!(host.inspect("ran", "/State/Status"), "exited");
    assert_eq!(host.inspect("ran", "/State/ExitCode"), 137);
    assert_eq!(host.inspect("ran", "/State/StartedAt"), started);
    assert!(host.inspect("ran", "/State/Error").as_str().unwrap().contains("went down"));
    assert_eq!(
        (host.inspect("ended", "/State/ExitCode"), host.inspect("ended", "/State/FinishedAt")),
        (3.into(), finished)
    );
    // What was to go with its end goes with the first command that makes something.
    host.ok(&["run", "--rm", "--network", "none", "alpine", "true"]);
    assert!(!host.ok(&["ps", "-a"]).contains("brief"));
    assert_eq!(host.ok(&["volume", "ls", "-q"]), "");
    host.ok(&["start", "ran"]);
    assert_eq!(host.inspect("ran", "/State/Status"), "running");
}
