//! The command line: help, usage errors, listings, exit codes.
#![allow(clippy::unwrap_used)]

use tests::Host;

#[test]
fn every_verb_has_help_with_an_example() {
    let host = Host::bare();
    let verbs = "run create start stop restart kill rm wait ps logs exec attach port rename inspect version info images rmi \
                 image/import image/ls image/inspect image/rm image/tag network/create network/ls network/inspect network/rm \
                 network/connect network/disconnect network/plan network/prune container/run container/ls container/inspect \
                 container/prune volume/create volume/ls volume/inspect volume/rm";
    for verb in verbs.split_whitespace() {
        let mut args: Vec<&str> = verb.split('/').collect();
        args.push("--help");
        let help = host.ok(&args);
        assert!(help.contains("Example: rcr "), "{verb}: {help}");
    }
}

#[test]
fn usage_errors_name_the_way_out_and_exit_with_125() {
    let host = Host::bare();
    let dash = host.refused(&["run", "-network", "eui_bridge", "alpine", "sh"]);
    assert!(dash.contains("hint: did you mean `--network`?"), "{dash}");
    let near = host.refused(&["run", "--nam", "x", "alpine"]);
    assert!(near.contains("`--name`"), "{near}");
    for bad in [
        &["run", "-p", "99999:80", "alpine"][..],
        &["run", "-p", "1-3:1-2", "alpine"],
        &["run", "-v", "relative/path:/x", "alpine"],
        &["run", "--mount", "type=bind,sorce=/a,target=/b", "alpine"],
        &["run", "--memory", "lots", "alpine"],
        &["run", "--cpus", "0", "alpine"],
        &["run", "--ulimit", "nofiles=3", "alpine"],
        &["run", "--sysctl", "nothing", "alpine"],
        &["run", "--restart", "sometimes", "alpine"],
        &["run", "--rm", "--restart", "always", "alpine"],
        &["run", "-u", "4294967296", "alpine"],
        &["run", "--network", "name=x,ipp=1.2.3.4", "alpine"],
        &["run", "--network", "host", "--network", "bridge", "alpine"],
        &["run", "--cap-add", "FLY", "--name", "c", "no-such-image"],
        &["network", "create", "--subnet", "10.0.0.1/24", "n"],
        &["network", "create", "-d", "brige", "n"],
        &["network", "create", "-o", "mtuu=1500", "n"],
        &["nonsense"],
        &["run"],
    ] {
        host.refused(bad);
    }
    let option = host.refused(&["network", "create", "-o", "mtuu=1500", "n"]);
    assert!(option.contains("did you mean `mtu`"), "{option}");
}

#[test]
fn a_missing_image_is_one_clear_error_and_nothing_is_left() {
    let host = Host::new();
    let before = host.snapshot();
    let error = host.refused(&["run", "--name", "c1", "-v", "vol:/data", "nope", "true"]);
    assert!(error.contains("no such image: `nope`") && error.contains("hint: "), "{error}");
    before.assert_restored(&host);
}

#[test]
fn listings_are_tables_json_lines_or_ids() {
    let host = Host::new();
    let id = host.ok(&["run", "-d", "--name", "c1", "--label", "a=b", "alpine", "sleep", "1000"]);
    let table = host.ok(&["ps"]);
    assert!(table.starts_with("CONTAINER ID") && table.contains("c1") && table.contains("Up "), "{table}");
    assert_eq!(host.ok(&["ps", "-q"]), id[..12]);
    assert_eq!(host.ok(&["ps", "-q", "--no-trunc"]), id);
    let json: serde_json::Value = serde_json::from_str(&host.ok(&["container", "ls", "--format", "json"])).unwrap();
    assert_eq!((json["Names"].as_str(), json["State"].as_str()), (Some("c1"), Some("running")));
    assert_eq!(host.ok(&["ps", "-q", "--filter", "label=a=c"]), "");
    let networks = host.ok(&["network", "ls"]);
    assert!(
        networks.starts_with("NETWORK ID") && networks.contains("DRIVER") && networks.contains("SCOPE"),
        "{networks}"
    );
    let lines: Vec<serde_json::Value> = host
        .ok(&["network", "ls", "--format", "json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut names: Vec<&str> = lines.iter().map(|n| n["Name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["bridge", "host", "none"]);
    assert_eq!(host.ok(&["network", "ls", "-q"]).lines().count(), 3);
    let images: serde_json::Value = serde_json::from_str(&host.ok(&["images", "--format", "json"])).unwrap();
    assert_eq!((images["Repository"].as_str(), images["Tag"].as_str()), (Some("alpine"), Some("latest")));
    let version: serde_json::Value = serde_json::from_str(&host.ok(&["version", "--format", "json"])).unwrap();
    assert!(version["Server"]["Version"].is_string(), "{version}");
    let info: serde_json::Value = serde_json::from_str(&host.ok(&["info", "--format", "json"])).unwrap();
    assert_eq!(info["ContainersRunning"], 1);
}

#[test]
fn exit_codes_are_the_programs_own_or_dockers() {
    let host = Host::new();
    let code = |args: &[&str]| {
        let mut all = vec!["run", "--rm", "--network", "none", "alpine"];
        all.extend(args);
        host.rcr(&all).code
    };
    assert_eq!(code(&["true"]), 0);
    assert_eq!(code(&["sh", "-c", "exit 7"]), 7);
    assert_eq!(code(&["no-such-command"]), 127);
    assert_eq!(code(&["/etc/passwd"]), 126);
    assert_eq!(code(&["/etc"]), 126);
    // A signal from inside can't end the first process of a pid namespace; one of its children it can.
    assert_eq!(code(&["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"]), 128 + 15);
    host.ok(&["run", "-d", "--name", "k", "--network", "none", "alpine", "sleep", "1000"]);
    host.ok(&["kill", "k"]);
    assert_eq!(host.ok(&["wait", "k"]), "137");
}

#[test]
fn unknown_names_are_said_to_be_unknown() {
    let host = Host::bare();
    for args in [&["start", "x"][..], &["stop", "x"], &["kill", "x"], &["rm", "x"], &["wait", "x"]] {
        let ran = host.rcr(args);
        assert!(ran.code == 1 && ran.stderr.contains("no such container: `x`"), "{args:?}: {ran:?}");
    }
    for args in [&["exec", "x", "true"][..], &["logs", "x"], &["attach", "x"], &["port", "x"], &["rename", "x", "y"]] {
        assert!(host.refused(args).contains("no such container: `x`"));
    }
    assert_eq!(host.rcr(&["inspect", "x"]).code, 1);
    assert_eq!(host.rcr(&["network", "rm", "x"]).code, 1);
    assert_eq!(host.rcr(&["image", "rm", "x"]).code, 1);
}

#[test]
fn an_output_that_nobody_reads_ends_it_quietly_and_a_full_one_is_an_error() {
    let host = Host::bare();
    let run = |line: &str| {
        let mut shell = host.netns.command("bash");
        shell.args(["-c", line, "bash"]).arg(tests::bin().join("rcr"));
        let output = shell.env("RCR_ROOT", host.root()).env("RCR_RUN", host.run_dir()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // More than a pipe holds, and a reader that takes one line.
    for name in 0..40 {
        host.ok(&["network", "create", "--subnet", &format!("10.7.{name}.0/24"), &format!("n{name}")]);
    }
    let all = "\"$1\" network inspect $(\"$1\" network ls -q) $(\"$1\" network ls -q) $(\"$1\" network ls -q)";
    assert_eq!(run(&format!("{all} | head -n 1 > /dev/null; exit ${{PIPESTATUS[0]}}")), (Some(141), String::new()));
    let (code, said) = run("\"$1\" network ls > /dev/full");
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("error: cannot write to the standard output\n  caused by: ") && said.contains("ENOSPC"),
        "{said}"
    );
}

#[test]
fn without_cgroups_the_way_out_is_named() {
    let host = Host::new();
    let mut hidden = host.netns.command("unshare");
    hidden.args(["-m", "sh", "-c", "mount -t sysfs x /sys && exec \"$0\" \"$@\""]).arg(tests::bin().join("rcr"));
    hidden.args(["run", "--rm", "alpine", "true"]).env("RCR_ROOT", host.root()).env("RCR_RUN", host.run_dir());
    let output = hidden.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(125) && said.contains("hint: ") && said.contains("nsenter"), "{said}");
}

#[test]
fn exit_codes_are_dockers() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "--network", "none", "alpine", "sleep", "1d"]);
    for (args, code) in [
        (&["run", "--pull", "never", "no-such-image"][..], 125),
        (&["run", "--network", "no-such-network", "alpine", "true"], 125),
        (&["run", "--rm", "alpine", "no-such-program"], 127),
        (&["run", "--rm", "alpine", "/etc"], 126),
        (&["run", "--rm", "alpine", "sh", "-c", "exit 7"], 7),
        (&["exec", "c", "no-such-program"], 127),
        (&["exec", "c", "sh", "-c", "exit 7"], 7),
        (&["exec", "nobody", "true"], 1),
        (&["create", "--pull", "never", "no-such-image"], 1),
        (&["start", "nobody"], 1),
        (&["stop", "nobody"], 1),
        (&["rm", "nobody"], 1),
        (&["rm", "-f", "nobody"], 0),
        (&["inspect", "nobody"], 1),
        (&["logs", "nobody"], 1),
        (&["top", "nobody"], 1),
        (&["network", "create", "bridge"], 1),
        (&["ps", "--no-such-flag"], 125),
        (&["no-such-verb"], 125),
    ] {
        let ran = host.rcr(args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        assert!(ran.stdout.is_empty(), "{args:?}: {ran:?}");
    }
}
