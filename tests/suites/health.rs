//! Health checks: when they run, what they say, and what comes of it.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use tests::host::{exec, sleeper};
use tests::images::{alpine_layer, config_of, docker_archive};
use tests::{Host, eventually};

/// A container whose check succeeds while the file `/ok` is there.
fn checked(host: &Host, name: &str, more: &[&str]) {
    let flags = ["--network", "none", "--health-cmd", "cat /ok", "--health-interval", "200ms", "--health-retries", "2"];
    sleeper(host, name, &[&flags[..], more].concat());
}

fn health(host: &Host, name: &str) -> String {
    host.ok(&["inspect", "-f", "{{.State.Health.Status}}", name])
}

#[track_caller]
fn becomes(host: &Host, name: &str, status: &str) {
    eventually(&format!("{name} is {status}"), || health(host, name) == status);
}

#[test]
fn a_check_says_how_a_container_is() {
    let host = Host::new();
    checked(&host, "c", &["--health-start-period", "1h", "--health-start-interval", "200ms"]);
    // Within the start period failures are seen and don't count.
    eventually("a check has run", || {
        host.inspect("c", "/State/Health/Log").as_array().is_some_and(|log| !log.is_empty())
    });
    assert_eq!(health(&host, "c"), "starting");
    assert_eq!(host.inspect("c", "/State/Health/FailingStreak"), 0);
    let first = host.inspect("c", "/State/Health/Log/0");
    assert!(first["ExitCode"] == 1 && first["Output"].as_str().unwrap().contains("No such file"), "{first}");
    host.ok(&["exec", "c", "sh", "-c", "echo fine > /ok"]);
    becomes(&host, "c", "healthy");
    assert!(host.ok(&["ps", "--format", "{{.Status}}"]).ends_with("(healthy)"));
    assert_eq!(host.ok(&["ps", "-q", "-f", "health=healthy"]).len(), 12);
    assert_eq!(host.rcr(&["healthcheck", "run", "c"]).expect_code(0).out(), "fine");
    // Once healthy, failures count.
    host.ok(&["exec", "c", "rm", "/ok"]);
    becomes(&host, "c", "unhealthy");
    assert!(host.inspect("c", "/State/Health/FailingStreak").as_u64() >= Some(2));
    host.rcr(&["healthcheck", "run", "c"]).expect_code(1);
    assert_eq!(host.inspect("c", "/State/Running"), true);
    eventually("five results are kept", || {
        host.inspect("c", "/State/Health/Log").as_array().is_some_and(|log| log.len() == 5)
    });
    // A new start knows nothing.
    host.ok(&["restart", "-t", "0", "c"]);
    assert_eq!(health(&host, "c"), "starting");
    host.ok(&["stop", "-t", "0", "c"]);
    assert!(!host.ok(&["ps", "-a", "--format", "{{.Status}}"]).contains("health"));
}

#[test]
fn an_unhealthy_container_is_killed_stopped_or_started_again() {
    let host = Host::new();
    checked(&host, "killed", &["--health-on-failure", "kill"]);
    checked(&host, "stopped", &["--health-on-failure", "stop", "--restart", "always", "--stop-timeout", "0"]);
    checked(&host, "again", &["--health-on-failure", "restart", "--stop-timeout", "0"]);
    host.await_status("killed", "exited");
    assert_eq!(host.inspect("killed", "/State/ExitCode"), 137);
    host.await_status("stopped", "exited");
    eventually("it was started again", || host.inspect("again", "/RestartCount").as_u64() >= Some(2));
}

#[test]
fn a_check_that_hangs_is_killed_and_one_that_writes_too_much_is_cut() {
    let host = Host::new();
    let quick = ["--network", "none", "--health-interval", "200ms", "--health-retries", "1"];
    let hangs = ["--health-timeout", "200ms", "--health-cmd", "exec sleep 4711"];
    sleeper(&host, "hangs", &[&quick[..], &hangs].concat());
    sleeper(&host, "shouts", &[&quick[..], &["--health-cmd", "yes | head -c 1000000"]].concat());
    sleeper(&host, "missing", &[&quick[..], &["--health-cmd", "no-such-program"]].concat());
    becomes(&host, "hangs", "unhealthy");
    let last = host.inspect("hangs", "/State/Health/Log/0");
    assert!(last["ExitCode"] == -1 && last["Output"] == "it took too long", "{last}");
    becomes(&host, "shouts", "healthy");
    let output = host.inspect("shouts", "/State/Health/Log/0/Output");
    assert_eq!(output.as_str().unwrap().len(), 4096);
    becomes(&host, "missing", "unhealthy");
    assert_eq!(host.inspect("missing", "/State/Health/Log/0/ExitCode"), 127);
    // None is left, neither of the programs nor of their parents.
    let inside = host.ok(&["exec", "hangs", "ps"]);
    assert!(inside.matches("4711").count() <= 1, "{inside}");
    let shim = host.inspect("shouts", "/Rcr/ShimPid");
    let children = std::fs::read_to_string(format!("/proc/{shim}/task/{shim}/children")).unwrap();
    assert!(children.split_whitespace().count() <= 2, "{children}");
}

#[test]
fn the_users_flags_come_over_the_images_check() {
    let host = Host::new();
    let check =
        json!({ "Test": ["CMD", "test", "-e", "/etc"], "Interval": 300_000_000, "Retries": 7, "Timeout": null });
    let layers = [alpine_layer()];
    let config = config_of(&layers, json!({ "Healthcheck": check }));
    host.ok(&["load", "-i", docker_archive(&host, "checked", &layers, &config).to_str().unwrap()]);
    let sleeper = |name: &str, flags: &[&str]| {
        host.ok(&[&["run", "-d", "--name", name, "--network", "none"], flags, &["checked:1", "sleep", "1000"]].concat())
    };
    sleeper("image", &[]);
    sleeper("none", &["--no-healthcheck"]);
    sleeper("other", &["--health-cmd", "false", "--health-retries", "1"]);
    becomes(&host, "image", "healthy");
    let check = host.inspect("image", "/Config/Healthcheck");
    assert_eq!(
        (&check["Interval"], &check["Retries"], &check["Timeout"]),
        (&json!(300_000_000), &json!(7), &json!(30_000_000_000_u64))
    );
    let asked = "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}{{if .Config.Healthcheck}}!{{end}}";
    assert_eq!(host.ok(&["inspect", "-f", asked, "none"]), "none");
    assert!(!host.ok(&["inspect", "-f", "{{json .State}}{{json .Config}}", "none"]).contains("Health"));
    assert!(host.rcr(&["inspect", "-f", "{{.State.Health.Status}}", "none"]).stderr.contains("no field `Status`"));
    becomes(&host, "other", "unhealthy");
    for (flags, why) in [
        (&["--health-interval", "soon"][..], "not a span"),
        (&["--health-interval", "10us"], "at least 1ms"),
        (&["--no-healthcheck", "--health-cmd", "true"], "--no-healthcheck"),
        (&["--health-on-failure", "pray"], "none, kill, restart, stop"),
    ] {
        let said = host.refused(&[&["run", "--network", "none"][..], flags, &["alpine", "true"]].concat());
        assert!(said.contains(why), "{said}");
    }
    assert!(host.refused(&["healthcheck", "run", "none"]).contains("--health-cmd"));
}

#[test]
fn a_program_that_ran_out_of_memory_is_told_from_one_that_was_killed() {
    let host = Host::new();
    let eat = "a=x; while :; do a=$a$a; done";
    let flags =
        ["run", "--name", "ate", "--network", "none", "-m", "16m", "--memory-swap", "16m", "alpine", "sh", "-c", eat];
    host.rcr(&flags).expect_code(137);
    assert_eq!(host.inspect("ate", "/State/OOMKilled"), true);
    sleeper(&host, "killed", &["--network", "none", "-m", "16m"]);
    host.ok(&["kill", "killed"]);
    host.await_status("killed", "exited");
    assert_eq!(
        (host.inspect("killed", "/State/ExitCode"), host.inspect("killed", "/State/OOMKilled")),
        (json!(137), json!(false))
    );
}

/// Whether `client` finds a name.
fn finds(host: &Host, client: &str, name: &str) -> bool {
    host.rcr(&["exec", client, "nslookup", name]).code == 0
}

#[test]
fn names_come_and_go_with_health_where_that_was_asked_for() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    let on = |name: &str, more: &[&str]| {
        let flags = ["--network", "blue", "--network-alias", "web", "--health-cmd", "cat /ok"];
        let quick = ["--health-interval", "200ms", "--health-retries", "1"];
        sleeper(&host, name, &[&flags[..], &quick, more].concat());
    };
    sleeper(&host, "client", &["--network", "blue"]);
    on("a", &["--dns-healthy-only", "--restart", "always"]);
    on("b", &["--dns-healthy-only"]);
    on("always", &["--network-alias", "other"]);
    becomes(&host, "b", "unhealthy");
    becomes(&host, "always", "unhealthy");
    let (a, id) = (host.address("a", "blue"), host.inspect("a", "/Id").as_str().unwrap()[..12].to_owned());
    let web = || host.ok(&["exec", "client", "nslookup", "web"]);
    let names = ["a", "a.blue", &id, &a];
    assert!(names.iter().all(|name| !finds(&host, "client", name)), "nobody is to find `a` yet");
    // Whoever did not ask for it has its names whatever its health is.
    assert!(finds(&host, "client", "other") && web().contains(&host.address("always", "blue")) && !web().contains(&a));
    host.ok(&["rm", "-f", "always"]);
    assert!(!finds(&host, "client", "web"));
    // The names are reached before the next question that the test can ask.
    exec(&host, "a", "touch /ok");
    eventually("`a` is found", || finds(&host, "client", "a"));
    assert!(names.iter().all(|name| finds(&host, "client", name)));
    assert!(web().contains(&a) && !web().contains(&host.address("b", "blue")));
    // A netd that starts knows who is healthy before it answers.
    host.kill_netd();
    host.ok(&["network", "ls"]);
    assert!(finds(&host, "client", "a") && !finds(&host, "client", "b"));
    // What changes while there is none is heard of, too.
    host.kill_netd();
    exec(&host, "b", "touch /ok");
    exec(&host, "a", "rm /ok");
    becomes(&host, "a", "unhealthy");
    becomes(&host, "b", "healthy");
    host.ok(&["network", "ls"]);
    assert!(finds(&host, "client", "b") && !finds(&host, "client", "a"));
    // A rename and another network follow it.
    host.ok(&["network", "create", "green"]);
    host.ok(&["network", "connect", "green", "a"]);
    host.ok(&["network", "connect", "green", "client"]);
    host.ok(&["rename", "a", "first"]);
    assert!(!finds(&host, "client", "first"));
    exec(&host, "first", "touch /ok");
    eventually("its new name is found", || finds(&host, "client", "first.green"));
    // A run that ends takes its health along.
    host.ok(&["exec", "first", "kill", "-9", "1"]);
    host.ok(&["restart", "-t", "0", "b"]);
    host.ok(&["exec", "b", "rm", "-f", "/ok"]);
    eventually("`b` is not found while it starts", || !finds(&host, "client", "b"));
}

#[test]
fn names_that_depend_on_health_need_a_check_and_names() {
    let host = Host::new();
    host.ok(&["network", "create", "blue"]);
    let create = |flags: &[&str]| host.refused(&[&["create", "--dns-healthy-only"][..], flags, &["alpine"]].concat());
    let said = create(&["--network", "blue"]);
    assert!(said.contains("it has no health check") && said.contains("hint: `--health-cmd"), "{said}");
    assert!(create(&["--network", "none", "--health-cmd", "true"]).contains("no names"));
    assert_eq!(host.ok(&["ps", "-aq"]), "");
    // A container on the host's network has a name on the others.
    sleeper(&host, "client", &["--network", "blue"]);
    let flags = ["--network", "host", "--dns-healthy-only", "--health-cmd", "false", "--health-retries", "1"];
    sleeper(&host, "ours", &[&flags[..], &["--health-interval", "200ms"]].concat());
    becomes(&host, "ours", "unhealthy");
    assert!(!finds(&host, "client", "ours"));
}
