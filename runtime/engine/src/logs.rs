//! A container's log, read and followed.

use crate::instance::Instance;
use jiff::{SignedDuration, Timestamp};
use netd_api::ContainerId;
use rcr_base::{Doing, Outcome};
pub use rcr_shim::log::Entry;
use rcr_shim::log::rotated;
use rcr_shim::state::State;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a followed log is looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// At most so many from the end.
    pub tail: Option<usize>,
    /// Those to come, too, until the container has ended.
    pub follow: bool,
}

impl Wanted {
    /// Hands one line of the file on, if it is wanted. A line cut by a full disk is not ours to repair.
    fn give(&self, line: &str, each: &mut dyn FnMut(&Entry) -> ControlFlow<()>) -> ControlFlow<()> {
        let Ok(entry) = serde_json::from_str::<Entry>(line) else { return ControlFlow::Continue(()) };
        let time = entry.time.parse::<Timestamp>().ok();
        let early = self.since.is_some_and(|since| time.is_some_and(|time| time < since));
        let late = self.until.is_some_and(|until| time.is_some_and(|time| time > until));
        if early || late { ControlFlow::Continue(()) } else { each(&entry) }
    }
}

/// Reads a container's log; `each` says when it has had enough.
pub fn logs(
    instance: &Instance,
    name: &str,
    wanted: &Wanted,
    each: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
) -> Outcome<()> {
    let container = instance.containers().find(name)?;
    let path = instance.dirs.log(&container.config.id);
    let tail = wanted.tail.unwrap_or(usize::MAX);
    // The newest file is opened before the older ones are listed: a rotation in between can't hide lines.
    let mut current = Current::open(&path).doing(|| format!("cannot read the log of `{}`", container.config.name))?;
    let mut last: VecDeque<String> = VecDeque::new();
    let mut keep = |line: String| {
        if last.len() >= tail {
            last.pop_front();
        }
        if tail > 0 {
            last.push_back(line);
        }
    };
    for file in older(&path) {
        read_whole(&file, &mut keep);
    }
    current.read(&mut keep);
    let enough = last.iter().try_for_each(|line| wanted.give(line, each)).is_break();
    if wanted.follow && !enough {
        follow(instance, &container.config.id, &path, current, &mut |line| wanted.give(line, each));
    }
    Ok(())
}

/// Follows until the container has ended and all is read.
fn follow(
    instance: &Instance,
    id: &ContainerId,
    path: &Path,
    mut current: Current,
    give: &mut dyn FnMut(&str) -> ControlFlow<()>,
) {
    let run_dir = instance.dirs.container_run(id);
    loop {
        let alive = State::read(&run_dir).ok().flatten().is_some_and(|state| state.status.is_alive());
        let mut enough = false;
        current.read(&mut |line| enough |= give(&line).is_break());
        if enough {
            return;
        }
        if current.is_rotated(path)
            && let Ok(next) = Current::open(path)
        {
            current = next;
            continue;
        }
        if !alive {
            return;
        }
        std::thread::sleep(PERIOD);
    }
}

/// The file that is being written.
struct Current {
    file: Option<BufReader<File>>,
    inode: u64,
    /// A line whose end is not there yet.
    partial: String,
}

impl Current {
    fn open(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Ok(file) => {
                let inode = file.metadata()?.ino();
                Ok(Self { file: Some(BufReader::new(file)), inode, partial: String::new() })
            }
            // A container that has never run has no log.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { file: None, inode: 0, partial: String::new() })
            }
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, each: &mut dyn FnMut(String)) {
        let Some(file) = &mut self.file else { return };
        while let Ok(got) = file.read_line(&mut self.partial) {
            if got == 0 || !self.partial.ends_with('\n') {
                return;
            }
            each(std::mem::take(&mut self.partial));
        }
    }

    fn is_rotated(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|meta| meta.ino() != self.inode)
    }
}

fn older(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = (1..).map(|n| rotated(path, n)).take_while(|file| file.exists()).collect();
    files.reverse();
    files
}

fn read_whole(path: &Path, each: &mut dyn FnMut(String)) {
    if let Ok(mut file) = Current::open(path) {
        file.read(each);
    }
}

/// What Docker documents: RFC 3339, or parts of it from the left (`2026-01-31`, `2026-01-31T12`, …) with a zone or in
/// the local one; seconds since the epoch; a span back from now (`10m`, `1h30m`).
pub fn time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| seconds(text)).or_else(|| date(text)).or_else(|| ago(text))
}

fn seconds(text: &str) -> Option<Timestamp> {
    let since = SignedDuration::try_from_secs_f64(text.parse::<f64>().ok()?).ok()?;
    Timestamp::UNIX_EPOCH.checked_add(since).ok()
}

fn ago(text: &str) -> Option<Timestamp> {
    Timestamp::now().checked_sub(text.parse::<SignedDuration>().ok()?).ok()
}

fn date(text: &str) -> Option<Timestamp> {
    // A zone stands at the end: `Z`, or `+01:00`; a date's own hyphens end with its tenth character.
    let sign = text.get(10..).and_then(|rest| rest.rfind(['+', '-'])).map(|at| at + 10);
    let (civil, zone) = match (text.strip_suffix('Z'), sign) {
        (Some(civil), _) => (civil, Some("+00:00")),
        (None, Some(at)) => (&text[..at], Some(&text[at..])),
        (None, None) => (text, None),
    };
    let (day, clock) = civil.split_once('T').unwrap_or((civil, "00:00:00"));
    let clock = match clock.matches(':').count() {
        0 => format!("{clock}:00:00"),
        1 => format!("{clock}:00"),
        _ => clock.to_owned(),
    };
    match zone {
        Some(zone) => format!("{day}T{clock}{zone}").parse().ok(),
        None => {
            let local = format!("{day}T{clock}").parse::<jiff::civil::DateTime>().ok()?;
            local.to_zoned(jiff::tz::TimeZone::system()).ok().map(|zoned| zoned.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_every_form() {
        let at = |text: &str| time(text).map_or(-1, |t| t.as_second());
        assert_eq!(at("2026-01-31T12:00:00Z"), at("2026-01-31T13:00:00+01:00"));
        assert_eq!(at("2026-01-31T12:00:00.5Z"), at("2026-01-31T12:00Z"));
        assert_eq!(at("2026-01-31T12Z"), at("2026-01-31T11:00:00-01:00"));
        assert_eq!(at("2026-01-31Z"), at("2026-01-31T00:00:00Z"));
        assert_eq!((at("1136073600"), at("1136073600.000000001")), (1136073600, 1136073600));
        // In whatever zone this runs, a day is a day.
        assert_eq!(at("2026-02-02") - at("2026-02-01"), 86_400);
        assert_eq!(at("2026-02-01T10:30") - at("2026-02-01T10"), 1800);
        let now = Timestamp::now().as_second();
        for (span, seconds) in [("10m", 600), ("1h30m", 5400), ("1m30s", 90), ("3h", 10_800)] {
            assert!((now - at(span) - seconds).abs() <= 1, "{span}");
        }
        for bad in ["", "yesterday", "2026-13-01", "10 parsecs", "T12"] {
            assert_eq!(at(bad), -1, "{bad}");
        }
    }
}
