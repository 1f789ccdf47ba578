//! Columns, JSON, and how times, sizes and labels read.

use crate::report;
use rcr_base::{Error, Kind, Outcome};
use serde::Serialize;
use std::collections::BTreeMap;

/// Prints columns, each as wide as its widest cell.
pub fn print(header: &[&str], rows: &[Vec<String>]) {
    let mut lines = vec![header.join("\t")];
    lines.extend(rows.iter().map(|row| row.iter().map(|text| cell(text)).collect::<Vec<_>>().join("\t")));
    aligned(&lines).iter().for_each(|line| println!("{line}"));
}

/// One line and one column, whatever is in a text.
pub fn cell(text: &str) -> String {
    let text = report::printable(text);
    if text.contains(['\n', '\t']) { text.replace(['\n', '\t'], " ") } else { text }
}

/// Lines with tabs as columns: each ten characters wide or more, with three spaces behind its widest cell.
pub fn aligned(lines: &[String]) -> Vec<String> {
    const LEAST: usize = 10;
    const SPACE: usize = 3;
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        for (at, cell) in line.split('\t').enumerate() {
            let width = (cell.chars().count() + SPACE).max(LEAST);
            match widths.get_mut(at) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let line = |line: &String| {
        let mut padded = String::with_capacity(widths.iter().sum());
        for (cell, width) in line.split('\t').zip(&widths) {
            padded.push_str(cell);
            padded.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
        padded.truncate(padded.trim_end().len());
        padded
    };
    lines.iter().map(line).collect()
}

/// One object on one line.
pub fn json<T: Serialize>(object: &T) -> Outcome<String> {
    text_of(serde_json::to_string(object))
}

/// Prints a list, indented, as `inspect` does.
pub fn print_pretty<T: Serialize>(objects: &T) -> Outcome<()> {
    println!("{}", text_of(serde_json::to_string_pretty(objects))?);
    Ok(())
}

/// Control characters that JSON lets stand as they are, and a terminal takes for commands, are written as numbers.
fn text_of(written: serde_json::Result<String>) -> Outcome<String> {
    let text =
        written.map_err(|why| Error::new(Kind::System, "cannot write this as JSON").caused_by(why.to_string()))?;
    let steers = |c: char| ('\u{7f}'..='\u{9f}').contains(&c);
    if !text.contains(steers) {
        return Ok(text);
    }
    Ok(text.chars().map(|c| if steers(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect())
}

/// `12 seconds`, `3 minutes`: how long ago an RFC 3339 time was.
pub fn age(time: &str) -> String {
    rcr_engine::status::age(time, jiff::Timestamp::now())
}

/// `2026-06-15 12:00:00 +0200 CEST`: an RFC 3339 time here, as Docker writes it.
pub fn local_time(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string(),
        Err(_) => time.to_owned(),
    }
}

/// `k=v,k2=v2`, as listings have labels.
pub fn labels(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// At most this many characters; what is cut off leaves `…`.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// Bytes with a unit, as powers of 1000.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{bytes}B") } else { format!("{value:.1}{unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1}TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_steers_no_terminal() {
        assert_eq!(json(&"a\u{9b}2J\u{7f}\u{1b}é").unwrap(), "\"a\\u009b2J\\u007f\\u001bé\"");
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!((size(999), size(9_400_000)), ("999B".into(), "9.4MB".into()));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = ["ID\tNAME\tX".to_owned(), "123456789\tb\t".to_owned()];
        assert_eq!(aligned(&lines), ["ID          NAME      X", "123456789   b"]);
        assert_eq!((shortened("abc", 3), shortened("abcd", 3)), ("abc".into(), "ab…".into()));
    }
}
