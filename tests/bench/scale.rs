//! What one more costs with many there: containers, networks, ports. Figures are for people: nothing asserts them.

use crate::floor::Floor;
use crate::measure::{side_by_side, timed};
use crate::table::{Row, Table};
use tests::Host;

/// How often one more is made at each point.
const ROUNDS: usize = 15;
/// Containers on one bridge: with the one that is measured, the most that the kernel lets it have is 1023.
const CONTAINERS: [usize; 5] = [0, 50, 200, 500, 1000];
const NETWORKS: [usize; 5] = [0, 50, 200, 500, 1000];
const PORTS: [usize; 4] = [0, 100, 1000, 10_000];
/// Ports of one container: its command line has one flag for each.
const PORTS_EACH: usize = 1000;

pub fn main(smoke: bool) {
    let up_to = |all: &[usize]| all.iter().copied().take(if smoke { 2 } else { all.len() }).collect::<Vec<_>>();
    let rounds = if smoke { 1 } else { ROUNDS };
    containers(&up_to(&CONTAINERS), rounds);
    networks(&up_to(&NETWORKS), rounds);
    ports(&up_to(&PORTS), rounds);
}

fn containers(counts: &[usize], rounds: usize) {
    let host = host();
    let mut rows = Vec::new();
    let mut there = 0;
    let floor = Floor::new(true);
    for count in counts {
        let sleeper =
            |n: &str| ["run", "-d", "--name", n, "--network", "bench", "alpine", "sleep", "100000"].map(str::to_owned);
        side_by_side(&host, &(there..*count).map(|n| sleeper(&format!("many{n}"))).collect::<Vec<_>>());
        there = *count;
        let run = |network| ["run", "--rm", "--network", network, "alpine", "true"];
        rows.push(point("floor: namespaces, cgroups, overlay, veth on a bridge", there, rounds, || floor.run()));
        rows.push(point("rcr run --rm, bridge", there, rounds, || host.ok(&run("bench"))));
        rows.push(point("rcr run --rm, none", there, rounds, || host.ok(&run("none"))));
        if there > 0 {
            rows.push(point("rcr exec", there, rounds, || host.ok(&["exec", "many0", "true"])));
        }
        rows.push(point("rcr ps -q", there, rounds, || host.ok(&["ps", "-q"])));
    }
    host.remove_containers();
    Table::new("With so many containers running on one bridge", "ms", rows).show();
}

fn networks(counts: &[usize], rounds: usize) {
    let host = host();
    let mut rows = Vec::new();
    let mut there = 0;
    for count in counts {
        // Pools of its own: the usual ones are gone after a few dozen.
        let subnet = |n: usize| format!("10.{}.{}.0/24", 64 + n / 256, n % 256);
        let create = |n: usize| {
            let (subnet, name) = (subnet(n), format!("many{n}"));
            ["network", "create", "--subnet", subnet.as_str(), name.as_str()].map(str::to_owned)
        };
        side_by_side(&host, &(there..*count).map(create).collect::<Vec<_>>());
        there = *count;
        rows.push(point("rcr network create and rm", there, rounds, || {
            host.ok(&["network", "create", "--subnet", "10.200.0.0/24", "more"]);
            host.ok(&["network", "rm", "more"])
        }));
        rows.push(point("rcr run --rm, bridge", there, rounds, || {
            host.ok(&["run", "--rm", "--network", "bench", "alpine", "true"])
        }));
    }
    Table::new("With so many networks", "ms", rows).show();
}

fn ports(counts: &[usize], rounds: usize) {
    let host = host();
    let mut rows = Vec::new();
    let mut there = 0;
    for count in counts {
        while there < *count {
            let upper = (there + PORTS_EACH).min(*count);
            let publish = (there..upper).flat_map(|n| ["-p".to_owned(), format!("{}:80", 20_000 + n)]);
            let run = ["run", "-d", "--network", "bench"].into_iter().map(str::to_owned).chain(publish);
            let run: Vec<String> = run.chain(["alpine", "sleep", "100000"].map(str::to_owned)).collect();
            host.ok(&run.iter().map(String::as_str).collect::<Vec<_>>());
            there = upper;
        }
        let more = ["run", "--rm", "--network", "bench", "-p", "19000:80", "alpine", "true"];
        rows.push(point("rcr run --rm -p 19000:80", there, rounds, || host.ok(&more)));
    }
    host.remove_containers();
    Table::new("With so many published ports", "ms", rows).show();
}

fn host() -> Host {
    let host = Host::new();
    host.ok(&["network", "create", "--subnet", "10.32.0.0/16", "bench"]);
    // What the first of all does for those that follow is no part of a curve.
    host.ok(&["run", "--rm", "--network", "bench", "alpine", "true"]);
    host
}

fn point<T>(name: &str, there: usize, rounds: usize, work: impl Fn() -> T) -> Row {
    Row { there: Some(there), ..timed(name, rounds, work) }
}
