//! Listings: columns for people, one JSON object per line for programs.

use crate::report;
use serde::Serialize;

/// Prints columns, each as wide as its widest cell.
pub fn print(header: &[&str], rows: &[Vec<String>]) {
    // One line a row, whatever is in it.
    let cell = |text: &String| report::printable(text).replace(['\n', '\t'], " ");
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(&format!("{cell:<width$}   "));
        }
        println!("{}", text.trim_end());
    };
    line(&mut header.iter().copied());
    for row in &rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// Prints one object on one line.
pub fn print_json<T: Serialize>(object: &T) {
    if let Ok(line) = serde_json::to_string(object) {
        println!("{line}");
    }
}

/// Prints a list, indented, as `inspect` does.
pub fn print_pretty<T: Serialize>(objects: &T) {
    if let Ok(text) = serde_json::to_string_pretty(objects) {
        println!("{text}");
    }
}

/// `12 seconds`, `3 minutes`: how long ago an RFC 3339 time was.
pub fn age(time: &str) -> String {
    rcr_engine::status::age(time, jiff::Timestamp::now())
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
    fn sizes_have_units() {
        assert_eq!((size(999), size(9_400_000)), ("999B".into(), "9.4MB".into()));
    }
}
