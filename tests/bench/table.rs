//! A table of figures: printed for people, and kept as a line of JSON for `bench page` where `BENCH_JSON` names a file.

use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

/// What was measured in one interleaved run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Table {
    pub title: String,
    /// Of the figures: `ms`, `s`, `Gbit/s`, `/s`.
    pub unit: String,
    /// The machine's load when it was over (`/proc/loadavg`), and its kernel.
    pub machine: String,
    pub rows: Vec<Row>,
}

/// One work of one contender. Without figures it could not be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    /// How many there were of what the table counts: a point of a curve.
    #[serde(default)]
    pub there: Option<usize>,
    pub rounds: usize,
    pub min: f64,
    pub median: f64,
    pub p95: f64,
    /// To the floor of the same round, in the median.
    pub ratio: Option<f64>,
    /// Milliseconds of all processors in a round, of everything that ran on the machine.
    pub processor: Option<f64>,
}

impl Row {
    /// The figures of all rounds, beside the floor's.
    pub fn new(name: &str, figures: &[f64], floor: &[f64]) -> Self {
        let at = |part| quantile(figures, part).unwrap_or_default();
        let pairs: Vec<f64> = figures.iter().zip(floor).map(|(own, floor)| own / floor).collect();
        Self {
            name: name.to_owned(),
            there: None,
            rounds: figures.len(),
            min: at(0.0),
            median: at(0.5),
            p95: at(0.95),
            ratio: quantile(&pairs, 0.5),
            processor: None,
        }
    }
}

impl Row {
    /// Its name, with how many there were.
    pub fn label(&self) -> String {
        self.there.map_or_else(|| self.name.clone(), |there| format!("{}, {there} there", self.name))
    }
}

/// The value that so large a part of all does not exceed.
pub fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * part).round() as usize).copied()
}

pub fn milliseconds(took: &[Duration]) -> Vec<f64> {
    took.iter().map(|time| time.as_secs_f64() * 1e3).collect()
}

impl Table {
    pub fn new(title: &str, unit: &str, rows: Vec<Row>) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let machine = format!("load {}, Linux {}", read("/proc/loadavg"), read("/proc/sys/kernel/osrelease"));
        Self { title: title.into(), unit: unit.into(), machine, rows }
    }

    pub fn show(self) {
        println!("\n{} ({}; {})", self.title, self.unit, self.machine);
        println!("{:<58} {:>4} {:>9} {:>9} {:>9} {:>7} {:>7}", "", "n", "min", "median", "p95", "ratio", "CPU ms");
        for row in &self.rows {
            let part = |figure: Option<f64>, digits| figure.map_or("-".into(), |figure| format!("{figure:.digits$}"));
            let (ratio, processor) = (part(row.ratio, 2), part(row.processor, 1));
            let Row { rounds, min, median, p95, .. } = row;
            let name = row.label();
            match rounds {
                0 => println!("{name:<58} {rounds:>4} {:>9}", "failed"),
                _ => println!("{name:<58} {rounds:>4} {min:>9.2} {median:>9.2} {p95:>9.2} {ratio:>7} {processor:>7}"),
            }
        }
        self.keep();
    }

    fn keep(&self) {
        let Ok(path) = std::env::var("BENCH_JSON") else { return };
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("the file of BENCH_JSON");
        let line = serde_json::to_string(self).expect("a table as JSON");
        writeln!(file, "{line}").expect("the file of BENCH_JSON");
    }
}

/// Time that all processors have worked since the machine came up (proc(5), `/proc/stat`), in steps of a clock tick.
pub fn worked() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> =
        stat.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user, nice, system, (idle, iowait), irq, softirq; what others take of a virtual machine is not ours.
    let ticks: u64 = [0, 1, 2, 5, 6].iter().filter_map(|at| fields.get(*at)).sum();
    // SAFETY: a library call without pointers.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Duration::from_secs_f64(ticks as f64 / per_second as f64)
}
