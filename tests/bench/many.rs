//! Many containers: starting them one after the other and side by side, listing, publishing ports, removing. Figures
//! are for people: nothing asserts them.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::Host;

/// Containers of the largest rows.
const MANY: usize = 1000;
/// Containers that are removed in one call.
const REMOVED: usize = 200;
/// Ports that one container publishes, each by a flag of its own.
const PORTS: u16 = 1000;

pub fn main() {
    println!("load before: {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    println!("{:<58} {:>9} {:>9} {:>9}", "work", "min", "median", "p95");
    let host = Host::new();
    host.ok(&["network", "create", "bench"]);
    program(&host);
    starts(&host);
    removal(&host);
    ports(&host);
    listing(&host);
    host.remove_containers();
}

/// A program's start, without anything to do.
fn program(host: &Host) {
    row("rcr version", 50, || host.ok(&["version", "--format", "{{.Client.Version}}"]));
}

fn starts(host: &Host) {
    for network in ["none", "bench"] {
        let one = || host.ok(&["run", "--rm", "--network", network, "alpine", "true"]);
        row(&format!("run --rm --network {network}, one after the other"), 40, one);
        let eight = || {
            let run = ["run", "--rm", "--network", network, "alpine", "true"];
            let started: Vec<_> = (0..8).map(|_| quiet(&mut host.command(&run)).spawn().unwrap()).collect();
            started.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
        };
        row(&format!("8 of these at once --network {network}"), 15, eight);
    }
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// Names of sleeping containers, started eight at a time.
fn sleepers(host: &Host, count: usize, network: &str) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|n| format!("many{n}")).collect();
    for some in names.chunks(8) {
        let run = |name: &String| {
            let run = ["run", "-d", "--name", name, "--network", network, "alpine", "sleep", "10000"];
            quiet(&mut host.command(&run)).spawn().unwrap()
        };
        let started: Vec<_> = some.iter().map(run).collect();
        started.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    }
    names
}

fn removal(host: &Host) {
    for network in ["none", "bench"] {
        let mut took = Vec::new();
        for _ in 0..3 {
            let names = sleepers(host, REMOVED, network);
            let args: Vec<&str> = ["rm", "-f"].into_iter().chain(names.iter().map(String::as_str)).collect();
            let begin = Instant::now();
            host.ok(&args);
            took.push(begin.elapsed());
        }
        print(&format!("rm -f of {REMOVED} running, --network {network}"), took);
    }
}

fn ports(host: &Host) {
    let publish: Vec<String> = (0..PORTS).map(|n| format!("{}:80", 20_000 + n)).collect();
    let flags: Vec<&str> = publish.iter().flat_map(|port| ["-p", port]).collect();
    let args = [&["run", "--rm", "--network", "bench"], flags.as_slice(), &["alpine", "true"]].concat();
    row(&format!("run --rm with {PORTS} single ports"), 10, || host.ok(&args));
    let args = [&["run", "-d", "--network", "bench"], flags.as_slice(), &["alpine", "sleep", "10000"]].concat();
    host.ok(&args);
    let one = ["run", "--rm", "--network", "bench", "-p", "19000:80", "alpine", "true"];
    row(&format!("run --rm with one port, {PORTS} there"), 20, || host.ok(&one));
    host.remove_containers();
}

fn listing(host: &Host) {
    sleepers(host, MANY, "none");
    row(&format!("ps, {MANY} running"), 20, || host.ok(&["ps"]));
    row(&format!("ps -q, {MANY} running"), 20, || host.ok(&["ps", "-q"]));
}

fn row<T>(name: &str, rounds: usize, work: impl Fn() -> T) {
    let timed = |_| {
        let begin = Instant::now();
        work();
        begin.elapsed()
    };
    print(name, (0..rounds).map(timed).collect());
}

fn print(name: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |part: f64| took[((took.len() - 1) as f64 * part).round() as usize].as_secs_f64() * 1e3;
    println!("{name:<58} {:>6.1} ms {:>6.1} ms {:>6.1} ms", at(0.0), at(0.5), at(0.95));
}
