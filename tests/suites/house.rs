//! The house as ARCHITECTURE.md draws it, read from the sources: no circle of imports, and nothing in a crate or a room
//! that does not belong there.
//!
//! A node is a file, an arrow is a path that begins with `crate`, `super` or the name of a child. A re-export (`pub use
//! child::…`) is a sign on a door, not an arrow: an import by way of it counts as an import of the child.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The crates that are looked at. A further one is a further line.
const CRATES: [&str; 10] = [
    "runtime/base/src",
    "runtime/shim/src",
    "runtime/engine/src",
    "runtime/src",
    "runtime/web/src",
    "netd/src",
    "netd/core/src",
    "netd/api/src",
    "images/src",
    "images/registry/src",
];

fn house() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

type Name = Vec<String>;

struct Module {
    text: String,
    children: BTreeSet<String>,
    /// Names that are re-exported, and where they come from.
    signs: BTreeMap<String, Name>,
}

/// Without comments, strings that hold paths, and what only tests use.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn files(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("main.rs") {
            all.push(path);
        }
    }
}

fn name_of(root: &Path, file: &Path) -> Name {
    let inside = file.strip_prefix(root).unwrap().with_extension("");
    let mut name: Name = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(name.last().map(String::as_str), Some("mod" | "lib")) {
        name.pop();
    }
    name
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A use tree (`a::{b, c::d}`) from its first name on, as whole paths.
fn tree(text: &str, before: &[String], all: &mut Vec<Name>) -> usize {
    let length = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let mut path = before.to_vec();
    if length > 0 {
        path.push(text[..length].to_owned());
    }
    let Some(rest) = text[length..].strip_prefix("::") else {
        all.push(path);
        return length;
    };
    let mut at = length + 2;
    if !rest.starts_with('{') {
        return at + tree(rest, &path, all);
    }
    at += 1;
    loop {
        at += text[at..].find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(0);
        if at >= text.len() || text[at..].starts_with('}') {
            return at + 1;
        }
        let taken = tree(&text[at..], &path, all);
        at += taken;
        // `as`, or something that is no tree.
        at += text[at..].find([',', '}']).unwrap_or(text.len() - at);
    }
}

/// All paths in `text` that begin with one of `heads`.
fn paths(text: &str, heads: &BTreeSet<String>) -> Vec<Name> {
    let mut all = Vec::new();
    let mut before = ' ';
    let mut skip = 0;
    for (at, c) in text.char_indices() {
        let starts = at >= skip && is_word(c) && !is_word(before) && before != ':' && before != '.';
        before = c;
        if !starts {
            continue;
        }
        let word = &text[at..at + text[at..].find(|c| !is_word(c)).unwrap_or(text.len() - at)];
        if heads.contains(word) && text[at + word.len()..].starts_with("::") {
            skip = at + tree(&text[at..], &[], &mut all);
        }
    }
    all
}

fn read(root: &Path) -> BTreeMap<Name, Module> {
    let mut list = Vec::new();
    files(root, &mut list);
    modules(list.into_iter().map(|file| (name_of(root, &file), std::fs::read_to_string(&file).unwrap())))
}

fn modules(files: impl Iterator<Item = (Name, String)>) -> BTreeMap<Name, Module> {
    let mut all = BTreeMap::new();
    for (name, text) in files {
        let text = code(&text);
        let declared = text.lines().filter_map(|line| line.trim().strip_suffix(';')?.rsplit_once("mod "));
        let children: BTreeSet<String> = declared.map(|(_, child)| child.to_owned()).collect();
        let (mut signs, mut kept) = (BTreeMap::new(), String::new());
        for statement in text.split_inclusive(';') {
            let Some((head, sign)) = statement.split_once("pub use ") else {
                kept.push_str(statement);
                continue;
            };
            kept.push_str(head);
            let mut found = Vec::new();
            tree(sign, &[], &mut found);
            for path in found.into_iter().filter(|path| children.contains(&path[0])) {
                signs.insert(path.last().unwrap().clone(), path);
            }
        }
        all.insert(name, Module { text: kept, children, signs });
    }
    all
}

/// The file that a path of `from` leads to, if it is one of this crate.
fn target(all: &BTreeMap<Name, Module>, from: &Name, path: &[String]) -> Option<Name> {
    let mut at = from.clone();
    for part in path {
        match part.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()),
            name => {
                let mut below = at.clone();
                below.push(name.to_owned());
                if all.contains_key(&below) {
                    at = below;
                    continue;
                }
                if let Some(sign) = all.get(&at)?.signs.get(name) {
                    return target(all, &at, sign);
                }
                break;
            }
        }
    }
    (at != *from).then_some(at)
}

type Arrows = BTreeMap<Name, BTreeSet<Name>>;

fn arrows(all: &BTreeMap<Name, Module>) -> Arrows {
    let mut arrows = Arrows::new();
    for (name, module) in all {
        let mut heads = module.children.clone();
        heads.extend(["crate".to_owned(), "super".to_owned()]);
        let targets = paths(&module.text, &heads).iter().filter_map(|path| target(all, name, path)).collect();
        arrows.insert(name.clone(), targets);
    }
    arrows
}

/// A circle, if there is one: its files in order.
fn circle(arrows: &Arrows) -> Option<Vec<Name>> {
    fn walk(at: &Name, arrows: &Arrows, way: &mut Vec<Name>, done: &mut BTreeSet<Name>) -> Option<Vec<Name>> {
        if let Some(start) = way.iter().position(|name| name == at) {
            return Some(way[start..].to_vec());
        }
        if done.contains(at) {
            return None;
        }
        way.push(at.clone());
        let found = arrows.get(at).into_iter().flatten().find_map(|next| walk(next, arrows, way, done));
        way.pop();
        done.insert(at.clone());
        found
    }
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|name| walk(name, arrows, &mut Vec::new(), &mut done))
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for root in CRATES {
        let all = read(&house().join(root));
        assert!(all.len() > 5, "{root} is not where it was");
        let arrows = arrows(&all);
        assert!(arrows.values().any(|targets| !targets.is_empty()), "no arrow was found in {root}");
        if let Some(circle) = circle(&arrows) {
            let names: Vec<String> = circle.iter().map(|name| format!("crate::{}", name.join("::"))).collect();
            circles.push(format!("{root}: {}", names.join(" → ")));
        }
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn a_circle_is_found_whatever_it_is_written_like() {
    let of = |files: &[(&str, &str)]| {
        let named = |(file, text): &(&str, &str)| (name_of(Path::new(""), Path::new(file)), (*text).to_owned());
        circle(&arrows(&modules(files.iter().map(named)))).is_some()
    };
    assert!(of(&[("lib.rs", "mod a;\nmod b;\n"), ("a.rs", "use crate::b::X;"), ("b.rs", "use crate::{a::Y};")]));
    assert!(of(&[
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a.rs", "use super::{\n    b::X,\n};"),
        ("b.rs", "fn f() { crate::a::y() }")
    ]));
    // A parent that uses its child, and a child that uses what the parent defines.
    assert!(of(&[("a/mod.rs", "mod b;\nfn f() { b::g() }"), ("a/b.rs", "use super::f;")]));
    // Through a re-export.
    assert!(of(&[
        ("lib.rs", "mod a;\nmod b;\npub use a::X;\n"),
        ("a.rs", "use crate::b::Y;"),
        ("b.rs", "use crate::X;")
    ]));
    assert!(!of(&[("lib.rs", "mod a;\nmod b;\npub use a::X;\n"), ("a.rs", "struct X;"), ("b.rs", "use crate::X;")]));
    assert!(!of(&[
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a.rs", "use crate::b::X; // crate::a"),
        ("b.rs", "/// See crate::a::Y.")
    ]));
    assert!(!of(&[("a/mod.rs", "mod b;"), ("a/b.rs", "use super::f;")]));
}

/// The dependencies that a crate names.
fn dependencies(manifest: &str) -> Vec<String> {
    let manifest = std::fs::read_to_string(house().join(manifest)).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let lines = section.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.split(['.', ' ', '=']).next().unwrap().to_owned()).collect()
}

/// The shim is in the memory of every container's monitor: what it may stand on is named here.
#[test]
fn the_shims_crate_stands_on_little() {
    let allowed = ["jiff", "libc", "nix", "rcr-base", "rustix", "serde", "serde_json", "thiserror"];
    assert_eq!(dependencies("runtime/shim/Cargo.toml"), allowed);
    let manifest = std::fs::read_to_string(house().join("runtime/shim/Cargo.toml")).unwrap();
    assert!(manifest.contains("rcr-base.workspace = true"), "the shim goes without the features of rcr-base");
}

/// What netd decides stands on nothing that reaches a kernel, a clock or a runtime.
#[test]
fn the_pure_crate_stands_on_no_effects() {
    let allowed = ["base64", "ipnet", "netd-api", "rcr-base", "serde", "serde_json", "thiserror", "x25519-dalek"];
    assert_eq!(dependencies("netd/core/Cargo.toml"), allowed);
}

/// What a front needs is the engine's: the command line names none of the crates below it.
#[test]
fn the_command_line_stands_on_the_engine() {
    let manifest = std::fs::read_to_string(house().join("runtime/Cargo.toml")).unwrap();
    for below in ["rcr-images", "rcr-shim", "rcr-registry", "netd.", "oci-", "caps"] {
        assert!(!manifest.lines().any(|line| line.starts_with(below)), "runtime/Cargo.toml names {below}");
    }
}

/// A hint may name a command line, but only one file knows how it is spelled (docs/decisions.md).
#[test]
fn command_lines_in_hints_are_written_in_one_place() {
    let mut found = Vec::new();
    for root in ["runtime/engine/src", "runtime/shim/src", "images/src", "images/registry/src"] {
        for (name, module) in read(&house().join(root)) {
            found.extend(
                module.text.lines().filter(|line| line.contains("`rcr ")).map(|line| format!("{name:?}: {line}")),
            );
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The paths in some rooms of a crate that begin with one of these.
fn strays(root: &str, inside: &[&str], to: &[&[&str]]) -> Vec<String> {
    let mut all = read(&house().join(root));
    for room in inside {
        assert!(all.keys().any(|name| name.first().is_some_and(|first| first == room)), "{root} has the room {room}");
    }
    all.retain(|name, _| name.first().is_some_and(|first| inside.contains(&first.as_str())));
    strays_of(&all, to)
}

/// The paths in some files that begin with one of these.
fn strays_of(all: &BTreeMap<Name, Module>, to: &[&[&str]]) -> Vec<String> {
    let heads: BTreeSet<String> = to.iter().map(|path| path[0].to_owned()).collect();
    let begins = |path: &Name, with: &[&str]| path.len() >= with.len() && path.iter().zip(with).all(|(a, b)| a == b);
    let mut found = Vec::new();
    for (name, module) in all {
        let stray = paths(&module.text, &heads).into_iter().filter(|path| to.iter().any(|with| begins(path, with)));
        found.extend(stray.map(|path| format!("{}: {}", name.join("::"), path.join("::"))));
    }
    found
}

#[test]
fn the_pure_crate_knows_no_file_no_clock_and_no_process() {
    let effects: [&[&str]; 9] = [
        &["std", "fs"],
        &["std", "process"],
        &["std", "thread"],
        &["std", "env"],
        &["std", "os"],
        &["std", "time", "SystemTime"],
        &["std", "time", "Instant"],
        &["SystemTime", "now"],
        &["Instant", "now"],
    ];
    let found = strays_of(&read(&house().join("netd/core/src")), &effects);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn texts_become_values_and_specs_become_plans_without_a_look_at_the_host() {
    let effects: [&[&str]; 10] = [
        &["rustix"],
        &["std", "fs"],
        &["std", "process"],
        &["std", "thread"],
        &["std", "env", "var"],
        &["std", "env", "current_dir"],
        &["std", "path", "absolute"],
        &["Timestamp", "now"],
        &["Zoned", "now"],
        &["crate", "instance"],
    ];
    let found = strays("runtime/engine/src", &["parse", "bundle"], &effects);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_daemon_s_rooms_lie_above_each_other() {
    let up = |inside: &str, above: &[&str]| {
        let of = |krate| above.iter().map(move |room| [krate, *room]);
        let rooms: Vec<[&str; 2]> = of("crate").chain(of("netd_core")).collect();
        strays("netd/src", &[inside], &rooms.iter().map(|room| &room[..]).collect::<Vec<_>>())
    };
    let all = [
        up("kernel", &["cluster", "daemon", "ledger", "store", "drivers"]),
        up("store", &["cluster", "daemon", "ledger", "kernel"]),
        up("cluster", &["daemon", "ledger", "kernel"]),
        up("ledger", &["daemon", "cluster", "drivers"]),
        up("dns", &["daemon", "ledger", "cluster", "store"]),
    ];
    assert!(all.concat().is_empty(), "{:#?}", all.concat());
}

/// Whoever has no `Kernel` applies and undoes nothing.
#[test]
fn the_ledger_alone_has_the_kernel_s_hands() {
    let hands = ["Kernel", "delete_marked"];
    let mut found = strays("netd/src", &["daemon", "dns", "cluster", "relay"], &[&["crate", "kernel"]]);
    found.retain(|path| hands.iter().any(|hand| path.ends_with(hand)));
    // It is opened where the process begins, and handed over.
    assert_eq!(found, ["daemon::start: crate::kernel::Kernel"]);
}
