//! Listings of objects: a table, a JSON object a line, or what a template makes of them.

use super::table::{aligned, cell, json};
use crate::report;
use crate::template::Format;
use rcr_base::Outcome;
use serde::Serialize;
use serde_json::Value;
use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};

/// A line of a listing. Its fields have Docker's names.
pub trait Row: Serialize {
    /// The fields, and how a table calls them.
    const HEADINGS: &'static [(&'static str, &'static str)];

    /// What `.Label "key"` of a template looks in.
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        None
    }

    /// A field as text, for a listing whose fields are not all made where a table shows some.
    fn field(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Prints a listing. `columns`: the fields of the table without a template. Nothing is printed if a row can't be.
pub fn print<R: Row>(format: Option<&Format>, columns: &[&str], rows: &[R]) -> Outcome<()> {
    // One write(2), not one a line.
    let text: String = lines(format, columns, rows)?.iter().map(|line| format!("{line}\n")).collect();
    print!("{text}");
    Ok(())
}

/// The lines of a listing, see [`print()`].
pub fn lines<R: Row>(format: Option<&Format>, columns: &[&str], rows: &[R]) -> Outcome<Vec<String>> {
    match format {
        Some(Format::Json) => rows.iter().map(json).collect(),
        Some(Format::Lines(template)) => {
            rows.iter().map(|row| template.text(row, row.labels()).map(for_terminals)).collect()
        }
        Some(Format::Columns(template)) => {
            let mut lines = vec![template.headings(R::HEADINGS)?];
            for row in rows {
                lines.push(report::printable(&template.text(row, row.labels())?));
            }
            Ok(aligned(&lines))
        }
        Some(Format::Table) | None => {
            let heading =
                |field: &&str| R::HEADINGS.iter().find(|(known, _)| known == field).map_or("", |(_, heading)| *heading);
            let mut lines = vec![columns.iter().map(heading).collect::<Vec<_>>().join("\t")];
            lines.extend(rows.iter().map(|row| cells(row, columns)));
            Ok(aligned(&lines))
        }
    }
}

/// The fields of a row, each on one line whatever is in it.
fn cells<R: Row>(row: &R, columns: &[&str]) -> String {
    let whole = LazyCell::new(|| serde_json::to_value(row).unwrap_or_default());
    let text = |name: &&str| match row.field(name) {
        Some(text) => cell(&text),
        None => match &whole[*name] {
            Value::String(text) => cell(text),
            other => other.to_string(),
        },
    };
    columns.iter().map(text).collect::<Vec<_>>().join("\t")
}

/// One object: as a template has it, or on one line as JSON.
pub fn shown<T: Serialize>(format: &Format, object: &T) -> Outcome<String> {
    match format {
        Format::Lines(template) | Format::Columns(template) => template.text(object, None).map(for_terminals),
        Format::Json | Format::Table => json(object),
    }
}

/// What a terminal would take for a command of its own is shown, not sent.
fn for_terminals(text: String) -> String {
    if stdout().is_terminal() { report::printable(&text) } else { text }
}
