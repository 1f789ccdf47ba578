//! docs/compatibility.md: the table of real programs, made from the rows that their tests wrote.
//!
//!     compatibility begin     forgets the rows of earlier runs
//!     compatibility check     fails when the page lacks a program that was tested, or names one that was not
//!     compatibility write     writes the page
//!
//! Versions follow Debian's updates: they may differ from the page without a failure.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use ::tests::real::Check;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

const HEAD: &str = "# What runs on rcr

Written by the tests (`make compatibility`): each row is a program of Debian that `tests/real/` packs into an image with the shape that
its popular image has, and uses as its users do. `make test` runs all of them, and fails when this page names others than it ran.

Every program is put to the same checks. *by name*: a client in another container reaches it by its name. *`-p`*: a client outside of the
host reaches it by its published port. *volume*: data in a named volume survives `rm` and is there in a new container. *logs*: `rcr logs`
has what it says. *`exec -it`*: somebody works beside it on a terminal. *memory*: `--memory` is what it sees. *stop*: `rcr stop` ends it
the graceful way, within its time. `-` is where there is nothing to ask; the reasons are below the table.

";

/// The rows that the tests wrote, by the name that sorts them.
fn rows() -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for entry in std::fs::read_dir(::tests::real::results()).into_iter().flatten().flatten() {
        let text = std::fs::read(entry.path()).expect("read a row");
        let row: Value = serde_json::from_slice(&text).expect("a row is JSON");
        rows.insert(row["program"].as_str().expect("a name").to_lowercase(), row);
    }
    rows
}

/// The head of the table.
fn head() -> String {
    let titles: Vec<&str> = Check::ALL.into_iter().map(Check::title).collect();
    format!("| program | version | {} | and |\n|---|---|{}---|\n", titles.join(" | "), "---|".repeat(titles.len()))
}

/// A line of the table.
fn line(row: &Value) -> String {
    let cell = |check: Check| if row["checks"][check.title()].is_null() { "yes" } else { "-" };
    let cells: Vec<&str> = Check::ALL.into_iter().map(cell).collect();
    let more = row["more"].as_array().expect("what was seen beside");
    let more: Vec<&str> = more.iter().filter_map(Value::as_str).collect();
    let (program, version) = (row["program"].as_str().expect("a name"), row["version"].as_str().expect("a version"));
    format!("| {program} | {version} | {} | {} |", cells.join(" | "), more.join("; "))
}

/// The reasons for empty cells: a line for each.
fn reasons(rows: &BTreeMap<String, Value>) -> Vec<String> {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows.values() {
        let mut own: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for check in Check::ALL {
            if let Some(why) = row["checks"][check.title()].as_str() {
                own.entry(why).or_default().push(check.title());
            }
        }
        for (why, checks) in own {
            let checks = if checks.len() == Check::ALL.len() { "all".to_owned() } else { checks.join(", ") };
            reasons.entry(why).or_default().push(format!("{} ({checks})", row["program"].as_str().expect("a name")));
        }
    }
    reasons.into_iter().map(|(why, programs)| format!("- {why}: {}", programs.join(", "))).collect()
}

/// The page.
fn page(rows: &BTreeMap<String, Value>) -> String {
    let lines: Vec<String> = rows.values().map(line).collect();
    format!("{HEAD}{}{}\n\nWhere there is nothing to ask:\n\n{}\n", head(), lines.join("\n"), reasons(rows).join("\n"))
}

/// A row without its version, which may differ.
fn without_version(line: &str) -> Option<String> {
    let (program, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
    let (_, what) = rest.split_once(" | ")?;
    Some(format!("{program}: {what}"))
}

fn main() -> ExitCode {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let rows = rows();
    match std::env::args().nth(1).as_deref() {
        Some("begin") => {
            let folder = ::tests::real::results();
            if folder.exists() {
                std::fs::remove_dir_all(folder).expect("forget earlier rows");
            }
            ExitCode::SUCCESS
        }
        Some("write") => {
            std::fs::write(&path, page(&rows)).expect("write docs/compatibility.md");
            ExitCode::SUCCESS
        }
        Some("check") => check(&std::fs::read_to_string(&path).unwrap_or_default(), &rows),
        _ => {
            eprintln!("usage: compatibility begin|check|write");
            ExitCode::from(64)
        }
    }
}

/// What is wrong with the page, line by line.
fn differences(page: &str, rows: &BTreeMap<String, Value>) -> Vec<String> {
    let table = page.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let (mut written, rest): (Vec<&str>, Vec<&str>) = table.partition(|line| line.starts_with("| "));
    written.retain(|line| without_version(line).is_some());
    let mut written: Vec<String> = written.into_iter().filter_map(without_version).collect();
    let mut ran: Vec<String> = rows.values().filter_map(|row| without_version(&line(row))).collect();
    written.extend(rest.into_iter().filter(|line| line.starts_with("- ")).map(str::to_owned));
    ran.extend(reasons(rows));
    let missing = ran.iter().filter(|row| !written.contains(row)).map(|row| format!("lacks: {row}"));
    let stale = written.iter().filter(|row| !ran.contains(row)).map(|row| format!("was not seen: {row}"));
    missing.chain(stale).collect()
}

fn check(page: &str, rows: &BTreeMap<String, Value>) -> ExitCode {
    let wrong = differences(page, rows);
    if wrong.is_empty() && !rows.is_empty() {
        println!("docs/compatibility.md: {} programs", rows.len());
        return ExitCode::SUCCESS;
    }
    eprintln!("docs/compatibility.md is not what was seen (`make compatibility` writes it):");
    wrong.iter().for_each(|line| eprintln!("  {line}"));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::{Check, differences, page};
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn rows(programs: &[(&str, &str, &str)]) -> BTreeMap<String, Value> {
        let row = |(program, version, more): &(&str, &str, &str)| {
            let mut checks: BTreeMap<&str, Option<&str>> =
                Check::ALL.iter().map(|check| (check.title(), None)).collect();
            checks.insert(Check::Volume.title(), Some("keeps nothing"));
            (
                program.to_lowercase(),
                json!({ "program": program, "version": version, "checks": checks, "more": [more] }),
            )
        };
        programs.iter().map(row).collect()
    }

    #[test]
    fn a_page_that_lacks_a_program_or_names_another_is_found_and_a_version_is_no_matter() {
        let ran = rows(&[("redis", "7.0.15", "logs"), ("nginx", "1.22.1", "logs")]);
        assert_eq!(
            differences(&page(&rows(&[("nginx", "1.24.0", "logs"), ("redis", "7.2.0", "logs")])), &ran),
            [""; 0]
        );
        // A row, and the line of reasons.
        assert_eq!(differences(&page(&rows(&[("nginx", "1.22.1", "logs")])), &ran).len(), 3);
        let more = rows(&[("nginx", "1.22.1", "logs"), ("redis", "7.0.15", "logs"), ("squid", "5.7", "logs")]);
        assert!(differences(&page(&more), &ran).iter().any(|line| line.starts_with("was not seen: squid")));
        let other = rows(&[("nginx", "1.22.1", "logs; exec -it"), ("redis", "7.0.15", "logs")]);
        assert_eq!(differences(&page(&other), &ran).len(), 2);
        let mut empty = ran.clone();
        empty.get_mut("redis").unwrap()["checks"][Check::Stop.title()] = json!("never ends");
        // The row as it was and as it is, and the line of reasons.
        assert_eq!(differences(&page(&empty), &ran).len(), 3, "a cell that was empty is full now");
        assert_eq!(differences("", &ran).len(), 3);
    }
}
