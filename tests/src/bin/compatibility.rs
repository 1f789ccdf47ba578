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
    for entry in std::fs::read_dir(::tests::real::results()).into_iter().flatten().flatten() {
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
            let folder = ::tests::real::results();
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

/// What is wrong with the page, line by line.
fn differences(page: &str, ran: &[String]) -> Vec<String> {
    let table = page.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let written: Vec<String> = table.filter_map(without_version).collect();
    let ran: Vec<String> = ran.iter().filter_map(|line| without_version(line)).collect();
    let missing = ran.iter().filter(|row| !written.contains(row)).map(|row| format!("lacks: {row}"));
    let stale = written.iter().filter(|row| !ran.contains(row)).map(|row| format!("was not seen: {row}"));
    missing.chain(stale).collect()
}

fn check(page: &str, ran: &[String]) -> ExitCode {
    let wrong = differences(page, ran);
    if wrong.is_empty() && !ran.is_empty() {
        println!("docs/compatibility.md: {} programs", ran.len());
        return ExitCode::SUCCESS;
    }
    eprintln!("docs/compatibility.md is not what was seen (`make compatibility` writes it):");
    wrong.iter().for_each(|line| eprintln!("  {line}"));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::{HEAD, differences};

    #[test]
    fn a_page_that_lacks_a_program_or_names_another_is_found_and_a_version_is_no_matter() {
        let ran = ["| redis | 7.0.15 | logs |".to_owned(), "| nginx | 1.22.1 | logs |".to_owned()];
        let page = |rows: &str| format!("{HEAD}{rows}\n");
        assert_eq!(differences(&page("| nginx | 1.24.0 | logs |\n| redis | 7.2.0 | logs |"), &ran), [""; 0]);
        assert_eq!(differences(&page("| nginx | 1.22.1 | logs |"), &ran), ["lacks: redis: logs |"]);
        let more = page("| nginx | 1.22.1 | logs |\n| redis | 7.0.15 | logs |\n| squid | 5.7 | logs |");
        assert_eq!(differences(&more, &ran), ["was not seen: squid: logs |"]);
        let other = page("| nginx | 1.22.1 | logs; exec -it |\n| redis | 7.0.15 | logs |");
        assert_eq!(differences(&other, &ran).len(), 2);
        assert_eq!(differences("", &ran).len(), 2);
    }
}
