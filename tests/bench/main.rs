//! `make bench`: `rcr run` beside the floor and the peers, interleaved in one run. Figures are for people: nothing
//! asserts them.
//!
//! The floor is the same kernel work by bare system calls: a child in new namespaces, in five cgroups, on an overlay
//! that it pivots into, with a veth on a bridge, an address and a route. What is missing is everything a runtime is
//! for.

// Measures bare system calls, too.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod floor;
mod images;
mod many;
mod measure;
mod names;
mod netlink;
mod overlay;
mod packets;
mod page;
mod pair;
mod peers;
mod picture;
mod scale;
mod table;

use std::path::Path;
use std::time::{Duration, Instant};
use table::{Row, Table, milliseconds, worked};
use tests::Host;

/// Rounds for each candidate; the peers take half a second each and get fewer.
const ROUNDS: usize = 25;
const PEER_ROUNDS: usize = 8;
const PACKET_ROUNDS: usize = 15;
const NAME_ROUNDS: usize = 15;

struct Candidate {
    name: &'static str,
    rounds: usize,
    run: Box<dyn Fn() -> bool>,
    took: Vec<Duration>,
    /// What all processors worked meanwhile.
    worked: Duration,
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        None => run(ROUNDS),
        Some("smoke") => {
            run(1);
            packets::main(1);
            names::main(1);
            scale::main(true);
        }
        Some("flows") => packets::flows(PACKET_ROUNDS),
        Some("images") => images::main(),
        Some("overlay") => overlay::main(),
        Some("many") => many::main(),
        Some("names") => names::main(NAME_ROUNDS),
        Some("page") => page::main(Path::new(&std::env::args().nth(2).expect("`bench page FILE`"))),
        Some("packets") => packets::main(PACKET_ROUNDS),
        Some("scale") => scale::main(false),
        Some(other) => panic!(
            "`{other}` is no bench: `flows`, `images`, `many`, `names`, `overlay`, `packets`, `page`, \
             `scale`, `smoke`, or nothing"
        ),
    }
}

/// Fails where the floor or rcr itself does not run; never because of a figure.
fn run(rounds: usize) {
    let host = Host::new();
    host.ok(&["network", "create", "bench"]);
    let mut candidates = vec![
        floor_candidate("floor: namespaces, cgroups, overlay, veth on a bridge", true),
        floor_candidate("floor without network", false),
        rcr(&host, "rcr run --rm --network bench (bridge, DNS)", &["--network", "bench"]),
        rcr(&host, "rcr run --rm --network none", &["--network", "none"]),
        rcr(&host, "rcr run --rm -p 5000:80", &["--network", "bench", "-p", "5000:80"]),
    ];
    let mut peers = peers::Peers::new();
    candidates.extend(peers.all().into_iter().map(|peer| Candidate {
        name: peer.name,
        rounds: PEER_ROUNDS,
        run: peer.run,
        took: Vec::new(),
        worked: Duration::ZERO,
    }));
    for round in 0..rounds {
        for candidate in candidates.iter_mut().filter(|c| round < c.rounds) {
            let (begin, before) = (Instant::now(), worked());
            if (candidate.run)() {
                candidate.took.push(begin.elapsed());
                candidate.worked += worked().saturating_sub(before);
            }
        }
    }
    report(&candidates).show();
    memory(&host);
    let ours = |name: &str| name.starts_with("floor") || name.starts_with("rcr");
    let failed: Vec<&str> = candidates.iter().filter(|c| ours(c.name) && c.took.is_empty()).map(|c| c.name).collect();
    assert!(failed.is_empty(), "did not run: {failed:?}");
}

fn floor_candidate(name: &'static str, network: bool) -> Candidate {
    let floor = floor::Floor::new(network);
    Candidate { name, rounds: ROUNDS, run: Box::new(move || floor.run()), took: Vec::new(), worked: Duration::ZERO }
}

fn rcr(host: &Host, name: &'static str, flags: &[&str]) -> Candidate {
    let mut args = vec!["run", "--rm"];
    args.extend(flags);
    args.extend(["alpine", "true"]);
    let netns = host.netns.clone();
    let (root, run) = (host.root(), host.run_dir());
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let run = move || {
        let mut command = netns.command(tests::bin().join("rcr"));
        command.args(&args).env("RCR_ROOT", &root).env("RCR_RUN", &run);
        measure::quiet(&mut command).status().is_ok_and(|status| status.success())
    };
    Candidate { name, rounds: ROUNDS, run: Box::new(run), took: Vec::new(), worked: Duration::ZERO }
}

fn report(candidates: &[Candidate]) -> Table {
    let floor = milliseconds(candidates.first().map(|c| c.took.as_slice()).unwrap_or_default());
    let row = |c: &Candidate| {
        let processor = (!c.took.is_empty()).then(|| c.worked.as_secs_f64() * 1e3 / c.took.len() as f64);
        Row { processor, ..Row::new(c.name, &milliseconds(&c.took), &floor) }
    };
    Table::new("Starting a container, `alpine true`", "ms", candidates.iter().map(row).collect())
}

/// PSS of a shim and of netd, from `smaps_rollup`.
fn memory(host: &Host) {
    host.ok(&["run", "-d", "--name", "m", "--network", "bench", "alpine", "sleep", "100"]);
    // Memory is given back a second after it was used last.
    std::thread::sleep(Duration::from_millis(1500));
    let pss = |pid: i64| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default().to_owned();
        line.split_whitespace().nth(1).unwrap_or("?").to_owned()
    };
    let shim = host.inspect("m", "/Rcr/ShimPid").as_i64().unwrap_or_default();
    println!("PSS: shim {} KiB, netd {} KiB", pss(shim), pss(host.netd_pid().unwrap_or_default().into()));
    for program in ["rcr", "rcr-shim", "netd"] {
        let size = std::fs::metadata(tests::bin().join(program)).map(|meta| meta.len()).unwrap_or_default();
        println!("size: {program} {:.1} MiB", size as f64 / f64::from(1 << 20));
    }
}
