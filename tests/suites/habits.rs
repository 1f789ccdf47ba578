//! What people type out of habit, and what scripts count on.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};
use tests::Host;

#[test]
fn what_stands_behind_the_image_is_the_commands() {
    let host = Host::new();
    let dummy = host.scratch().join("shared");
    std::fs::create_dir_all(&dummy).unwrap();
    // Each flag of ours, directly behind the image: it must reach the command as it is, and do nothing.
    let help = host.ok(&["run", "--help"]);
    let flags: Vec<String> = help
        .split_whitespace()
        .map(|word| word.trim_end_matches([',', '.', ':', ')']))
        .filter(|word| word.starts_with('-') && word.len() > 1)
        .map(|word| word.split(['=', '<', '[']).next().unwrap().to_owned())
        .collect();
    assert!(flags.len() > 50, "{flags:?}");
    let show = dummy.join("show");
    std::fs::write(&show, "#!/bin/sh\nprintf '%s|' \"$@\"\n").unwrap();
    std::fs::set_permissions(&show, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let bound = format!("{}:/show", show.display());
    for flag in &flags {
        let args = ["run", "--rm", "--network", "none", "-v", &bound, "--entrypoint", "/show", "alpine", flag, "x"];
        assert_eq!(host.rcr(&args).expect_code(0).out(), format!("{flag}|x|"));
    }
    let args = ["run", "--rm", "--network", "none", "--entrypoint", "sh", "alpine"];
    let ran = host.rcr(&[&args[..], &["--privileged", "-v", "/:/host", "-c", "ls /host"]].concat());
    assert_ne!(ran.code, 0, "{ran:?}");
    host.ok(&["run", "-d", "--name", "c", "--network", "none", "alpine", "sleep", "1000"]);
    assert_eq!(host.rcr(&["exec", "c", "-u", "1000", "id"]).code, 127);
    assert_eq!(host.rcr(&["exec", "c", "--privileged"]).code, 127);
    assert_eq!(host.ok(&["exec", "c", "echo", "-u", "--help", "--", "-t"]), "-u --help -- -t");
    host.ok(&["create", "--name", "d", "--network", "none", "alpine", "echo", "--rm", "-m", "64"]);
    assert_eq!(host.ok(&["start", "-a", "d"]), "--rm -m 64");
    assert_eq!(host.ok(&["container", "run", "--network", "none", "alpine", "echo", "--rm"]), "--rm");
}

#[test]
fn switches_take_true_and_false() {
    let host = Host::new();
    let base = ["--network", "none", "alpine", "echo", "ran"];
    assert_eq!(host.ok(&[&["run", "--rm=true", "-d=false", "--init=true"][..], &base].concat()), "ran");
    assert_eq!(host.ok(&["ps", "-aq"]), "");
    assert_eq!(host.ok(&[&["run", "--rm", "--rm=false", "--privileged=false"][..], &base].concat()), "ran");
    assert_eq!(host.ok(&["ps", "--all=true", "--quiet=true"]).len(), 12);
    assert_eq!(host.ok(&["ps", "--all=false", "-q"]), "");
    assert!(host.refused(&[&["run", "--rm=perhaps"][..], &base].concat()).contains("neither true nor false"));
}

#[test]
fn relative_binds_long_ports_groups_and_links() {
    let host = Host::new();
    let folder = host.scratch();
    std::fs::create_dir_all(folder.join("rel")).unwrap();
    std::fs::write(folder.join("rel/file"), "here").unwrap();
    let mut command =
        host.command(&["run", "--rm", "--network", "none", "-v", "./rel:/x:ro,cached", "alpine", "cat", "/x/file"]);
    assert_eq!(command.current_dir(&folder).output().unwrap().stdout, b"here");
    let own = host.sh(&["--network", "none"], "tail -n 1 /etc/group");
    let mut parts = own.split(':');
    let (group, number) = (parts.next().unwrap(), parts.nth(1).unwrap());
    let flags = ["--network", "none", "--group-add", group, "--group-add", "4242", "-u", "1000"];
    let groups = host.sh(&flags, "id -G");
    assert!(groups.split(' ').any(|id| id == number) && groups.contains("4242"), "{own}: {groups}");
    let error = host.refused(&["run", "--rm", "--network", "none", "--group-add", "nobodys", "alpine", "true"]);
    assert!(error.contains("/etc/group"), "{error}");
    host.ok(&["network", "create", "n"]);
    let long = "target=8080,published=5000,protocol=tcp,mode=host";
    host.ok(&["run", "-d", "--name", "web", "--network", "n", "-p", long, "alpine", "sleep", "1000"]);
    assert!(host.ok(&["port", "web"]).contains("8080/tcp -> 0.0.0.0:5000"));
    let linked = ["run", "--rm", "--network", "n", "--link", "web:db", "alpine", "ping", "-c", "1", "db"];
    assert!(host.ok(&linked).contains(&host.address("web", "n")));
    assert!(
        host.ok(&["run", "--rm", "--network", "n", "--link", "web", "alpine", "cat", "/etc/hosts"]).contains("\tweb")
    );
    host.ok(&["stop", "-t", "0", "web"]);
    assert!(host.refused(&linked).contains("rcr start web"));
    assert!(host.refused(&["run", "--link", "missing", "alpine", "true"]).contains("missing"));
}

#[test]
fn listings_filter_and_order_as_scripts_expect() {
    let host = Host::new();
    for name in ["web", "web2", "db"] {
        host.ok(&[
            "run",
            "-d",
            "--name",
            name,
            "--label",
            &format!("is={name}"),
            "--network",
            "none",
            "alpine",
            "sleep",
            "1000",
        ]);
    }
    let names = |filters: &[&str]| {
        let mut args = vec!["ps", "-a", "--format", "json"];
        args.extend(filters);
        let rows = host.ok(&args);
        let name =
            |row: &str| serde_json::from_str::<serde_json::Value>(row).unwrap()["Names"].as_str().unwrap().to_owned();
        rows.lines().map(name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&["-f", "name=^web$"]), "web");
    assert_eq!(names(&["-f", "name=^/web$"]), "web");
    assert_eq!(names(&["--filter", "name=web"]), "web2 web");
    assert_eq!(names(&["-f", "name=db", "-f", "name=web2"]), "db web2");
    assert_eq!(names(&["-f", "label=is=db", "-f", "label=is=web"]), "");
    assert_eq!(names(&["-f", "label!=is=db"]), "web2 web");
    assert_eq!(names(&["-f", "name=(web|db)", "-f", "status=exited"]), "");
    assert!(host.refused(&["ps", "-f", "name=("]).contains("name=("));
    assert!(host.refused(&["ps", "-f", "nmae=x"]).contains("`name`"));
    // One order for ids and rows.
    let ids: Vec<String> = host.ok(&["ps", "-q"]).lines().map(str::to_owned).collect();
    let rows: Vec<String> = host.ok(&["ps"]).lines().skip(1).map(|row| row[..12].to_owned()).collect();
    assert_eq!(ids, rows);
    let ran = host.rcr(&["rm", "-f", "nothing-there"]).expect_code(0);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("nothing-there"));
}

#[test]
fn several_are_stopped_restarted_and_removed_side_by_side() {
    let host = Host::new();
    let names = ["a", "b", "c", "d"];
    let script = "trap 'sleep 1.5; exit 0' TERM; while :; do sleep 0.1; done";
    for name in names {
        host.ok(&["run", "-d", "--name", name, "--network", "none", "alpine", "sh", "-c", script]);
    }
    let begin = Instant::now();
    let stopped = host.ok(&[&["stop"][..], &names].concat());
    assert_eq!(stopped, "a\nb\nc\nd");
    // Four times 1.5 s one after the other would be six.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(host.ok(&[&["restart"][..], &names].concat()), "a\nb\nc\nd");
    assert_eq!(host.ok(&["ps", "-q"]).lines().count(), 4);
    let ran = host.rcr(&[&["rm", "-f", "missing"][..], &names].concat()).expect_code(0);
    assert_eq!(ran.out(), "a\nb\nc\nd");
    assert_eq!(host.ok(&["ps", "-aq"]), "");
}

#[test]
fn pruning_asks() {
    let host = Host::new();
    host.ok(&["run", "--name", "old", "--network", "none", "alpine", "true"]);
    let ran = host.rcr_with(&["container", "prune"], "n\n").expect_code(0);
    assert!(ran.stderr.contains("[y/N]") && ran.stdout.is_empty(), "{ran:?}");
    host.rcr_with(&["container", "prune"], "").expect_code(0);
    assert_eq!(host.ok(&["ps", "-aq"]).lines().count(), 1);
    host.rcr_with(&["container", "prune"], "y\n").expect_code(0);
    assert_eq!(host.ok(&["ps", "-aq"]), "");
    host.ok(&["network", "create", "unused"]);
    host.rcr_with(&["network", "prune"], "n\n").expect_code(0);
    assert!(host.ok(&["network", "ls"]).contains("unused"));
    host.ok(&["network", "prune", "--force"]);
    assert!(!host.ok(&["network", "ls"]).contains("unused"));
}

#[test]
fn every_signal_goes_through_an_init() {
    let host = Host::new();
    // 34 and 62 are real-time signals; the shell traps both by number.
    let script = "trap 'echo got-min' 37; trap 'echo got-max' 62; trap 'echo got-usr' USR1; echo up; while :; do sleep 0.1; done";
    host.ok(&["run", "-d", "--init", "--name", "c", "--network", "none", "alpine", "sh", "-c", script]);
    tests::eventually("it runs", || host.ok(&["logs", "c"]).contains("up"));
    for (signal, word) in [("RTMIN+3", "got-min"), ("SIGRTMAX-2", "got-max"), ("USR1", "got-usr")] {
        host.ok(&["kill", "-s", signal, "c"]);
        tests::eventually(word, || host.ok(&["logs", "c"]).contains(word));
    }
    assert_eq!(host.inspect("c", "/State/Status"), "running");
    for bad in ["RTMIN+31", "RTMAX-31", "RTMIN-1", "SIGNOTHING", "65"] {
        host.refused(&["kill", "-s", bad, "c"]);
    }
}

#[test]
fn what_cant_be_given_is_a_warning() {
    let host = Host::new();
    let ran = host.rcr(&["run", "--rm", "--network", "none", "--ulimit", "nofile=99999999", "alpine", "true"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let most = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = most.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let hard: u64 = line.split_whitespace().nth(4).unwrap().parse().unwrap();
    let may = caps_of_this_process() & (1 << 24) != 0;
    assert_eq!(ran.stderr.contains("nofile=99999999"), !may && hard < 99_999_999, "{}", ran.stderr);
}

/// The effective capabilities (proc(5)).
fn caps_of_this_process() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

#[test]
fn a_health_check_that_nobody_can_run_is_named_once() {
    let host = Host::new();
    let said = |name: &str, test: &str| {
        let config = format!(r#"{{"Cmd":["true"],"Healthcheck":{{"Test":{test}}}}}"#);
        tests::images::layered(&host, name, "mkdir empty", &config);
        let ran = host.rcr(&["run", "--rm", "--network", "none", name]).expect_code(0);
        ran.stderr.matches("is not run").count()
    };
    assert_eq!(said("checked", r#"["CMD","true"]"#), 0);
    assert_eq!(said("shell", r#"["CMD-SHELL","true"]"#), 0);
    assert_eq!(said("strange", r#"["PRAY","true"]"#), 1);
    assert_eq!(said("none", r#"["NONE"]"#), 0);
    assert_eq!(said("empty", "[]"), 0);
}

#[test]
fn logs_keep_characters_whole_and_take_every_form_of_time() {
    let host = Host::new();
    let script = "i=0; while [ $i -lt 6000 ]; do printf 'h\\303\\251\\355\\225\\234\\360\\237\\230\\200'; i=$((i + 1)); done; echo";
    let out = host.ok(&["run", "--name", "c", "--network", "none", "alpine", "sh", "-c", script]);
    assert_eq!(out, "hé한😀".repeat(6000));
    assert_eq!(host.ok(&["logs", "c"]), out);
    let lines = |args: &[&str]| !host.ok(&[&["logs"], args, &["c"]].concat()).is_empty();
    for since in ["2026-01-01", "2026-01-01T10", "2026-01-01T10:00:00.5Z", "1136073600", "1136073600.5", "1h30m"] {
        assert!(lines(&["--since", since]), "{since}");
        assert!(!lines(&["--until", since]), "{since}");
    }
    host.refused(&["logs", "--since", "yesterday", "c"]);
}
