//! The house as ARCHITECTURE.md draws it, read from the sources: no circle of imports, and walls that nothing goes through.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// Crates whose rooms are looked at.
const CRATES: [&str; 8] = [
    "netd/src",
    "netd/api/src",
    "images/src",
    "images/registry/src",
    "runtime/src",
    "runtime/engine/src",
    "runtime/shim/src",
    "runtime/base/src",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A path from the crate's root: `["drivers", "lan"]`.
type Room = Vec<String>;

/// What the rooms of a crate name: each with all paths that it uses, but for those that it only passes on (`pub use`).
fn rooms(source: &str) -> BTreeMap<Room, BTreeSet<Vec<String>>> {
    let folder = root().join(source);
    let mut files = Vec::new();
    walk(&folder, &mut files);
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut paths = Paths::default();
        paths.visit_file(&parsed);
        (room_of(file.strip_prefix(&folder).unwrap()), paths.0)
    };
    files.into_iter().map(read).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            walk(&entry, files);
        } else if entry.extension().is_some_and(|ext| ext == "rs") {
            files.push(entry);
        }
    }
}

fn room_of(file: &Path) -> Room {
    let mut room: Room = file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if ["mod", "lib", "main"].contains(&room.last().unwrap().as_str()) {
        room.pop();
    }
    room
}

/// All paths of a file, without those of its tests.
#[derive(Default)]
struct Paths(BTreeSet<Vec<String>>);

fn is_test(attributes: &[Attribute]) -> bool {
    let test = |a: &Attribute| a.path().is_ident("cfg") && a.parse_args::<syn::Ident>().is_ok_and(|i| i == "test");
    attributes.iter().any(test)
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(module) if is_test(&module.attrs) => {}
            Item::Use(one) if is_test(&one.attrs) || !matches!(one.vis, Visibility::Inherited) => {}
            Item::Use(one) => self.tree(&one.tree, Vec::new()),
            other => visit::visit_item(self, other),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

impl Paths {
    fn tree(&mut self, tree: &UseTree, mut before: Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
            }
            UseTree::Group(group) => group.items.iter().for_each(|one| self.tree(one, before.clone())),
            UseTree::Name(name) => drop(self.0.insert([before, vec![name.ident.to_string()]].concat())),
            UseTree::Rename(name) => drop(self.0.insert([before, vec![name.ident.to_string()]].concat())),
            _ => drop(self.0.insert(before)),
        }
    }
}

/// Where a path leads within the crate: the deepest room that it names, if it names one.
fn leads_to(from: &Room, path: &[String], all: &BTreeMap<Room, BTreeSet<Vec<String>>>) -> Option<Room> {
    let (mut at, mut rest) = match path.first()?.as_str() {
        "crate" => (Room::new(), &path[1..]),
        "self" | "super" => (from.clone(), path),
        first => {
            let child = [&from[..], &[first.to_owned()]].concat();
            all.contains_key(&child).then(|| (from.clone(), path))?
        }
    };
    while let Some(step @ ("self" | "super")) = rest.first().map(String::as_str) {
        if step == "super" {
            at.pop();
        }
        rest = &rest[1..];
    }
    let names = (0..=rest.len()).rev().map(|n| [&at[..], &rest[..n]].concat());
    names.into_iter().find(|room| all.contains_key(room)).filter(|room| !room.is_empty() && room != from)
}

/// Rooms that reach themselves, each with a way that does.
fn circles(edges: &BTreeMap<Room, BTreeSet<Room>>) -> Vec<String> {
    let mut found = Vec::new();
    for start in edges.keys() {
        let (mut seen, mut ways) = (BTreeSet::new(), vec![vec![start.clone()]]);
        while let Some(way) = ways.pop() {
            for next in edges.get(way.last().unwrap()).into_iter().flatten() {
                if next == start {
                    found.push(way.iter().map(|room| room.join("::")).collect::<Vec<_>>().join(" → "));
                    ways.clear();
                    break;
                }
                if seen.insert(next.clone()) {
                    ways.push([&way[..], &[next.clone()]].concat());
                }
            }
        }
    }
    found
}

#[test]
fn no_room_imports_itself_by_way_of_others() {
    let mut all = Vec::new();
    for source in CRATES {
        let rooms = rooms(source);
        let to = |(from, paths): (&Room, &BTreeSet<Vec<String>>)| {
            (from.clone(), paths.iter().filter_map(|path| leads_to(from, path, &rooms)).collect())
        };
        let edges: BTreeMap<Room, BTreeSet<Room>> = rooms.iter().map(to).collect();
        all.extend(circles(&edges).into_iter().map(|way| format!("{source}: {way}")));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn a_circle_would_be_found() {
    let room = |name: &str| vec![name.to_owned()];
    let edges = BTreeMap::from([
        (room("a"), BTreeSet::from([room("b")])),
        (room("b"), BTreeSet::from([room("c")])),
        (room("c"), BTreeSet::from([room("b")])),
    ]);
    assert_eq!(circles(&edges), ["b → c", "c → b"]);
}

/// The shim is in the memory of every container's monitor: what it may stand on is named here.
#[test]
fn the_shim_s_crate_stands_on_little() {
    const ALLOWED: [&str; 8] = ["jiff", "libc", "nix", "rcr-base", "rustix", "serde", "serde_json", "thiserror"];
    let manifest = std::fs::read_to_string(root().join("runtime/shim/Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let lines = section.lines().map(str::trim).filter(|line| !line.is_empty());
    let names: Vec<&str> = lines.map(|line| line.split(['.', ' ', '=']).next().unwrap()).collect();
    assert_eq!(names, ALLOWED);
    assert!(section.contains("rcr-base.workspace = true"), "the shim goes without the features of rcr-base");
}

/// Which of its paths go from some rooms of a crate to something that is not theirs to know.
fn strays(source: &str, inside: &[&str], stray: impl Fn(&[String]) -> bool) -> Vec<String> {
    let rooms = rooms(source);
    let of = |room: &&Room| inside.is_empty() || room.first().is_some_and(|first| inside.contains(&first.as_str()));
    assert!(rooms.keys().any(|room| of(&room)), "{source} has the rooms {inside:?}");
    let all = rooms.iter().filter(|(room, _)| of(room)).flat_map(|(room, paths)| paths.iter().map(move |p| (room, p)));
    all.filter(|(_, path)| stray(path))
        .map(|(room, path)| format!("{}: {}", room.join("::"), path.join("::")))
        .collect()
}

fn begins(path: &[String], with: &[&str]) -> bool {
    path.len() >= with.len() && path.iter().zip(with).all(|(a, b)| a == b)
}

#[test]
fn pure_rooms_know_no_kernel_no_clock_and_no_chance() {
    let pure = ["drivers", "plan", "firewall", "ipam", "ports", "model", "keys"];
    let effects: [&[&str]; 13] = [
        &["nix"],
        &["libc"],
        &["rustix"],
        &["tokio"],
        &["std", "fs"],
        &["std", "process"],
        &["std", "thread"],
        &["std", "env"],
        &["std", "os"],
        &["SystemTime", "now"],
        &["Instant", "now"],
        &["crate", "kernel"],
        &["crate", "random"],
    ];
    let found = strays("netd/src", &pure, |path| effects.iter().any(|effect| begins(path, effect)));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_daemon_s_rooms_lie_above_each_other() {
    let up = |inside: &str, above: &[&str]| {
        strays("netd/src", &[inside], |path| above.iter().any(|room| begins(path, &["crate", room])))
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
    let found = strays("netd/src", &["daemon", "dns", "cluster", "relay"], |path| {
        begins(path, &["crate", "kernel"]) && path.iter().any(|part| hands.contains(&part.as_str()))
    });
    // It is opened where the process begins, and handed over.
    assert_eq!(found, ["daemon::start: crate::kernel::Kernel"]);
}
