//! `stats`.

use crate::cli::stats::StatsArgs;
use crate::template::Format;
use crate::term::listing::{self, Row};
use crate::term::outlet::{pause, say};
use crate::term::terminal;
use rcr_base::{Kind, Outcome};
use rcr_engine::instance::Instance;
use rcr_engine::stats::{self, Choice, Look, Usage};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

/// From one look to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// One container, with Docker's keys.
#[derive(Serialize)]
struct Line {
    #[serde(rename = "BlockIO")]
    block_io: String,
    #[serde(rename = "CPUPerc")]
    cpu: String,
    #[serde(rename = "Container")]
    container: String,
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "MemPerc")]
    memory_percent: String,
    #[serde(rename = "MemUsage")]
    memory: String,
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "NetIO")]
    net_io: String,
    #[serde(rename = "PIDs")]
    pids: String,
}

impl Row for Line {
    const HEADINGS: &'static [(&'static str, &'static str)] = &[
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ];
}

const COLUMNS: [&str; 8] = ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];

/// The last look at each container, by id.
type Before = BTreeMap<String, Usage>;

/// `rcr stats`.
pub fn stats(instance: &Instance, args: &StatsArgs) -> Outcome<i32> {
    let mut choice = Choice { names: args.names.clone(), all: args.all };
    let mut before = remembered(&stats::look(instance, &choice)?);
    let mut screen = Screen::new(args.format.format.as_ref());
    loop {
        pause(PERIOD)?;
        if !args.names.is_empty() {
            // One that was removed meanwhile is gone from the table; with the last one it ends.
            let is_there =
                |name: &String| !instance.containers().find(name).is_err_and(|failure| failure.kind == Kind::NotFound);
            choice.names.retain(is_there);
            if choice.names.is_empty() {
                return Ok(0);
            }
        }
        let now = match stats::look(instance, &choice) {
            // It went just now.
            Err(failure) if failure.kind == Kind::NotFound => continue,
            other => other?,
        };
        let lines: Vec<Line> = now.iter().map(|look| line(look, &before, args.no_trunc)).collect();
        screen.show(&listing::lines(args.format.format.as_ref(), &COLUMNS, &lines)?)?;
        if args.no_stream {
            return Ok(0);
        }
        before = remembered(&now);
    }
}

fn remembered(looks: &[Look]) -> Before {
    let known = looks.iter().filter_map(|look| Some((look.container.config.id.to_string(), look.usage.clone()?)));
    known.collect()
}

/// One that does not run takes nothing.
fn line(look: &Look, before: &Before, whole: bool) -> Line {
    let config = &look.container.config;
    let id = if whole { config.id.as_str() } else { config.id.short() };
    let usage = look.usage.as_ref();
    let earlier = before.get(config.id.as_str());
    let cpu = usage.zip(earlier).map_or(0.0, |(now, earlier)| now.cpu_percent(earlier));
    let (received, sent) = usage.map(Usage::traffic).unwrap_or_default();
    let (read, written) = usage.map(|usage| (usage.read, usage.written)).unwrap_or_default();
    let (memory, limit) = usage.map(|usage| (usage.memory, usage.memory_limit)).unwrap_or_default();
    Line {
        block_io: format!("{} / {}", decimal(read), decimal(written)),
        cpu: format!("{cpu:.2}%"),
        container: look.asked.clone().unwrap_or_else(|| id.to_owned()),
        id: id.to_owned(),
        memory_percent: format!("{:.2}%", usage.map_or(0.0, Usage::memory_percent)),
        memory: format!("{} / {}", binary(memory), binary(limit)),
        name: config.name.clone(),
        net_io: format!("{} / {}", decimal(received), decimal(sent)),
        pids: usage.map_or(0, |usage| usage.pids).to_string(),
    }
}

/// Bytes as powers of 1024, as Docker has memory: `1.5MiB`.
fn binary(bytes: u64) -> String {
    with_unit(bytes, 1024.0, 4, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

/// Bytes as powers of 1000, as Docker has traffic: `1.05kB`.
pub(super) fn decimal(bytes: u64) -> String {
    with_unit(bytes, 1000.0, 3, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// With so many digits that say something.
fn with_unit(bytes: u64, base: f64, digits: usize, units: &[&str]) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= base && unit + 1 < units.len() {
        (value, unit) = (value / base, unit + 1);
    }
    let whole = format!("{value:.0}").len();
    let text = format!("{value:.*}", digits.saturating_sub(whole));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", units[unit])
}

/// Where the tables go. On a terminal each one takes the place of the one before it, line by line, so that nothing
/// flickers; elsewhere they come one after the other.
pub(super) struct Screen {
    in_place: bool,
    /// Rows of the last table.
    drawn: usize,
}

impl Screen {
    pub(super) fn new(format: Option<&Format>) -> Self {
        let table = matches!(format, None | Some(Format::Table | Format::Columns(_)));
        Self { in_place: table && stdout().is_terminal(), drawn: 0 }
    }

    pub(super) fn show(&mut self, lines: &[String]) -> Outcome<()> {
        if !self.in_place {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            return say(&text);
        }
        let (rows, columns) = terminal::size().unwrap_or((24, 80));
        let (text, drawn) = redrawn(lines, self.drawn, (rows.into(), columns.into()));
        self.drawn = drawn;
        say(&text)
    }
}

/// A table over the last one, of which so many rows are above the cursor, and its own rows: each line is cleared behind
/// its end, and what is left below is cleared. What has no room is left out: it would scroll.
fn redrawn(lines: &[String], drawn: usize, (rows, columns): (usize, usize)) -> (String, usize) {
    let mut text = if drawn > 0 { format!("\x1b[{drawn}A\r") } else { String::new() };
    let mut used = 0;
    for line in lines {
        let width = line.chars().count();
        // A long line goes on in the next row.
        let takes = width.div_ceil(columns).max(1);
        if used + takes >= rows {
            break;
        }
        used += takes;
        text.push_str(line);
        // Behind a full row there is nothing to clear, and the cursor is still on its last letter.
        text.push_str(if width > 0 && width.is_multiple_of(columns) { "\n" } else { "\x1b[K\n" });
    }
    text.push_str("\x1b[J");
    (text, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_dockers_do() {
        assert_eq!((binary(0), binary(1023), binary(1_572_864)), ("0B".into(), "1023B".into(), "1.5MiB".into()));
        assert_eq!((binary(716_800), binary(8_249_000_000)), ("700KiB".into(), "7.682GiB".into()));
        assert_eq!(
            (decimal(1050), decimal(656), decimal(12_345_678)),
            ("1.05kB".into(), "656B".into(), "12.3MB".into())
        );
    }

    #[test]
    fn a_table_takes_the_place_of_the_last_one() {
        let lines = ["ID  NAME".to_owned(), "1   one".to_owned(), "2   two".to_owned()];
        assert_eq!(redrawn(&lines[..1], 0, (24, 80)), ("ID  NAME\x1b[K\n\x1b[J".into(), 1));
        // Two rows for the heading, which fills them, two for the next one, and none for the last one.
        let want = "\x1b[2A\rID  NAME\n1   one\x1b[K\n\x1b[J";
        assert_eq!(redrawn(&lines, 2, (5, 4)), (want.into(), 4));
    }
}
