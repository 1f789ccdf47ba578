//! `bench page FILE`: what the benches have kept in FILE, as docs/benchmarks.md, its pictures, and the README's table.

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
    for Row { name, rounds, min, median, p95, ratio, processor } in table.rows.iter().filter(|row| row.rounds > 0) {
        let [min, median, p95] = [min, median, p95].map(|value| figure(*value));
        let (ratio, processor) = (part(*ratio), part(*processor));
        let _ = writeln!(text, "| {name} | {rounds} | {min} | {median} | {p95} | {ratio} | {processor} |");
    }
    text
}

/// Three digits, or all before the point.
fn figure(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn with_table(readme: &str, table: &str) -> String {
    let [begin, end] = MARKS;
    let (before, rest) = readme.split_once(begin).expect("the README has a place for the table");
    let (_, after) = rest.split_once(end).expect("the README's table has an end");
    format!("{before}{begin}\n{table}{end}{after}")
}

/// The medians as bars.
fn picture(table: &Table) -> String {
    const LINE: usize = 26;
    let shown: Vec<&Row> = table.rows.iter().filter(|row| row.rounds > 0).collect();
    let most = shown.iter().map(|row| row.median).fold(f64::MIN_POSITIVE, f64::max);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 {}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <style>text{{fill:#333}}@media(prefers-color-scheme:dark){{text{{fill:#ddd}}}}</style>\n",
        LINE * (shown.len() + 1)
    );
    let _ = writeln!(text, "<text x=\"0\" y=\"16\" font-weight=\"bold\">{} ({})</text>", xml(&table.title), table.unit);
    for (at, row) in shown.iter().enumerate() {
        let top = LINE * (at + 1);
        let colour = if row.name.starts_with("rcr") { "#2a7de1" } else { "#9aa5b1" };
        let width = (row.median / most * 380.0).max(1.0);
        let _ = writeln!(text, "<text x=\"0\" y=\"{}\">{}</text>", top + 16, xml(&row.name));
        let _ =
            writeln!(text, "<rect x=\"430\" y=\"{}\" width=\"{width:.1}\" height=\"18\" fill=\"{colour}\"/>", top + 2);
        let _ = writeln!(text, "<text x=\"{:.1}\" y=\"{}\">{}</text>", 436.0 + width, top + 16, figure(row.median));
    }
    text + "</svg>\n"
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
