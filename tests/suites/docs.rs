//! The documents say what happens: their transcripts are retyped, and the table of drivers is tried out. ipvlan's part
//! is in `tests/vm/scenarios/docs`.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;
use tests::cluster::Cluster;
use tests::{Host, bin, eventually};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A script of `tests/` on this host, with `rcr` at hand; its output.
fn script(host: &Host, name: &str, args: &[&str], env: &[(&str, &str)]) -> (bool, String) {
    let mut command: Command = host.netns.command(repository().join("tests").join(name));
    let path = format!("{}:{}:/usr/sbin:/sbin", bin().display(), std::env::var("PATH").unwrap());
    command.args(args).current_dir(host.scratch()).env("PATH", path).env_remove("RCR_CONFIG");
    // Its folders, and its configuration if it has one.
    let of_rcr = host.command(&[]);
    command.envs(of_rcr.get_envs().filter_map(|(key, value)| Some((key, value?)))).envs(env.iter().copied());
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// The reader's host: `eth0` in 192.168.77.0/24.
fn readers_host() -> Host {
    let host = Host::new();
    host.netns.ip("link set up0 down");
    host.netns.ip("link set up0 name eth0");
    host.netns.ip("addr add 192.168.77.11/24 dev eth0");
    host.netns.ip("link set eth0 up");
    host.outside.ip("addr add 192.168.77.1/24 dev world");
    host
}

#[track_caller]
fn retype_on(host: &Host, page: &str, name: &str) {
    let page = repository().join("docs").join(page);
    let (ok, said) = script(host, "transcript.sh", &[page.to_str().unwrap(), name], &[]);
    assert!(ok, "{said}");
}

#[track_caller]
fn retype(name: &str) {
    retype_on(&readers_host(), "networking.md", name);
}

#[test]
fn the_bridge_transcript() {
    retype("bridge");
}

#[test]
fn the_overlay_transcript() {
    retype("overlay");
}

#[test]
fn the_macvlan_transcript() {
    retype("macvlan");
}

#[test]
fn the_host_and_none_transcripts() {
    retype("host");
    retype("none");
}

#[test]
fn the_container_transcript() {
    retype("container");
}

#[test]
fn the_transcripts_of_changes() {
    retype("dhcp");
    retype("connect");
    retype("update");
}

#[test]
fn the_table_of_drivers_is_what_they_do() {
    let page = std::fs::read_to_string(repository().join("docs/networking.md")).unwrap();
    let host = readers_host();
    for driver in ["bridge", "overlay", "macvlan", "host", "none"] {
        let (ok, row) = script(&host, "drivers.sh", &[driver], &[]);
        let row = row.trim();
        assert!(ok && row.starts_with(&format!("| {driver} |")), "{row}");
        assert!(page.lines().any(|line| line == row), "docs/networking.md has another row for {driver} than: {row}");
    }
}

#[test]
fn what_troubleshooting_shows_is_what_is_said() {
    for name in ["why", "check", "capture"] {
        retype_on(&Host::new(), "troubleshooting.md", name);
    }
}

#[test]
fn the_transcripts_of_every_verb() {
    for name in ["containers", "files", "objects"] {
        retype_on(&Host::new(), "verbs.md", name);
    }
}

#[test]
fn the_transcripts_of_a_plan_and_of_events() {
    retype_on(&Host::new(), "lifecycle.md", "plan");
    retype_on(&Host::new(), "events.md", "events");
}

/// The words of a picture, without what differs from machine to machine and from start to start: addresses, ids.
fn words(svg: &str) -> Vec<String> {
    let texts = svg.split("<text").skip(1).filter_map(|part| part.split_once('>')?.1.split("</text>").next());
    let plain = |word: &str| match word.bytes().any(|b| b.is_ascii_digit()) {
        true => word.chars().map(|c| if c.is_ascii_hexdigit() { '#' } else { c }).collect::<String>(),
        false => word.to_owned(),
    };
    let runs = |text: String| {
        let mut chars: Vec<char> = text.chars().collect();
        chars.dedup_by(|a, b| *a == '#' && *b == '#');
        chars.into_iter().collect::<String>()
    };
    let mut all: Vec<String> =
        texts.map(|text| runs(text.split(' ').map(plain).collect::<Vec<_>>().join(" "))).collect();
    all.sort();
    all
}

/// The picture that a step of the tutorial has drawn is the one that the page shows. `UPDATE_GOLDENS=1` takes it over.
#[track_caller]
fn drawn(host: &Host, name: &str) {
    let file = format!("{name}.svg");
    let svg = std::fs::read_to_string(host.scratch().join(&file)).unwrap();
    let shown = repository().join("docs/pictures").join(&file);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::create_dir_all(shown.parent().unwrap()).unwrap();
        std::fs::write(&shown, &svg).unwrap();
    }
    let before = std::fs::read_to_string(&shown).unwrap_or_default();
    assert!(words(&svg).len() > 3, "{svg}");
    assert_eq!(words(&before), words(&svg), "docs/pictures/{file}: `UPDATE_GOLDENS=1` and this test, if this is meant");
    for page in ["tutorial.md", "ko/tutorial.md"] {
        let text = std::fs::read_to_string(repository().join("docs").join(page)).unwrap();
        assert!(text.contains(&format!("pictures/{file})")), "docs/{page} does not show {file}");
    }
}

#[test]
fn the_transcript_of_the_page() {
    retype_on(&Host::bare(), "web.md", "web");
}

#[test]
fn the_tutorial_on_one_host() {
    let host = readers_host();
    for step in
        ["tutorial-start", "tutorial-bridge", "tutorial-capture", "tutorial-port", "tutorial-host", "tutorial-macvlan"]
    {
        retype_on(&host, "tutorial.md", step);
    }
    for picture in ["eui_bridge", "web", "host", "lan"] {
        drawn(&host, picture);
    }
}

#[test]
fn the_tutorial_on_two_hosts() {
    let cluster = Cluster::new(2, false);
    // A host joins when its netd starts.
    cluster.hosts.iter().for_each(|host| drop(host.ok(&["network", "ls"])));
    let knows_both = |host: &Host| ["node1", "node2"].iter().all(|name| host.ok(&["node", "ls"]).contains(name));
    eventually("both hosts are in the cluster", || cluster.hosts.iter().all(knows_both));
    retype_on(&cluster.hosts[0], "tutorial.md", "tutorial-overlay-first");
    eventually("the network is there", || cluster.hosts[1].ok(&["network", "ls"]).contains("eui_overlay"));
    retype_on(&cluster.hosts[1], "tutorial.md", "tutorial-overlay-second");
    drawn(&cluster.hosts[1], "eui_overlay");
    retype_on(&cluster.hosts[1], "tutorial.md", "tutorial-overlay-end");
    // Ids and MACs may hold these two characters, too.
    let shown = || cluster.hosts[0].ok(&["network", "graph"]).split_whitespace().any(|word| word == "c2");
    eventually("c2 is gone", || !shown());
    retype_on(&cluster.hosts[0], "tutorial.md", "tutorial-overlay-last");
}

/// Whoever reads it in Korean types the same.
#[test]
fn both_tutorials_have_the_same_transcripts() {
    let blocks = |page: &str| {
        let text = std::fs::read_to_string(repository().join("docs").join(page)).unwrap();
        let parts = text.split("<!-- transcript: ").skip(1);
        parts.map(|part| part.split("\n```\n").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let english = blocks("tutorial.md");
    assert!(english.len() > 8 && english.iter().all(|block| block.contains("\n```console\n")), "{english:?}");
    assert_eq!(blocks("ko/tutorial.md"), english);
}

/// Where commands are typed, a test of this file or of the lab retypes them.
#[test]
fn every_block_of_commands_is_a_transcript_that_somebody_retypes() {
    let tests = std::fs::read_to_string(repository().join("tests/suites/docs.rs")).unwrap();
    let lab = std::fs::read_dir(repository().join("tests/vm/scenarios")).unwrap();
    let lab = lab.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default());
    let readers = lab.chain([tests]).collect::<String>();
    let mut found = 0;
    for page in std::fs::read_dir(repository().join("docs")).unwrap() {
        let page = page.unwrap().path();
        if page.extension().is_none_or(|end| end != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&page).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for at in (0..lines.len()).filter(|at| lines[*at] == "```console") {
            let mark = lines[at - 1].strip_prefix("<!-- transcript: ").and_then(|line| line.strip_suffix(" -->"));
            let name = mark.unwrap_or_else(|| panic!("{}:{}: no transcript", page.display(), at + 1));
            assert!(
                readers.contains(&format!("\"{name}\"")) || readers.contains(&format!(" {name}")),
                "{}:{}: nobody retypes `{name}`",
                page.display(),
                at + 1
            );
            found += 1;
        }
    }
    assert!(found > 10, "{found} transcripts");
}
