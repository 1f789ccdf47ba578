//! `--log-driver` and `--log-opt`, by what is kept and what is sent.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tests::{Host, eventually};

fn log_path(host: &Host, name: &str) -> PathBuf {
    host.inspect(name, "/LogPath").as_str().unwrap().into()
}

/// The files of a log, by name, once nothing is being compressed.
fn files(host: &Host, name: &str) -> Vec<String> {
    let folder = log_path(host, name).parent().unwrap().to_owned();
    let names = || -> Vec<String> {
        let mut all: Vec<String> =
            std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        all.retain(|name| name.starts_with("container.log"));
        all.sort();
        all
    };
    eventually("older files are compressed", || !names().iter().any(|name| name.ends_with(".part")));
    names()
}

/// A container that has said lines 1 to `count`.
fn said(host: &Host, name: &str, count: usize, flags: &[&str]) {
    let mut args = vec!["run", "-d", "--name", name, "--network", "none"];
    args.extend(flags);
    let script = format!("i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i; done");
    args.extend(["alpine", "sh", "-c", &script]);
    host.ok(&args);
    host.await_status(name, "exited");
}

#[test]
fn files_rotate_by_the_containers_own_numbers() {
    let host = Host::new();
    said(&host, "plain", 400, &["--log-opt", "max-size=4k", "--log-opt", "max-file=3"]);
    assert_eq!(files(&host, "plain"), ["container.log", "container.log.1", "container.log.2"]);
    let kept = host.ok(&["logs", "plain"]);
    assert!(kept.ends_with("line 400") && !kept.contains("line 1\n"), "{kept}");
    let size = std::fs::metadata(log_path(&host, "plain").with_extension("log.1")).unwrap().len();
    assert!((3500..=4096).contains(&size), "{size}");
    // Docker's `local`, and `compress`: older files are packed, and read all the same.
    for (name, driver) in [("packed", "json-file"), ("local", "local")] {
        let compress = ["--log-driver", driver, "--log-opt", "compress=true", "--log-opt", "max-size=4k"];
        said(&host, name, 400, &[&compress[..], &["--log-opt", "max-file=20"]].concat());
        let names = files(&host, name);
        assert!(names.len() > 4 && names[1..].iter().all(|file| file.ends_with(".gz")), "{names:?}");
        let all: Vec<String> = (1..=400).map(|n| format!("line {n}")).collect();
        assert_eq!(host.ok(&["logs", name]), all.join("\n"), "{name}");
        assert_eq!(host.ok(&["logs", "--tail", "2", name]), "line 399\nline 400");
    }
    assert_eq!(host.inspect("local", "/HostConfig/LogConfig/Type"), "local");
    assert_eq!(host.inspect("local", "/HostConfig/LogConfig/Config/max-size"), "4k");
    // One file alone: what is old is gone.
    said(&host, "one", 400, &["--log-opt", "max-size=4k", "--log-opt", "max-file=1"]);
    assert_eq!(files(&host, "one"), ["container.log"]);
}

#[test]
fn a_log_that_rotates_is_followed_without_a_gap() {
    let host = Host::new();
    let script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; sleep 1";
    for (name, compress) in [("a", "false"), ("b", "true")] {
        let packed = format!("compress={compress}");
        let opts = ["--log-opt", "max-size=8k", "--log-opt", "max-file=100", "--log-opt", &packed];
        let mut args = vec!["run", "-d", "--name", name, "--network", "none"];
        args.extend(opts);
        args.extend(["alpine", "sh", "-c", script]);
        host.ok(&args);
        let mut follow = host.command(&["logs", "-f", name]).stdout(Stdio::piped()).spawn().unwrap();
        let lines: Vec<String> = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
        follow.wait().unwrap();
        let all: Vec<String> = (1..=3000).map(|n| format!("line {n}")).collect();
        assert_eq!(lines.len(), all.len(), "{name}");
        assert!(lines == all, "{name}");
    }
}

#[test]
fn a_killed_shim_leaves_a_log_that_can_be_read_and_goes_on() {
    let host = Host::new();
    let script = "i=0; while :; do i=$((i+1)); echo line $i; done";
    let opts = ["--log-opt", "max-size=64k", "--log-opt", "max-file=4", "--log-opt", "compress=true"];
    let mut args = vec!["run", "-d", "--name", "c", "--network", "none"];
    args.extend(opts);
    args.extend(["alpine", "sh", "-c", script]);
    host.ok(&args);
    let path = log_path(&host, "c");
    eventually("it has rotated", || path.with_extension("log.1.gz").exists());
    let shim = i32::try_from(host.inspect("c", "/Rcr/ShimPid").as_i64().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL).unwrap();
    host.await_status("c", "exited");
    let before = host.ok(&["logs", "--tail", "3", "c"]);
    assert!(before.starts_with("line "), "{before}");
    host.ok(&["start", "c"]);
    eventually("it rotates again", || host.ok(&["logs", "--tail", "1", "c"]).starts_with("line "));
    host.ok(&["rm", "-f", "c"]);
}

#[test]
fn none_keeps_nothing_and_says_so() {
    let host = Host::new();
    let ran = host.rcr(&["run", "--rm", "--network", "none", "--log-driver", "none", "alpine", "echo", "seen"]);
    assert_eq!(ran.out(), "seen");
    said(&host, "c", 3, &["--log-driver", "none"]);
    assert_eq!(files(&host, "c"), Vec::<String>::new());
    let error = host.refused(&["logs", "c"]);
    assert!(error.contains("container `c` keeps no log") && error.contains("--log-driver none"), "{error}");
}

#[test]
fn what_is_noted_with_each_line_is_shown_with_details() {
    let host = Host::new();
    let flags = [
        "--label",
        "tier=db",
        "--label",
        "secret=x",
        "-e",
        "REGION=eu",
        "--log-opt",
        "labels=tier",
        "--log-opt",
        "env-regex=^REG",
        "--log-opt",
        "tag={{.Name}}/{{.ImageName}}",
    ];
    said(&host, "c", 1, &flags);
    assert_eq!(host.ok(&["logs", "c"]), "line 1");
    assert_eq!(host.ok(&["logs", "--details", "c"]), "REGION=eu,tag=c/alpine,tier=db line 1");
}

#[test]
fn a_syslog_gets_every_line_and_logs_keep_working() {
    let host = Host::new();
    let path = host.scratch().join("syslog");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let address = format!("syslog-address=unixgram://{}", path.display());
    let flags = ["--log-driver", "syslog", "--log-opt", &address, "--log-opt", "tag={{.Name}}"];
    let mut args = vec!["run", "-d", "--name", "web", "--network", "none"];
    args.extend(flags);
    args.extend(["--log-opt", "syslog-facility=local0", "alpine", "sh", "-c", "echo out; echo err >&2"]);
    host.ok(&args);
    let mut buffer = [0; 1000];
    let mut got: Vec<String> = Vec::new();
    for _ in 0..2 {
        let length = socket.recv(&mut buffer).unwrap();
        got.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
    }
    got.sort();
    // local0 is 16: 16 * 8 + 3 and + 6.
    assert!(got[0].starts_with("<131>") && got[0].ends_with("]: err") && got[0].contains(" web["), "{got:?}");
    assert!(got[1].starts_with("<134>") && got[1].ends_with("]: out"), "{got:?}");
    host.await_status("web", "exited");
    assert_eq!(host.rcr(&["logs", "web"]).stdout.trim(), "out");
    // Nobody listens: the start says so, and nothing is left.
    drop(socket);
    std::fs::remove_file(&path).unwrap();
    let before = host.snapshot();
    let mut args = vec!["run", "--network", "none"];
    args.extend(flags);
    args.extend(["alpine", "true"]);
    let error = host.refused(&args);
    assert!(error.contains("open the container's log") && error.contains("ENOENT"), "{error}");
    before.assert_restored(&host);
}

#[test]
fn drivers_and_options_that_are_not_there_are_refused_by_name() {
    let host = Host::new();
    for (flags, says) in [
        (&["--log-driver", "fluentd"][..], "rcr sends nothing to a service by `fluentd`"),
        (&["--log-driver", "json-files"], "did you mean `json-file`"),
        (&["--log-opt", "max-sise=1m"], "has no option `max-sise`; did you mean `max-size`"),
        (&["--log-opt", "max-size=lots"], "`lots` is not a size"),
        (&["--log-opt", "max-file=0"], "`0` is not a number of files"),
        (&["--log-opt", "tag={{.Nme}}"], "a tag has no field `.Nme`"),
        (&["--log-driver", "none", "--log-opt", "max-size=1m"], "has no option `max-size`"),
        (&["--log-driver", "syslog", "--log-opt", "syslog-address=tcp://192.0.2.1:514"], "forwards by TCP"),
    ] {
        let mut args = vec!["run", "--network", "none"];
        args.extend(flags);
        args.extend(["alpine", "true"]);
        let said = host.refused(&args);
        assert!(said.contains(says), "{flags:?}: {said}");
    }
    assert_eq!(host.ok(&["ps", "-aq"]), "");
}
