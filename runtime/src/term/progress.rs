//! How a transfer is shown: bars on a terminal, lines in a pipe.

use super::table;
use crate::report;
use rcr_engine::images::{Digest, Event};
use rcr_engine::reporter::Reporter;
use rustix::termios::tcgetwinsize;
use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often bars are drawn at most.
const DRAW: Duration = Duration::from_millis(80);
/// With more layers than this, one bar stands for all.
const ROWS: usize = 16;
/// Columns of a bar.
const WIDTH: usize = 24;

/// Shows the events of one pull or push on stderr.
pub struct Progress {
    state: Mutex<State>,
    terminal: bool,
    quiet: bool,
    /// What is printed for a layer that has arrived: `pulled`, `pushed`.
    done: &'static str,
}

struct State {
    rows: Vec<Row>,
    by_digest: HashMap<Digest, usize>,
    drawn: usize,
    last: Option<Instant>,
}

struct Row {
    name: String,
    size: u64,
    packed: u64,
    unpacked: u64,
    end: Option<&'static str>,
}

impl Progress {
    pub fn new(quiet: bool, done: &'static str) -> Self {
        let state = State { rows: Vec::new(), by_digest: HashMap::new(), drawn: 0, last: None };
        Self { state: Mutex::new(state), terminal: io::stderr().is_terminal(), quiet, done }
    }

    /// Takes in an event.
    fn event(&self, event: Event) {
        let Ok(mut state) = self.state.lock() else { return };
        let mut row = |digest: &Digest, change: &mut dyn FnMut(&mut Row)| {
            let at = state.by_digest.get(digest).copied()?;
            state.rows.get_mut(at).map(|row| {
                change(row);
                row.name.clone()
            })
        };
        let line = match event {
            Event::Found(layers) => {
                state.rows = layers.iter().map(|(digest, size)| Row::new(digest, *size)).collect();
                state.by_digest = layers.into_iter().enumerate().map(|(at, (digest, _))| (digest, at)).collect();
                None
            }
            Event::Waiting(_) => None,
            Event::Progress(digest, packed, unpacked) => {
                row(&digest, &mut |row| (row.packed, row.unpacked) = (packed, unpacked));
                None
            }
            Event::Exists(digest) => {
                row(&digest, &mut |row| row.end = Some("already exists")).map(|name| format!("{name}: already exists"))
            }
            Event::Done(digest) => {
                let done = self.done;
                row(&digest, &mut |row| row.end = Some(done)).map(|name| format!("{name}: {done}"))
            }
            Event::Again(why) => {
                state.clear(self.terminal);
                Some(report::printable(&format!("warning: {why}; trying again")))
            }
        };
        match line {
            Some(line) if !self.quiet && (!self.terminal || line.starts_with("warning")) => {
                report::to_stderr(&format!("{line}\n"))
            }
            _ => {}
        }
        if self.terminal && !self.quiet {
            state.draw(false);
        }
    }

    /// Draws the last state and leaves it standing.
    fn end(&self) {
        if let Ok(mut state) = self.state.lock()
            && self.terminal
            && !self.quiet
        {
            state.draw(true);
            state.drawn = 0;
        }
    }
}

impl Reporter for Progress {
    fn warning(&self, text: &str) {
        report::warn(text);
    }

    fn transfer(&self, event: Event) {
        self.event(event);
    }

    fn transfer_ended(&self) {
        self.end();
    }
}

/// Counts the bytes of an archive on a terminal.
pub struct Count {
    doing: &'static str,
    shown: bool,
}

impl Count {
    /// `doing`: `reading` or `unpacking`.
    pub fn new(doing: &'static str, quiet: bool) -> Self {
        Self { doing, shown: io::stderr().is_terminal() && !quiet }
    }
}

impl Reporter for Count {
    fn warning(&self, text: &str) {
        report::warn(text);
    }

    fn transfer(&self, _: Event) {}

    fn bytes(&self, so_far: u64) {
        if self.shown {
            report::to_stderr(&format!("\r{} {}   ", self.doing, table::size(so_far)));
        }
    }

    fn transfer_ended(&self) {
        if self.shown {
            report::to_stderr("\r\x1b[K");
        }
    }
}

impl Row {
    fn new(digest: &Digest, size: u64) -> Self {
        let name = digest.hex().get(..12).unwrap_or_default().to_owned();
        Self { name, size, packed: 0, unpacked: 0, end: None }
    }

    fn text(&self) -> String {
        let bytes = || format!("{} / {}", table::size(self.packed), table::size(self.size));
        match self.end {
            Some(end) => format!("{}: {end}", self.name),
            None if self.packed == 0 => format!("{}: waiting", self.name),
            None => {
                let unpacked = table::size(self.unpacked);
                format!("{}: {} {}, {unpacked} unpacked", self.name, bar(self.packed, self.size), bytes())
            }
        }
    }
}

impl State {
    fn clear(&mut self, terminal: bool) {
        if terminal && self.drawn > 0 {
            report::to_stderr(&format!("\x1b[{}A\r\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }

    fn draw(&mut self, now: bool) {
        if !now && self.last.is_some_and(|last| last.elapsed() < DRAW) {
            return;
        }
        self.last = Some(Instant::now());
        let lines: Vec<String> =
            if self.rows.len() <= ROWS { self.rows.iter().map(Row::text).collect() } else { vec![self.total()] };
        self.clear(true);
        // A line that wraps would take two rows, and drawing over the bars counts rows.
        let columns = tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
        let most = if columns == 0 { usize::MAX } else { columns.into() };
        let mut text = String::new();
        lines.iter().for_each(|line| text.extend(line.chars().take(most).chain("\x1b[K\n".chars())));
        let _ = io::stderr().write_all(text.as_bytes());
        self.drawn = lines.len();
    }

    fn total(&self) -> String {
        let all: u64 = self.rows.iter().map(|row| row.size).sum();
        let here: u64 = self.rows.iter().map(|row| if row.end.is_some() { row.size } else { row.packed }).sum();
        let ready = self.rows.iter().filter(|row| row.end.is_some()).count();
        let (bar, here, all) = (bar(here, all), table::size(here), table::size(all));
        format!("{ready} of {} layers: {bar} {here} / {all}", self.rows.len())
    }
}

fn bar(part: u64, whole: u64) -> String {
    let filled = (part as f64 / whole.max(1) as f64 * WIDTH as f64) as usize;
    let filled = filled.min(WIDTH);
    format!("[{}{}]", "=".repeat(filled), " ".repeat(WIDTH - filled))
}
