//! Many containers: starting them one after the other and side by side, listing, publishing ports, removing. Figures
//! are for people: nothing asserts them.

use crate::measure::{side_by_side, timed};
use crate::table::{Row, Table, milliseconds};
use std::process::Command;
use std::time::{Duration, Instant};
use tests::Host;

/// Containers of the largest rows.
const MANY: usize = 1000;
/// Containers that are removed in one call.
const REMOVED: usize = 200;
/// Ports that one container publishes, each by a flag of its own.
const PORTS: u16 = 1000;

pub fn main() {
    let host = Host::new();
    host.ok(&["network", "create", "bench"]);
    let rows = [program(&host), starts(&host), removal(&host), ports(&host), listing(&host)].concat();
    host.remove_containers();
    Table::new("Many containers", "ms", rows).show();
}

/// A program's start, without anything to do.
fn program(host: &Host) -> Vec<Row> {
    let nothing = || assert!(Command::new("/bin/true").status().is_ok_and(|status| status.success()));
    let version = || host.ok(&["version", "--format", "{{.Client.Version}}"]);
    vec![timed("/bin/true", 50, nothing), timed("rcr version", 50, version)]
}

fn starts(host: &Host) -> Vec<Row> {
    let mut rows = Vec::new();
    for network in ["none", "bench"] {
        let one = || host.ok(&["run", "--rm", "--network", network, "alpine", "true"]);
        rows.push(timed(&format!("rcr run --rm --network {network}, one after the other"), 40, one));
        let eight = || side_by_side(host, &[["run", "--rm", "--network", network, "alpine", "true"]; 8]);
        rows.push(timed(&format!("rcr run --rm --network {network}, 8 at once"), 15, eight));
    }
    rows
}

/// Names of sleeping containers, started eight at a time.
fn sleepers(host: &Host, count: usize, network: &str) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|n| format!("many{n}")).collect();
    let run = |name: &String| {
        ["run", "-d", "--name", name, "--network", network, "alpine", "sleep", "10000"].map(str::to_owned)
    };
    side_by_side(host, &names.iter().map(run).collect::<Vec<_>>());
    names
}

fn removal(host: &Host) -> Vec<Row> {
    let mut rows = Vec::new();
    for network in ["none", "bench"] {
        let mut took = Vec::new();
        for _ in 0..3 {
            let names = sleepers(host, REMOVED, network);
            let args: Vec<&str> = ["rm", "-f"].into_iter().chain(names.iter().map(String::as_str)).collect();
            let begin = Instant::now();
            host.ok(&args);
            took.push(begin.elapsed());
        }
        rows.push(made(&format!("rcr rm -f of {REMOVED} running, --network {network}"), &took));
    }
    rows
}

fn ports(host: &Host) -> Vec<Row> {
    let publish: Vec<String> = (0..PORTS).map(|n| format!("{}:80", 20_000 + n)).collect();
    let flags: Vec<&str> = publish.iter().flat_map(|port| ["-p", port]).collect();
    let args = [&["run", "--rm", "--network", "bench"], flags.as_slice(), &["alpine", "true"]].concat();
    let all = timed(&format!("rcr run --rm with {PORTS} single ports"), 10, || host.ok(&args));
    let args = [&["run", "-d", "--network", "bench"], flags.as_slice(), &["alpine", "sleep", "10000"]].concat();
    host.ok(&args);
    let one = ["run", "--rm", "--network", "bench", "-p", "19000:80", "alpine", "true"];
    let more = timed(&format!("rcr run --rm with one port, {PORTS} there"), 20, || host.ok(&one));
    host.remove_containers();
    vec![all, more]
}

fn listing(host: &Host) -> Vec<Row> {
    sleepers(host, MANY, "none");
    let all = timed(&format!("rcr ps, {MANY} running"), 20, || host.ok(&["ps"]));
    vec![all, timed(&format!("rcr ps -q, {MANY} running"), 20, || host.ok(&["ps", "-q"]))]
}

fn made(name: &str, took: &[Duration]) -> Row {
    Row::new(name, &milliseconds(took), &[])
}
