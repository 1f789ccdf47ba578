//! What containers take of the host: `rcr stats`. cgroup v1 here; `tests/vm/scenarios/limits` has a look on v2.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use tests::host::{exec, sleeper};
use tests::terminal::Terminal;
use tests::{Host, eventually};

/// One look at containers, as JSON.
#[track_caller]
fn look(host: &Host, args: &[&str]) -> Vec<Value> {
    let all = [&["stats", "--no-stream", "--format", "json"], args].concat();
    host.ok(&all).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn field<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_else(|| panic!("no {name} in {line}"))
}

fn percent(line: &Value, name: &str) -> f64 {
    field(line, name).strip_suffix('%').unwrap().parse().unwrap()
}

/// The two sides of `1.5kB / 0B`, in bytes.
fn pair(text: &str) -> (f64, f64) {
    let bytes = |text: &str| {
        let end = text.find(|c: char| c.is_alphabetic()).unwrap();
        let number: f64 = text[..end].parse().unwrap();
        let units = [
            ("B", 1.0),
            ("kB", 1e3),
            ("MB", 1e6),
            ("GB", 1e9),
            ("KiB", 1024.0),
            ("MiB", 1048576.0),
            ("GiB", 1073741824.0),
        ];
        number * units.iter().find(|(unit, _)| *unit == &text[end..]).unwrap().1
    };
    let (left, right) = text.split_once(" / ").unwrap();
    (bytes(left), bytes(right))
}

#[test]
fn a_busy_container_takes_a_processor_and_an_idle_one_none() {
    let host = Host::new();
    sleeper(&host, "idle", &["--network", "none", "-m", "64m"]);
    host.ok(&[
        "run",
        "-d",
        "--name",
        "busy",
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        "sleep 1000 & while :; do :; done",
    ]);
    let all = look(&host, &[]);
    // Newest first, as in `ps`.
    assert_eq!((field(&all[0], "Name"), field(&all[1], "Name")), ("busy", "idle"));
    assert!(percent(&all[0], "CPUPerc") > 20.0 && percent(&all[1], "CPUPerc") < 10.0, "{all:?}");
    assert_eq!((field(&all[0], "PIDs"), field(&all[1], "PIDs")), ("2", "1"));
    let (used, limit) = pair(field(&all[1], "MemUsage"));
    assert!(limit == 67_108_864.0 && used > 0.0 && used < limit, "{all:?}");
    assert!((percent(&all[1], "MemPerc") - used / limit * 100.0).abs() < 0.1);
    // Without a limit it is the host's memory.
    let total = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: f64 = total.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0;
    let (_, limit) = pair(field(&all[0], "MemUsage"));
    assert!((limit / total - 1.0).abs() < 0.01, "{limit} {total}");
}

#[test]
fn memory_is_counted_without_what_the_kernel_can_forget() {
    let host = Host::new();
    sleeper(&host, "c", &["--network", "none"]);
    let used = || pair(field(&look(&host, &["c"])[0], "MemUsage")).0;
    let before = used();
    exec(&host, "c", "dd if=/dev/zero of=/file bs=1M count=32 2>/dev/null && sync /file");
    assert!(used() < before + 20e6, "{before} {}", used());
    host.ok(&["exec", "-d", "c", "sh", "-c", "dd if=/dev/zero bs=64M count=1 2>/dev/null | sleep 1000"]);
    eventually("its memory is counted", || used() > before + 20e6);
}

#[test]
fn traffic_and_disks_are_counted() {
    let host = Host::new();
    sleeper(&host, "a", &[]);
    sleeper(&host, "b", &[]);
    sleeper(&host, "shared", &["--network", "host"]);
    let net = |name: &str| pair(field(&look(&host, &[name])[0], "NetIO"));
    let before = net("a");
    exec(&host, "a", "ping -c 20 -i 0.01 -s 1000 -q b");
    let (received, sent) = net("a");
    assert!(received >= before.0 + 20_000.0 && sent >= before.1 + 20_000.0, "{before:?} {received} {sent}");
    assert_eq!(field(&look(&host, &["shared"])[0], "NetIO"), "0B / 0B");
    // What the kernel says of its cgroup, whichever disks this machine has.
    exec(&host, "a", "dd if=/dev/zero of=/file bs=1M count=8 oflag=direct 2>/dev/null; sync");
    let id = host.inspect("a", "/Id").as_str().unwrap().to_owned();
    let file = format!("/sys/fs/cgroup/blkio/rcr/{id}/blkio.throttle.io_service_bytes_recursive");
    let told = std::fs::read_to_string(&file).unwrap();
    let written = told.lines().filter_map(|line| line.split_once(" Write ")?.1.parse::<f64>().ok()).sum::<f64>();
    let (_, shown) = pair(field(&look(&host, &["a"])[0], "BlockIO"));
    assert!((shown - written).abs() <= written * 0.01, "{shown} {told}");
}

#[test]
fn what_is_named_is_shown_and_what_is_not_there_is_refused() {
    let host = Host::new();
    sleeper(&host, "up", &["--network", "none"]);
    host.ok(&["create", "--name", "down", "--network", "none", "alpine", "true"]);
    assert_eq!(look(&host, &[]).len(), 1);
    assert_eq!(look(&host, &["-a"]).len(), 2);
    let down = &look(&host, &["down"])[0];
    let id = host.inspect("down", "/Id").as_str().unwrap().to_owned();
    for (name, want) in [
        ("BlockIO", "0B / 0B"),
        ("CPUPerc", "0.00%"),
        ("Container", "down"),
        ("ID", &id[..12]),
        ("MemPerc", "0.00%"),
        ("MemUsage", "0B / 0B"),
        ("Name", "down"),
        ("NetIO", "0B / 0B"),
        ("PIDs", "0"),
    ] {
        assert_eq!(field(down, name), want);
    }
    assert_eq!(down.as_object().unwrap().len(), 9);
    assert_eq!(field(&look(&host, &["--no-trunc", "down"])[0], "ID"), id);
    assert!(host.refused(&["stats", "--no-stream", "up", "none"]).contains("no such container: `none`"));
    let table = host.ok(&["container", "stats", "--no-stream"]);
    let heading = "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT";
    assert!(table.starts_with(heading) && table.lines().count() == 2, "{table}");
    assert!(table.lines().next().unwrap().ends_with("MEM %     NET I/O   BLOCK I/O   PIDS"), "{table}");
    let template = ["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "up"];
    assert_eq!(host.ok(&template), "up 1");
    assert!(host.refused(&["stats", "--no-stream", "--format", "{{.Nme}}"]).contains("no field `Nme`"));
}

#[test]
fn it_goes_on_until_nobody_reads_or_all_are_gone() {
    let host = Host::new();
    sleeper(&host, "c", &["--network", "none"]);
    let mut child = host.command(&["stats"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    for _ in 0..2 {
        assert!(next().starts_with("CONTAINER ID") && next().contains(" c "));
    }
    // One that ends vanishes, one that comes is there.
    sleeper(&host, "later", &["--network", "none"]);
    eventually("the new one is shown", || next().contains(" later "));
    host.ok(&["rm", "-f", "c"]);
    eventually("the old one is gone", || {
        while !next().starts_with("CONTAINER ID") {}
        next().contains(" later ")
    });
    drop(lines);
    eventually("it ends without a reader", || child.try_wait().unwrap().is_some());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(said, "");
    // A named one is waited for until it is removed.
    let mut child = host.command(&["stats", "later"]).stdout(Stdio::null()).spawn().unwrap();
    host.ok(&["rm", "-f", "later"]);
    eventually("it ends with the last one", || child.try_wait().unwrap().is_some());
}

#[test]
fn on_a_terminal_the_table_stays_in_its_place() {
    let host = Host::new();
    sleeper(&host, "c", &["--network", "none"]);
    let mut terminal = Terminal::start(host.command(&["stats"]));
    // Up by the two lines of the last table, each cleared behind its end.
    terminal.expect("\u{1b}[2A\r");
    let seen = terminal.seen();
    assert!(seen.contains("PIDS\u{1b}[K") && !seen.contains("\u{1b}[2J"), "{seen:?}");
    terminal.send("\u{3}");
    terminal.wait();
    assert!(!terminal.seen().contains("error"), "{:?}", terminal.seen());
}
