//! `pause`, `unpause`, `top`, `update`, `wait --condition`.
#![allow(clippy::unwrap_used)]

use tests::{Host, eventually};

fn run(host: &Host, name: &str, flags: &[&str], script: &str) {
    let all =
        [&["run", "-d", "--name", name, "--network", "none"][..], flags, &["alpine", "sh", "-c", script]].concat();
    host.ok(&all);
}

const COUNTS: &str = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.01; done";

fn count(host: &Host, name: &str) -> u64 {
    let file = host.scratch().join("count");
    // It has just begun.
    eventually("it counts", || host.rcr(&["cp", &format!("{name}:/tmp/count"), file.to_str().unwrap()]).code == 0);
    std::fs::read_to_string(&file).unwrap().trim().parse().unwrap_or(0)
}

#[test]
fn a_paused_container_stands_still_and_goes_on() {
    let host = Host::new();
    run(&host, "c", &[], COUNTS);
    eventually("it counts", || count(&host, "c") > 3);
    assert_eq!(host.ok(&["pause", "c"]), "c");
    let before = count(&host, "c");
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(count(&host, "c"), before, "it stands still");
    assert!(host.ok(&["ps"]).contains("(Paused)"));
    assert_eq!(host.ok(&["ps", "-q", "--no-trunc", "-f", "status=paused"]).len(), 64);
    let state = "{{.State.Status}} {{.State.Running}} {{.State.Paused}}";
    assert_eq!(host.ok(&["inspect", "-f", state, "c"]), "paused true true");
    assert_eq!(host.ok(&["info", "-f", "{{.ContainersPaused}} {{.ContainersRunning}}"]), "1 0");
    let said = host.refused(&["exec", "c", "true"]);
    assert!(said.contains("it is paused") && said.contains("hint: `rcr unpause c`"), "{said}");
    assert!(host.refused(&["pause", "c"]).contains("it is paused already"));
    assert!(host.refused(&["start", "c"]).contains("`rcr unpause c`"));
    assert!(host.refused(&["attach", "c"]).contains("`rcr unpause c`"));
    // A commit leaves it as it is.
    host.ok(&["commit", "c", "frozen:1"]);
    assert_eq!(count(&host, "c"), before);
    assert_eq!(host.ok(&["unpause", "c"]), "c");
    eventually("it goes on", || count(&host, "c") > before);
    assert!(host.refused(&["unpause", "c"]).contains("it is not paused"));
    host.ok(&["stop", "-t", "0", "c"]);
    assert!(host.refused(&["pause", "c"]).contains("it is not running"));
}

#[test]
fn a_paused_container_can_be_stopped_killed_and_removed() {
    let host = Host::new();
    for (name, end, code) in [
        ("a", &["stop", "a"][..], "143"),
        ("b", &["kill", "b"][..], "137"),
        ("c", &["kill", "-s", "TERM", "c"][..], "143"),
    ] {
        run(&host, name, &[], "trap 'exit 143' TERM; while :; do sleep 0.05; done");
        host.ok(&["pause", name]);
        host.ok(end);
        assert_eq!(host.ok(&["wait", name]), code, "{end:?}");
    }
    run(&host, "d", &["--restart", "always"], "sleep 1d");
    host.ok(&["pause", "d"]);
    host.ok(&["restart", "-t", "0", "d"]);
    assert_eq!(host.ok(&["inspect", "-f", "{{.State.Status}}", "d"]), "running");
    host.ok(&["pause", "d"]);
    // Another signal waits for it.
    host.ok(&["kill", "-s", "HUP", "d"]);
    assert_eq!(host.ok(&["inspect", "-f", "{{.State.Status}}", "d"]), "paused");
    host.ok(&["rm", "-f", "d"]);
    assert!(!host.ok(&["ps", "-aq", "-f", "name=^d$"]).contains('d'));
}

#[test]
fn limits_change_while_it_runs() {
    let host = Host::new();
    run(&host, "c", &["-m", "64m", "--cpus", "0.5"], "sleep 1d");
    let update = ["update", "-m", "96m", "--cpus", "1.5", "--cpu-shares", "512", "--pids-limit", "77", "c"];
    assert_eq!(host.ok(&update), "c");
    let fields = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}} {{.HostConfig.PidsLimit}}";
    assert_eq!(host.ok(&["inspect", "-f", fields, "c"]), "100663296 1500000000 512 77");
    let files =
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu*/cpu.cfs_quota_us cpu*/cpu.shares pids/pids.max";
    let unified = "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max";
    let seen = host.ok(&[
        "exec",
        "c",
        "sh",
        "-c",
        &format!("[ -e /sys/fs/cgroup/memory.max ] && {{ {unified}; }} || {{ {files}; }}"),
    ]);
    assert!(["100663296", "150000", "77"].iter().all(|want| seen.contains(want)), "{seen}");
    // The next start has them, too; what is not named stays.
    host.ok(&["update", "--cpu-quota", "20000", "c"]);
    host.ok(&["restart", "-t", "0", "c"]);
    let fields = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuQuota}}";
    assert_eq!(host.ok(&["inspect", "-f", fields, "c"]), "100663296 0 20000");
    // One that does not run.
    host.ok(&["create", "--name", "idle", "--network", "none", "alpine", "cat", "/sys/fs/cgroup/pids/pids.max"]);
    host.ok(&["update", "--pids-limit", "55", "idle"]);
    assert_eq!(host.ok(&["inspect", "-f", "{{.HostConfig.PidsLimit}}", "idle"]), "55");
}

#[test]
fn what_cannot_be_updated_is_left_as_it_was() {
    let host = Host::new();
    run(&host, "c", &["-m", "64m"], "sleep 1d");
    let before = host.ok(&["inspect", "-f", "{{json .HostConfig}}", "c"]);
    for bad in [
        &["update", "-m", "1k", "c"][..],
        &["update", "--cpuset-cpus", "4000", "c"],
        &["update", "--memory-reservation", "1g", "c"],
        &["update", "--restart", "sometimes", "c"],
        &["update", "c"],
        &["update", "-m", "64m"],
    ] {
        let said = host.refused(bad);
        assert!(said.starts_with("error: "), "{said}");
        assert_eq!(host.ok(&["inspect", "-f", "{{json .HostConfig}}", "c"]), before, "{bad:?}");
    }
    let some = host.rcr(&["update", "--pids-limit", "9", "nobody", "c"]);
    assert!(some.code == 1 && some.out() == "c" && some.stderr.contains("no such container: `nobody`"), "{some:?}");
    host.ok(&["run", "-d", "--rm", "--name", "gone", "--network", "none", "alpine", "sleep", "1d"]);
    assert!(host.refused(&["update", "--restart", "always", "gone"]).contains("removed when it ends"));
}

#[test]
fn a_new_restart_policy_holds_at_once() {
    let host = Host::new();
    run(
        &host,
        "c",
        &[],
        "[ -e /again ] && exec sleep 1d; touch /again; while [ ! -e /go ]; do sleep 0.02; done; exit 3",
    );
    host.ok(&["update", "--restart", "on-failure:2", "c"]);
    // The container may end, and this with it, before it has said so.
    host.rcr(&["exec", "c", "touch", "/go"]);
    eventually("it was started again", || {
        host.ok(&["inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "c"]) == "1 running"
    });
    host.ok(&["update", "--restart", "no", "c"]);
    host.ok(&["kill", "-s", "KILL", "c"]);
    assert_eq!(host.ok(&["wait", "c"]), "137");
    assert_eq!(host.ok(&["inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", "c"]), "no");
}

#[test]
fn processes_as_ps_shows_them() {
    let host = Host::new();
    run(&host, "c", &[], "sleep 1000 & sleep 2000");
    eventually("both sleep", || host.ok(&["top", "c"]).matches("sleep").count() >= 2);
    let all = host.ok(&["top", "c"]);
    let mut lines = all.lines();
    let titles: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(titles, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    assert!(lines.all(|line| line.contains("sleep")), "no other process is there: {all}");
    let own = host.ok(&["top", "c", "-o", "pid,args"]);
    assert!(own.starts_with("PID") && own.contains("sleep 1000"), "{own}");
    assert!(host.ok(&["container", "top", "c", "aux"]).contains("%CPU"));
    assert!(host.refused(&["top", "c", "-o", "args"]).contains("no column PID"));
    assert!(host.refused(&["top", "c", "--no-such-option"]).contains("ps: "));
    host.ok(&["stop", "-t", "0", "c"]);
    assert!(host.refused(&["top", "c"]).contains("it is exited"));
    assert!(host.refused(&["top", "nobody"]).contains("no such container"));
}

#[test]
fn waiting_for_a_state() {
    let host = Host::new();
    let check = ["--health-cmd", "[ -e /well ]", "--health-interval", "50ms", "--health-retries", "2"];
    run(
        &host,
        "c",
        &[&check[..], &["--health-start-period", "1h", "--health-start-interval", "50ms"]].concat(),
        "sleep 1d",
    );
    host.ok(&["wait", "--condition", "running", "c"]);
    let waits = host.spawn(&["wait", "--condition", "healthy", "c"]);
    host.ok(&["exec", "c", "touch", "/well"]);
    let out = waits.wait_with_output().unwrap();
    assert!(out.status.success() && out.stdout.is_empty(), "{out:?}");
    assert_eq!(host.ok(&["inspect", "-f", "{{.State.Health.Status}}", "c"]), "healthy");

    let next = host.spawn(&["wait", "--condition", "next-exit", "c"]);
    let gone = host.spawn(&["wait", "--condition", "removed", "c"]);
    eventually("both wait", || [next.id(), gone.id()].into_iter().all(waits_for_files));
    host.ok(&["kill", "c"]);
    assert_eq!(String::from_utf8(next.wait_with_output().unwrap().stdout).unwrap(), "137\n");
    host.ok(&["rm", "c"]);
    assert_eq!(String::from_utf8(gone.wait_with_output().unwrap().stdout).unwrap(), "137\n");

    run(&host, "ill", &check, "sleep 1d");
    host.ok(&["wait", "--condition", "unhealthy", "ill"]);
    assert!(host.refused(&["wait", "--condition", "healthy", "ill"]).contains("it is unhealthy"));
    run(&host, "plain", &[], "exit 4");
    assert!(host.refused(&["wait", "--condition", "healthy", "plain"]).contains("it has no health check"));
    assert!(host.refused(&["wait", "--condition", "helthy", "plain"]).contains("healthy"));
    assert_eq!(host.ok(&["wait", "--condition", "exited", "plain"]), "4");
}

/// Whether a process is at rest in poll(2).
fn waits_for_files(pid: u32) -> bool {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    links.filter_map(|link| std::fs::read_link(link.path()).ok()).any(|to| to.to_string_lossy().contains("inotify"))
}
