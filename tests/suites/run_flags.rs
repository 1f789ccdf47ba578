//! Each flag of `rcr run`, by its effect.
#![allow(clippy::unwrap_used)]

use std::process::Stdio;
use tests::terminal::Terminal;
use tests::{Host, eventually};

const NONE: [&str; 2] = ["--network", "none"];

#[test]
fn name_hostname_label_env_workdir_user() {
    let host = Host::new();
    host.ok(&[
        "run",
        "-d",
        "--name",
        "c1",
        "--hostname",
        "box",
        "--label",
        "k=v",
        "--network",
        "none",
        "alpine",
        "sleep",
        "1000",
    ]);
    assert_eq!(host.inspect("c1", "/Config/Labels/k"), "v");
    assert_eq!(host.ok(&["exec", "c1", "hostname"]), "box");
    assert_eq!(host.ok(&["exec", "c1", "cat", "/etc/hostname"]), "box");
    assert_eq!(host.sh(&["-h", "short", "--network", "none"], "hostname"), "short");
    assert!(host.refused(&["run", "--name", "c1", "alpine", "true"]).contains("is in use"));

    let file = host.scratch().join("env");
    std::fs::write(&file, "# comment\nFROM_FILE=1\nOVER=file\n").unwrap();
    let flags = ["--env-file", file.to_str().unwrap(), "-e", "OVER=flag", "-e", "SPACE=a b", "--network", "none"];
    assert_eq!(host.sh(&flags, "echo $FROM_FILE $OVER $SPACE $HOME"), "1 flag a b /root");
    assert_eq!(host.sh(&["-w", "/made/here", "--network", "none"], "pwd"), "/made/here");
    assert_eq!(host.sh(&["-u", "nobody", "--network", "none"], "id -u; id -g; echo $HOME"), "65534\n65534\n/");
    assert_eq!(host.sh(&["-u", "1000:12", "--network", "none"], "id -u; id -g"), "1000\n12");
    let error = host.refused(&["run", "--rm", "-u", "stranger", "--network", "none", "alpine", "true"]);
    assert!(error.contains("/etc/passwd"), "{error}");
}

#[test]
fn entrypoint_rm_cidfile_and_detach() {
    let host = Host::new();
    let ran = host.ok(&["run", "--rm", "--entrypoint", "/bin/echo", "--network", "none", "alpine", "hello"]);
    assert_eq!(ran, "hello");
    assert_eq!(host.ok(&["ps", "-aq"]), "");
    let cid = host.scratch().join("cid");
    let id = host.ok(&["run", "-d", "--cidfile", cid.to_str().unwrap(), "--network", "none", "alpine", "true"]);
    assert_eq!(std::fs::read_to_string(&cid).unwrap(), id);
    assert!(host.refused(&["run", "--cidfile", cid.to_str().unwrap(), "alpine", "true"]).contains("exists"));
    host.ok(&["run", "-d", "--rm", "--name", "gone", "--network", "none", "alpine", "true"]);
    eventually("a detached --rm container goes by itself", || !host.ok(&["ps", "-a"]).contains("gone"));
}

#[test]
fn pipes_stay_pipes_and_streams_stay_apart() {
    let host = Host::new();
    let ran = host.rcr_with(&["run", "--rm", "-i", "--network", "none", "alpine", "cat"], "through\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "through\n"));
    let big = "x".repeat(3 << 20);
    assert_eq!(
        host.rcr_with(&["run", "--rm", "-i", "--network", "none", "alpine", "cat"], &big).stdout.len(),
        big.len()
    );
    // Without -i there is nothing to read.
    assert_eq!(host.rcr_with(&["run", "--rm", "--network", "none", "alpine", "cat"], "unseen").stdout, "");
    let ran = host.rcr(&["run", "--rm", "--network", "none", "alpine", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn a_terminal_is_a_real_one() {
    let host = Host::new();
    let mut terminal = Terminal::start(host.command(&["run", "--rm", "-it", "--network", "none", "alpine", "sh"]));
    terminal.send("stty size; tty\n");
    terminal.expect("30 100");
    terminal.expect("/dev/pts/0");
    terminal.resize(40, 120);
    terminal.send("stty size\n");
    terminal.expect("40 120");
    // Ctrl-C ends the foreground job, not the shell.
    terminal.send("sleep 1000\n");
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.send("\x03");
    terminal.send("echo alive-$((40+2))\n");
    terminal.expect("alive-42");
    terminal.send("exit 9\n");
    assert_eq!(terminal.wait(), 9);
    let ran = host.rcr(&["run", "--rm", "-it", "--network", "none", "alpine", "true"]);
    assert!(ran.code == 125 && ran.stderr.contains("the input is not one"), "{ran:?}");
}

#[test]
fn detach_keys_leave_it_running_and_attach_comes_back() {
    let host = Host::new();
    let mut terminal =
        Terminal::start(host.command(&["run", "-it", "--name", "c1", "--network", "none", "alpine", "sh"]));
    terminal.send("echo here-$((1+1))\n");
    terminal.expect("here-2");
    terminal.send("\x10\x11");
    assert_eq!(terminal.wait(), 0);
    host.await_status("c1", "running");
    let mut again = Terminal::start(host.command(&["attach", "--detach-keys", "ctrl-x", "c1"]));
    again.send("echo back-$((1+2))\n");
    again.expect("back-3");
    again.send("exit 4\n");
    assert_eq!(again.wait(), 4);
}

#[test]
fn volumes_binds_and_tmpfs() {
    let host = Host::new();
    let dir = host.scratch();
    std::fs::write(dir.join("file"), "data").unwrap();
    let path = dir.to_str().unwrap();
    assert_eq!(host.sh(&["-v", &format!("{path}:/v"), "--network", "none"], "cat /v/file; echo new > /v/made"), "data");
    assert_eq!(std::fs::read_to_string(dir.join("made")).unwrap(), "new\n");
    let read_only =
        host.rcr(&["run", "--rm", "-v", &format!("{path}:/v:ro"), "--network", "none", "alpine", "touch", "/v/x"]);
    assert!(read_only.code != 0 && read_only.stderr.contains("Read-only"), "{read_only:?}");
    let one = format!("type=bind,source={path}/file,target=/etc/one,readonly");
    assert_eq!(host.sh(&["--mount", &one, "--network", "none"], "cat /etc/one"), "data");
    host.sh(&["-v", "vol:/d", "--network", "none"], "echo kept > /d/f");
    assert_eq!(host.sh(&["--mount", "type=volume,source=vol,target=/d", "--network", "none"], "cat /d/f"), "kept");
    assert!(host.ok(&["volume", "ls", "-q"]).contains("vol"));
    host.ok(&["volume", "rm", "vol"]);
    assert_eq!(host.sh(&["-v", "/anonymous", "--network", "none"], "test -d /anonymous && echo yes"), "yes");
    assert_eq!(host.ok(&["volume", "ls", "-q"]), "");
    let tmpfs = host.sh(
        &["--tmpfs", "/t:size=1m", "--mount", "type=tmpfs,target=/u,tmpfs-size=2m", "--network", "none"],
        "grep -E ' /(t|u) ' /proc/mounts",
    );
    assert!(tmpfs.contains("size=1024k") && tmpfs.contains("size=2048k") && tmpfs.contains("noexec"), "{tmpfs}");
    let missing = host.refused(&["run", "--rm", "--mount", "type=bind,source=/no/such,target=/x", "alpine", "true"]);
    assert!(missing.contains("does not exist"), "{missing}");
}

#[test]
fn read_only_root() {
    let host = Host::new();
    let ran = host.rcr(&[
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        "touch /tmp/x && touch /x",
    ]);
    assert!(ran.code != 0 && ran.stderr.contains("/x: Read-only"), "{ran:?}");
}

#[test]
fn capabilities_are_added_and_dropped() {
    let host = Host::new();
    let bits = |flags: &[&str]| {
        let mut all = NONE.to_vec();
        all.extend(flags);
        host.sh(&all, "grep -E 'Cap(Eff|Amb|Bnd)' /proc/self/status | tr '\\n' ' '")
    };
    let net_admin = 1u64 << 12;
    let field = |text: &str, name: &str| {
        let value = text.split(&format!("{name}:")).nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        u64::from_str_radix(&value, 16).unwrap()
    };
    let default = bits(&[]);
    // Docker's 14: the mask as the kernel prints it in every container.
    assert_eq!(field(&default, "CapBnd"), 0xa804_25fb);
    assert_eq!(field(&bits(&["--cap-add", "NET_ADMIN"]), "CapEff") & net_admin, net_admin);
    assert_eq!(field(&bits(&["--cap-drop", "ALL"]), "CapEff"), 0);
    // Added by hand it is ambient: a user who is not root has it, too.
    assert_eq!(field(&bits(&["--cap-add", "NET_ADMIN", "-u", "1000"]), "CapEff"), net_admin);
    assert_eq!(field(&bits(&["-u", "1000"]), "CapEff"), 0);
}

#[test]
fn privileged_is_root_and_says_so() {
    let host = Host::new();
    let ran = host.rcr(&[
        "run",
        "--rm",
        "--privileged",
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        "mount -t tmpfs x /mnt && grep Seccomp: /proc/self/status",
    ]);
    assert!(ran.code == 0 && ran.stdout.contains("Seccomp:\t0") && ran.stderr.contains("warning: "), "{ran:?}");
}

#[test]
fn stop_signal_and_timeout() {
    let host = Host::new();
    let script = "trap 'echo usr1; exit 3' USR1; while :; do sleep 0.05; done";
    host.ok(&["run", "-d", "--name", "a", "--stop-signal", "USR1", "--network", "none", "alpine", "sh", "-c", script]);
    std::thread::sleep(std::time::Duration::from_millis(200));
    host.ok(&["stop", "a"]);
    assert_eq!(host.inspect("a", "/State/ExitCode"), 3);
    assert_eq!(host.ok(&["logs", "a"]), "usr1");
    // Deaf to its signal, it is killed after its own timeout.
    host.ok(&["run", "-d", "--name", "b", "--stop-timeout", "1", "--network", "none", "alpine", "sleep", "1000"]);
    host.ok(&["stop", "b"]);
    assert_eq!(host.inspect("b", "/State/ExitCode"), 137);
}

#[test]
fn init_buries_orphans_and_hands_signals_on() {
    let host = Host::new();
    let flags = [
        "run",
        "-d",
        "--name",
        "a",
        "--init",
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        "(sleep 0.1 &); exec sleep 1000",
    ];
    host.ok(&flags);
    assert!(host.ok(&["exec", "a", "cat", "/proc/1/cmdline"]).contains("rcr-init"));
    eventually("the orphan is buried", || !host.ok(&["exec", "a", "ps"]).contains(" Z"));
    host.ok(&["stop", "a"]);
    assert_eq!(host.inspect("a", "/State/ExitCode"), 128 + 15);
}

#[test]
fn limits_bite() {
    let host = Host::new();
    let ran = host.rcr(&[
        "run",
        "--rm",
        "--memory",
        "16m",
        "--memory-swap",
        "16m",
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        "head -c 64m /dev/zero | tail | wc -c",
    ]);
    assert_ne!(ran.stdout.trim(), "67108864", "64 MiB were held in 16: {ran:?}");
    let forks = host.rcr(&[
        "run",
        "--rm",
        "--pids-limit",
        "5",
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait",
    ]);
    assert!(forks.code != 0 || forks.stderr.contains("fork"), "{forks:?}");
    let cgroup = host.sh(
        &["--cpus", "0.5", "--memory", "64m", "--network", "none"],
        "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max",
    );
    assert!(cgroup.contains("50000") && cgroup.contains("67108864"), "{cgroup}");
    assert_eq!(host.sh(&["--ulimit", "nofile=111:222", "--network", "none"], "ulimit -Sn; ulimit -Hn"), "111\n222");
    assert_eq!(host.sh(&["--oom-score-adj", "300", "--network", "none"], "cat /proc/self/oom_score_adj"), "300");
    assert!(host.sh(&["--shm-size", "2m", "--network", "none"], "grep /dev/shm /proc/mounts").contains("size=2048k"));
}

#[test]
fn sysctls_of_the_containers_own_only() {
    let host = Host::new();
    let got = host.sh(
        &["--sysctl", "net.ipv4.ip_default_ttl=42", "--sysctl", "kernel.shmmni=77", "--network", "none"],
        "cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/shmmni",
    );
    assert_eq!(got, "42\n77");
    for bad in ["kernel.panic=1", "vm.swappiness=1", "net../../kernel/panic=1"] {
        assert!(
            host.refused(&["run", "--rm", "--sysctl", bad, "--network", "none", "alpine", "true"]).contains("sysctl")
        );
    }
    let shared =
        host.refused(&["run", "--rm", "--network", "host", "--sysctl", "net.ipv4.ip_forward=1", "alpine", "true"]);
    assert!(shared.contains("would change the host"), "{shared}");
}

#[test]
fn restart_policies() {
    let host = Host::new();
    host.ok(&[
        "run",
        "-d",
        "--name",
        "f",
        "--restart",
        "on-failure:2",
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        "echo run; exit 3",
    ]);
    host.await_status("f", "exited");
    assert_eq!(host.ok(&["logs", "f"]).lines().count(), 3);
    assert_eq!(host.inspect("f", "/RestartCount"), 2);
    host.ok(&["run", "-d", "--name", "ok", "--restart", "on-failure", "--network", "none", "alpine", "true"]);
    host.await_status("ok", "exited");
    assert_eq!(host.inspect("ok", "/RestartCount"), 0);
    for policy in ["always", "unless-stopped"] {
        host.ok(&[
            "run",
            "-d",
            "--name",
            policy,
            "--restart",
            policy,
            "--network",
            "none",
            "alpine",
            "sh",
            "-c",
            "sleep 0.1",
        ]);
        eventually("it was restarted twice", || host.inspect(policy, "/RestartCount").as_i64() >= Some(2));
        host.ok(&["stop", policy]);
        assert_eq!(host.inspect(policy, "/State/Status"), "exited");
    }
}

#[test]
fn add_host_and_dns_files() {
    let host = Host::new();
    let flags = [
        "--add-host",
        "db:192.0.2.9",
        "--add-host",
        "six=[2001:db8::9]",
        "--dns-search",
        "example.org",
        "--dns-option",
        "timeout:1",
    ];
    let text = host.sh(&flags, "cat /etc/hosts /etc/resolv.conf");
    assert!(text.contains("192.0.2.9\tdb") && text.contains("2001:db8::9\tsix"), "{text}");
    assert!(
        text.contains("nameserver 127.0.0.11") && text.contains("search example.org") && text.contains("timeout:1"),
        "{text}"
    );
    assert!(text.contains("ndots:0"), "{text}");
}

#[test]
fn killing_the_command_line_leaves_the_container_running() {
    let host = Host::new();
    let mut child = host
        .command(&["run", "--name", "c1", "--network", "none", "alpine", "sh", "-c", "echo up; sleep 1000"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Its output comes once the start is done; killed before, rcr leaves nothing.
    let mut said = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!(&said, b"up\n");
    child.kill().unwrap();
    child.wait().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(host.inspect("c1", "/State/Status"), "running");
    assert_eq!(host.ok(&["exec", "c1", "echo", "still"]), "still");
}

#[test]
fn the_callers_umask_does_not_reach_the_container() {
    let host = Host::new();
    let mut command = host.netns.command("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(tests::bin().join("rcr"));
    command.args([
        "run",
        "--rm",
        "-u",
        "1000",
        "alpine",
        "sh",
        "-c",
        "cat /etc/hosts /etc/resolv.conf /etc/hostname; umask",
    ]);
    let output = command.env("RCR_ROOT", host.root()).env("RCR_RUN", host.run_dir()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("127.0.0.1") && text.contains("nameserver") && text.trim().ends_with("0022"), "{text}");
}

#[test]
fn timings_tell_what_happened_when_and_change_nothing_else() {
    let host = Host::new();
    let ran = host.rcr(&["run", "--rm", "--timings", "--network", "none", "alpine", "sh", "-c", "echo out; exit 3"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, "out\n"), "{}", ran.stderr);
    // Moments of both programs, in the order of time; the columns are what has passed.
    let rows: Vec<&str> = ran.stderr.lines().skip(1).collect();
    let at = |row: &str| row.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).unwrap();
    assert!(rows.windows(2).all(|pair| at(pair[0]) <= at(pair[1])), "{}", ran.stderr);
    let place =
        |what: &str| rows.iter().position(|row| row.contains(what)).unwrap_or_else(|| panic!("{what}: {rows:?}"));
    let order = [
        "rcr begins",
        "rcr has saved the container",
        "shim has its orders",
        "shim sees that the program runs",
        "shim has removed the cgroups",
        "rcr ends",
    ];
    assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "{rows:?}");

    let ran = host.rcr(&["run", "-d", "--timings", "--network", "none", "alpine", "sleep", "1000"]);
    assert_eq!((ran.code, ran.stdout.trim().len()), (0, 64));
    assert!(ran.stderr.contains("shim sees that the program runs"), "{}", ran.stderr);
    let silent = host.rcr(&["run", "--rm", "--network", "none", "alpine", "true"]);
    assert_eq!(silent.stderr, "");
}
