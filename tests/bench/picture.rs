//! A table's picture: bars, or curves where its rows are points.

use crate::table::{Row, Table};
use std::fmt::Write;

/// Pixels for a line of text or a bar.
const LINE: usize = 26;
/// The area of curves.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 620.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 300.0;

/// Three digits, or all before the point.
pub fn figure(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// An SVG of the medians.
pub fn picture(table: &Table) -> String {
    let shown: Vec<&Row> = table.rows.iter().filter(|row| row.rounds > 0).collect();
    let curves = shown.iter().any(|row| row.there.is_some());
    let (height, inside) = if curves { curves_of(&shown) } else { bars(&shown) };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<style>text{{fill:#333}}@media(prefers-color-scheme:dark){{text{{fill:#ddd}}}}</style>\n\
         <text x=\"0\" y=\"16\" font-weight=\"bold\">{} ({})</text>\n{inside}</svg>\n",
        xml(&table.title),
        table.unit
    )
}

fn bars(shown: &[&Row]) -> (usize, String) {
    let most = shown.iter().map(|row| row.median).fold(f64::MIN_POSITIVE, f64::max);
    let mut text = String::new();
    for (at, row) in shown.iter().enumerate() {
        let top = LINE * (at + 1);
        let colour = if row.name.starts_with("rcr") { "#2a7de1" } else { "#9aa5b1" };
        let width = (row.median / most * 380.0).max(1.0);
        let _ = writeln!(text, "<text x=\"0\" y=\"{}\">{}</text>", top + 16, xml(&row.name));
        let _ =
            writeln!(text, "<rect x=\"430\" y=\"{}\" width=\"{width:.1}\" height=\"18\" fill=\"{colour}\"/>", top + 2);
        let _ = writeln!(text, "<text x=\"{:.1}\" y=\"{}\">{}</text>", 436.0 + width, top + 16, figure(row.median));
    }
    (LINE * (shown.len() + 1), text)
}

/// The upright axis begins at nothing, so that what stays flat looks flat; the counts stand evenly below.
fn curves_of(shown: &[&Row]) -> (usize, String) {
    let mut counts: Vec<usize> = shown.iter().filter_map(|row| row.there).collect();
    counts.sort_unstable();
    counts.dedup();
    let most = shown.iter().map(|row| row.median).fold(f64::MIN_POSITIVE, f64::max);
    let step = (RIGHT - LEFT) / counts.len().saturating_sub(1).max(1) as f64;
    let place = |row: &Row| {
        let column = counts.iter().position(|count| Some(*count) == row.there).unwrap_or_default();
        (LEFT + step * column as f64, BOTTOM - row.median / most * (BOTTOM - TOP))
    };
    let mut text = String::new();
    for part in [0.0, 0.5, 1.0] {
        let y = BOTTOM - part * (BOTTOM - TOP);
        let _ = writeln!(text, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#9aa5b1\" stroke-width=\"0.5\"/>");
        let _ = writeln!(text, "<text x=\"0\" y=\"{:.1}\">{}</text>", y + 4.0, figure(most * part));
    }
    for (column, count) in counts.iter().enumerate() {
        let x = LEFT + step * column as f64;
        let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{count}</text>", BOTTOM + 20.0);
    }
    let mut names: Vec<&str> = shown.iter().map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let colours = ["#2a7de1", "#d9730d", "#0f9d76", "#9b51e0", "#c2334d"];
    for (at, (name, colour)) in names.iter().zip(colours.iter().cycle()).enumerate() {
        let points: Vec<(f64, f64)> = shown.iter().filter(|row| row.name == *name).map(|row| place(row)).collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        let y = TOP + (LINE * at) as f64;
        let _ = writeln!(text, "<rect x=\"650\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>", y - 10.0);
        let _ = writeln!(text, "<text x=\"668\" y=\"{y:.1}\">{}</text>", xml(name));
    }
    (BOTTOM as usize + LINE, text)
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
