//! docs/compatibility.md: the table of real programs, written from the rows that their tests left.
//!
//!     compatibility begin     forgets the rows of earlier runs
//!     compatibility check     fails when the page lacks a program that was tested, or names one that was not
//!     compatibility write     writes the page
//!
//! Versions come with Debian's updates: they may differ from the page's without a failure.
#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

const HEAD: &str = "# What runs on rcr

Written by the tests (`make compatibility`): each row is a program of Debian that `tests/real/` packs into an image with the shape that
its popular image has, and uses as its users do. `make test` runs all of them, and fails when this page names others than it ran.

| program | version | what was checked |
|---|---|---|
";

/// A line of the table, by the name that sorts it.
fn rows() -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for entry in std::fs::read_dir(tests::real::results()).into_iter().flatten().flatten() {
        let text = std::fs::read(entry.path()).expect("read a row");
        let row: serde_json::Value = serde_json::from_slice(&text).expect("a row is JSON");
        let (program, version) =
            (row["program"].as_str().expect("a name"), row["version"].as_str().expect("a version"));
        let what = match row["reason"].as_str() {
            Some(reason) => format!("does not run: {reason}"),
            None => {
                let seen = row["seen"].as_array().expect("what was seen");
                seen.iter().filter_map(|one| one.as_str()).collect::<Vec<_>>().join("; ")
            }
        };
        rows.insert(program.to_lowercase(), format!("| {program} | {version} | {what} |"));
    }
    rows
}

/// A row without its version, which is no reason to fail.
fn without_version(line: &str) -> Option<String> {
    let mut cells = line.strip_prefix("| ")?.split(" | ");
    let (program, _, what) = (cells.next()?, cells.next()?, cells.next()?);
    Some(format!("{program}: {what}"))
}

fn main() -> ExitCode {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let ran: Vec<String> = rows().into_values().collect();
    match std::env::args().nth(1).as_deref() {
        Some("begin") => {
            let folder = tests::real::results();
            if folder.exists() {
                std::fs::remove_dir_all(folder).expect("forget earlier rows");
            }
            ExitCode::SUCCESS
        }
        Some("write") => {
            std::fs::write(&page, format!("{HEAD}{}\n", ran.join("\n"))).expect("write docs/compatibility.md");
            ExitCode::SUCCESS
        }
        Some("check") => check(&std::fs::read_to_string(&page).unwrap_or_default(), &ran),
        _ => {
            eprintln!("usage: compatibility begin|check|write");
            ExitCode::from(64)
        }
    }
}

fn check(page: &str, ran: &[String]) -> ExitCode {
    let table = page.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let written: Vec<String> = table.filter_map(without_version).collect();
    let ran: Vec<String> = ran.iter().filter_map(|line| without_version(line)).collect();
    let missing = ran.iter().filter(|row| !written.contains(row)).map(|row| format!("lacks: {row}"));
    let stale = written.iter().filter(|row| !ran.contains(row)).map(|row| format!("was not seen: {row}"));
    let wrong: Vec<String> = missing.chain(stale).collect();
    if wrong.is_empty() && !ran.is_empty() {
        println!("docs/compatibility.md: {} programs", ran.len());
        return ExitCode::SUCCESS;
    }
    eprintln!("docs/compatibility.md is not what was seen (`make compatibility` writes it):");
    wrong.iter().for_each(|line| eprintln!("  {line}"));
    ExitCode::FAILURE
}
