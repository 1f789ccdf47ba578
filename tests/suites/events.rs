//! What has happened and what happens: `rcr events`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tests::host::sleeper;
use tests::registry::Real;
use tests::{Host, eventually};

/// All events so far that these filters let through.
#[track_caller]
fn told(host: &Host, filters: &[&str]) -> Vec<Value> {
    let mut args = vec!["events", "--since", "0", "--until", "0s", "--format", "json"];
    filters.iter().for_each(|filter| args.extend(["-f", filter]));
    host.ok(&args).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn actions(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["Action"].as_str().unwrap().to_owned()).collect()
}

fn attribute<'a>(event: &'a Value, name: &str) -> &'a str {
    event["Actor"]["Attributes"][name].as_str().unwrap_or_else(|| panic!("no {name} in {event}"))
}

/// `rcr events` that goes on; its lines.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn start(host: &Host, args: &[&str]) -> Self {
        let mut command = host.command(&[&["events"], args].concat());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    #[track_caller]
    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(20)).expect("an event")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_container_has_a_story() {
    let host = Host::new();
    host.ok(&["create", "--name", "c", "-l", "tier=web", "--network", "none", "alpine", "sleep", "1000"]);
    host.ok(&["start", "c"]);
    host.rcr(&["exec", "c", "sh", "-c", "exit 4"]).expect_code(4);
    host.ok(&["kill", "-s", "CONT", "c"]);
    host.ok(&["rename", "c", "d"]);
    let file = host.scratch().join("file");
    std::fs::write(&file, "x").unwrap();
    host.ok(&["cp", file.to_str().unwrap(), "d:/"]);
    host.ok(&["cp", "d:/file", file.to_str().unwrap()]);
    host.ok(&["export", "-o", host.scratch().join("tar").to_str().unwrap(), "d"]);
    host.ok(&["restart", "-t", "0", "d"]);
    let id = host.inspect("d", "/Id");
    host.ok(&["rm", "-f", "d"]);
    let all = told(&host, &["type=container"]);
    let want = [
        "create",
        "start",
        "exec_create: sh -c exit 4",
        "exec_start: sh -c exit 4",
        "exec_die",
        "kill",
        "rename",
        "extract-to-dir",
        "archive-path",
        "export",
        "kill",
        "kill",
        "die",
        "stop",
        "start",
        "restart",
        "kill",
        "die",
        "destroy",
    ];
    assert_eq!(actions(&all), want);
    for event in &all {
        assert_eq!((&event["Actor"]["ID"], &event["id"], &event["status"]), (&id, &id, &event["Action"]));
        assert_eq!((attribute(event, "image"), attribute(event, "tier")), ("alpine", "web"));
        assert!(event["from"] == "alpine" && event["scope"] == "local", "{event}");
        let nanoseconds = event["timeNano"].as_i64().unwrap();
        assert_eq!(event["time"].as_i64().unwrap(), nanoseconds / 1_000_000_000);
    }
    assert!(all.windows(2).all(|pair| pair[0]["timeNano"].as_i64() <= pair[1]["timeNano"].as_i64()));
    assert_eq!((attribute(&all[4], "exitCode"), attribute(&all[4], "execID").len()), ("4", 64));
    assert_eq!(
        (attribute(&all[2], "execID"), attribute(&all[3], "execID")),
        (attribute(&all[4], "execID"), attribute(&all[4], "execID"))
    );
    assert_eq!((attribute(&all[5], "signal"), attribute(&all[5], "name")), ("18", "c"));
    assert_eq!((attribute(&all[6], "oldName"), attribute(&all[6], "name")), ("/c", "d"));
    // Its shim has heard of the new name.
    assert_eq!((attribute(&all[12], "name"), attribute(&all[12], "exitCode")), ("d", "137"));
    attribute(&all[12], "execDuration").parse::<u64>().unwrap();
}

#[test]
fn an_attached_run_and_its_restarts_are_told_in_order() {
    let host = Host::new();
    host.rcr(&["run", "--rm", "--name", "c", "--network", "none", "alpine", "sh", "-c", "exit 3"]).expect_code(3);
    let all = told(&host, &["container=c"]);
    assert_eq!(actions(&all), ["create", "attach", "start", "die", "destroy"]);
    assert_eq!(attribute(&all[3], "exitCode"), "3");
    let policy = ["run", "-d", "--name", "again", "--restart", "on-failure:2", "--network", "none", "alpine", "false"];
    host.ok(&policy);
    host.await_status("again", "exited");
    let all = told(&host, &["container=again"]);
    assert_eq!(actions(&all), ["create", "start", "die", "start", "die", "start", "die"]);
    let eater = "x=a; while :; do x=$x$x; done";
    host.rcr(&["run", "--name", "eats", "-m", "16m", "--network", "none", "alpine", "sh", "-c", eater]);
    assert_eq!(actions(&told(&host, &["container=eats", "event=oom", "event=die"])), ["oom", "die"]);
}

#[test]
fn images_networks_and_volumes_have_theirs() {
    let host = Host::new();
    let before = told(&host, &[]);
    assert_eq!(actions(&before), ["import"]);
    let archive = host.scratch().join("a.tar");
    host.ok(&["tag", "alpine", "localhost:5000/other:1"]);
    host.ok(&["save", "-o", archive.to_str().unwrap(), "alpine"]);
    host.ok(&["load", "-i", archive.to_str().unwrap()]);
    let registry = Real::start(&host, None);
    assert_eq!(registry.name, "localhost:5000");
    host.ok(&["push", "localhost:5000/other:1"]);
    host.ok(&["rmi", "localhost:5000/other:1"]);
    host.ok(&["pull", "localhost:5000/other:1"]);
    host.ok(&["rmi", "-f", "alpine"]);
    let images = told(&host, &["type=image"]);
    assert_eq!(actions(&images)[..7], ["import", "tag", "save", "load", "push", "untag", "pull"]);
    assert_eq!(attribute(&images[1], "name"), "localhost:5000/other:1");
    assert_eq!(
        (&images[6]["Actor"]["ID"], attribute(&images[6], "name")),
        (&"localhost:5000/other:1".into(), "localhost:5000/other")
    );
    host.ok(&["network", "create", "blue"]);
    let id = host.ok(&["network", "inspect", "-f", "{{.Id}}", "blue"]);
    let other = "localhost:5000/other:1";
    host.ok(&[
        "run",
        "-d",
        "--name",
        "c",
        "--network",
        "blue",
        "-v",
        "v:/v",
        "-v",
        "/anonymous",
        other,
        "sleep",
        "1000",
    ]);
    host.ok(&["network", "update", "--label", "a=b", "blue"]);
    host.ok(&["network", "disconnect", "blue", "c"]);
    host.ok(&["network", "connect", "blue", "c"]);
    host.ok(&["rm", "-f", "-v", "c"]);
    host.ok(&["network", "rm", "blue"]);
    host.ok(&["network", "create", "green"]);
    host.ok(&["network", "prune", "-f"]);
    let networks = told(&host, &["network=blue"]);
    let want = ["create", "connect", "update", "disconnect", "connect", "disconnect", "destroy"];
    assert_eq!(actions(&networks), want);
    assert!(networks.iter().all(|event| event["Actor"]["ID"] == id.as_str() && event.get("status").is_none()));
    assert_eq!((attribute(&networks[1], "container").len(), attribute(&networks[1], "type")), (64, "bridge"));
    assert_eq!(actions(&told(&host, &["type=network", "event=prune"])), ["prune"]);
    host.ok(&["volume", "rm", "v"]);
    host.ok(&["volume", "create", "-d", "local", "w"]);
    host.ok(&["volume", "prune", "-af"]);
    let volumes = told(&host, &["volume=v"]);
    assert_eq!(actions(&volumes), ["create", "mount", "unmount", "destroy"]);
    assert_eq!((attribute(&volumes[1], "destination"), attribute(&volumes[1], "read/write")), ("/v", "true"));
    // The one without a name went with its container.
    assert_eq!(told(&host, &["type=volume", "event=destroy"]).len(), 3);
    assert_eq!(attribute(&told(&host, &["type=volume", "event=prune"])[0], "reclaimed"), "0");
}

#[test]
fn filters_and_forms() {
    let host = Host::new();
    for name in ["one", "two"] {
        host.ok(&["run", "--rm", "--name", name, "-l", "of=me", "--network", "none", "alpine", "true"]);
    }
    let count = |filters: &[&str]| told(&host, filters).len();
    assert_eq!((count(&["event=die"]), count(&["event=die", "container=one"])), (2, 1));
    assert_eq!((count(&["event=die", "event=start"]), count(&["event=die", "type=image"])), (4, 0));
    assert_eq!((count(&["label=of=me", "event=die"]), count(&["label=of=you"])), (2, 0));
    assert_eq!((count(&["image=alpine", "event=create"]), count(&["image=busybox"])), (2, 0));
    assert_eq!((count(&["scope=swarm"]), count(&["daemon=x"]), count(&["plugin=x"])), (0, 0, 0));
    let id = told(&host, &["container=one"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(count(&[&format!("container={}", &id[..12]), "event=die"]), 1);
    let all = ["system", "events", "--since", "0", "--until", "0s", "-f", "event=die", "-f", "container=one"];
    let with = |more: &[&str]| host.ok(&[&all[..], more].concat());
    let line = with(&[]);
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.len() >= 30 && is_stamp(time), "{time}");
    let want = format!("container die {id} (execDuration=0, exitCode=0, image=alpine, name=one, of=me)");
    assert_eq!(rest, want);
    let template =
        "{{.Type}} {{.Action}} {{.Status}} {{.ID}} {{.From}} {{.Actor.Attributes.name}}{{.Actor.Attributes.none}}";
    assert_eq!(with(&["--format", template]), format!("container die die {id} alpine one"));
    assert!(with(&["--format", "{{json .}}"]).starts_with("{\"status\":\"die\",\"id\":"));
    // Times to the nanosecond: those of one event give that event.
    let nanoseconds = told(&host, &["event=die", "container=one"])[0]["timeNano"].as_i64().unwrap();
    let exact = format!("{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    assert_eq!(host.ok(&["events", "--since", &exact, "--until", &exact, "--format", "{{.Action}}"]), "die");
    for (args, why) in [
        (&["-f", "contaner=x"][..], "did you mean `container`"),
        (&["-f", "type=nothing"], "unknown type"),
        (&["-f", "event"], "expected event=VALUE"),
        (&["--since", "yesterday"], "expected a time"),
        (&["--since", "0s", "--until", "1h"], "backwards"),
        (&["--format", "{{.Nme}}"], "no field `Nme`"),
        (&["--format", "{{.ID"], "{{.ID"),
    ] {
        let said = host.refused(&[&["events"], args].concat());
        assert!(said.contains(why), "{args:?}: {said}");
    }
}

/// A time of RFC 3339 to the nanosecond.
fn is_stamp(text: &str) -> bool {
    let form = |(at, c): (usize, char)| match at {
        4 | 7 => c == '-',
        10 => c == 'T',
        13 | 16 => c == ':',
        19 => c == '.',
        _ => c.is_ascii_digit(),
    };
    let zone = &text[29..];
    text.char_indices().take(29).all(form) && (zone == "Z" || (zone.len() == 6 && zone.starts_with(['+', '-'])))
}

#[test]
fn a_follower_sees_what_happens_and_ends_when_it_is_told_to() {
    let host = Host::new();
    let mut live = Follower::start(&host, &["--since", "0", "--format", "{{.Action}}"]);
    assert_eq!(live.next(), "import");
    // The next ones come by themselves.
    host.ok(&["create", "--name", "c", "--network", "none", "alpine", "true"]);
    assert_eq!(live.next(), "create");
    host.ok(&["volume", "create", "v"]);
    assert_eq!(live.next(), "create");
    assert!(live.child.try_wait().unwrap().is_none());
    // Files turn over meanwhile: it goes on in the new one.
    let folder = host.root().join("events");
    std::fs::rename(folder.join("events.log"), folder.join("events.log.1")).unwrap();
    host.ok(&["volume", "rm", "v"]);
    assert_eq!(live.next(), "destroy");
    assert_eq!(told(&host, &["type=volume"]).len(), 2);
    // Without a beginning it tells what comes, and nothing of before.
    let later = Follower::start(&host, &["--format", "{{.Action}}"]);
    eventually("it watches", || {
        host.ok(&["network", "ls"]);
        host.ok(&["tag", "alpine", "other:1"]);
        later.lines.recv_timeout(Duration::from_millis(100)).is_ok_and(|line| line == "tag")
    });
    // It ends at its time, and by a signal, without a word.
    let until = SystemTime::now() + Duration::from_millis(1500);
    let until = until.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let timed = host.rcr(&["events", "--until", &format!("{until:.3}"), "-f", "event=create"]).expect_code(0);
    assert!(timed.stdout.lines().count() == 2 && timed.stderr.is_empty(), "{timed:?}");
    let pid = nix::unistd::Pid::from_raw(live.child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    eventually("it has ended", || live.child.try_wait().unwrap().is_some());
}

#[test]
fn a_follower_that_nobody_reads_ends_by_itself() {
    let host = Host::bare();
    let mut command = host.command(&["events"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    eventually("it has ended", || child.try_wait().unwrap().is_some());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn the_record_outlives_netd_and_the_shims_and_has_what_netd_repaired() {
    let host = Host::new();
    sleeper(&host, "c", &[]);
    let before = told(&host, &[]);
    host.kill_netd();
    host.ok(&["network", "ls"]);
    // The same, and what the new netd may have found.
    assert_eq!(told(&host, &[])[..before.len()], before);
    host.netns.ip("link del rcr0");
    eventually("the repair is told", || !told(&host, &["type=network", "event=repair"]).is_empty());
    let repairs = told(&host, &["event=repair", "network=bridge"]);
    assert_eq!((attribute(&repairs[0], "repaired"), attribute(&repairs[0], "type")), ("rcr0", "bridge"));
    // A machine that went down: the run folder is gone, the record is not.
    host.ok(&["rm", "-f", "c"]);
    host.kill_netd();
    std::fs::remove_dir_all(host.run_dir()).unwrap();
    assert_eq!(told(&host, &[])[..before.len()], before);
    assert_eq!(actions(&told(&host, &["container=c"])).last().unwrap(), "destroy");
}

#[test]
fn health_is_told_when_it_changes() {
    let host = Host::new();
    let check = ["--network", "none", "--health-cmd", "cat /ok", "--health-interval", "100ms", "--health-retries", "1"];
    sleeper(&host, "c", &check);
    let health = |n: usize| eventually("its health is told", || told(&host, &["event=health_status"]).len() == n);
    health(1);
    host.ok(&["exec", "c", "touch", "/ok"]);
    health(2);
    let all = told(&host, &["event=health_status"]);
    assert_eq!(actions(&all), ["health_status: unhealthy", "health_status: healthy"]);
    // The check's own runs are none.
    assert_eq!(told(&host, &["event=exec_create"]).len(), 1);
}

#[test]
fn many_writers_at_once_give_whole_lines_and_a_record_that_fails_fails_nothing() {
    let host = Host::bare();
    std::thread::scope(|scope| {
        for n in 0..200 {
            let host = &host;
            scope.spawn(move || host.ok(&["volume", "create", &format!("v{n}")]));
        }
    });
    let all = told(&host, &["type=volume", "event=create"]);
    let names: std::collections::BTreeSet<_> = all.iter().map(|event| event["Actor"]["ID"].to_string()).collect();
    assert_eq!((all.len(), names.len()), (200, 200));
    let file = host.root().join("events/events.log");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    // A line that a full disk has cut short takes none along.
    std::fs::write(&file, format!("{text}{}", &text[..40])).unwrap();
    host.ok(&["volume", "create", "after"]);
    assert_eq!(told(&host, &["volume=after"]).len(), 1);
    // What is in the way of the record is in nobody else's.
    std::fs::remove_dir_all(host.root().join("events")).unwrap();
    std::fs::write(host.root().join("events"), "in the way").unwrap();
    host.ok(&["volume", "create", "unseen"]);
    host.ok(&["volume", "rm", "unseen"]);
    assert!(told(&host, &[]).is_empty());
    let said = host.refused(&["events"]);
    assert!(said.contains("cannot watch the events"), "{said}");
}
