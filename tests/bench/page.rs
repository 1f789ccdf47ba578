//! `bench page FILE`: what the benches have kept in FILE, as docs/benchmarks.md, its pictures, and the README's table.

use crate::picture::{figure, picture};
use crate::table::{Row, Table};
use std::fmt::Write;
use std::path::Path;

/// Between these lines of the README is the table.
const MARKS: [&str; 2] = ["<!-- bench -->", "<!-- end of bench -->"];

pub fn main(file: &Path) {
    let text = std::fs::read_to_string(file).expect("the file that a bench has written");
    let tables: Vec<Table> = text.lines().map(|line| serde_json::from_str(line).expect("a table")).collect();
    let docs = Path::new("docs");
    std::fs::write(docs.join("benchmarks.md"), page(&tables)).expect("docs/benchmarks.md");
    for (number, table) in tables.iter().enumerate() {
        std::fs::write(docs.join(picture_name(number)), picture(table)).expect("a picture");
    }
    let readme = std::fs::read_to_string("README.md").expect("README.md");
    let first = tables.first().expect("a table");
    std::fs::write("README.md", with_table(&readme, &rows(first))).expect("README.md");
}

fn picture_name(number: usize) -> String {
    format!("benchmarks-{}.svg", number + 1)
}

fn page(tables: &[Table]) -> String {
    let mut text = String::from(
        "# Figures\n\nMade by `make bench` and `make bench-page`; [performance.md](performance.md) says where the time \
         goes. Each table is one\nrun: the contenders take turns, and the ratio is to the floor (the first row) of \
         the same round, in the median. The\nfloor is bare system calls, and leaves out everything that a runtime is \
         for. The processors' time is of all that ran on the\nmachine, daemons and kernel threads, too. Machines \
         differ: compare within a table, not between machines.\n",
    );
    for (number, table) in tables.iter().enumerate() {
        let Table { title, unit, machine, .. } = table;
        let _ = write!(text, "\n## {title}\nIn {unit}; {machine}.\n\n{}\n", rows(table));
        let _ = writeln!(text, "![{title}]({})", picture_name(number));
    }
    text
}

fn rows(table: &Table) -> String {
    let mut text = format!(
        "| | rounds | min | median ({}) | p95 | ratio | processors (ms) |\n|---|--:|--:|--:|--:|--:|--:|\n",
        table.unit
    );
    let part = |value: Option<f64>| value.map(figure).unwrap_or_default();
    for row in table.rows.iter().filter(|row| row.rounds > 0) {
        let Row { rounds, min, median, p95, ratio, processor, .. } = row;
        let name = row.label();
        let [min, median, p95] = [min, median, p95].map(|value| figure(*value));
        let (ratio, processor) = (part(*ratio), part(*processor));
        let _ = writeln!(text, "| {name} | {rounds} | {min} | {median} | {p95} | {ratio} | {processor} |");
    }
    text
}

fn with_table(readme: &str, table: &str) -> String {
    let [begin, end] = MARKS;
    let (before, rest) = readme.split_once(begin).expect("the README has a place for the table");
    let (_, after) = rest.split_once(end).expect("the README's table has an end");
    format!("{before}{begin}\n{table}{end}{after}")
}
