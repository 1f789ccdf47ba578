//! A container's log, read and followed.

use crate::instance::Instance;
use crate::parse::time::Tail;
use jiff::Timestamp;
use netd_api::ContainerId;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_images::compress::decompress;
pub use rcr_shim::log::Entry;
use rcr_shim::log::{packed, rotated};
use rcr_shim::state::State;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a followed log is read.
const PERIOD: Duration = Duration::from_millis(50);

/// Which lines to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// No lines before this time.
    pub since: Option<Timestamp>,
    /// No lines after this time.
    pub until: Option<Timestamp>,
    /// How many from the end.
    pub tail: Tail,
    /// Lines to come, too, until the container has ended.
    pub follow: bool,
}

impl Wanted {
    /// Passes on one line of the file if it is wanted. A line cut short by a full disk is skipped.
    fn give(&self, line: &str, each: &mut dyn FnMut(&Entry) -> ControlFlow<()>) -> ControlFlow<()> {
        let Ok(entry) = serde_json::from_str::<Entry>(line) else { return ControlFlow::Continue(()) };
        let time = entry.time.parse::<Timestamp>().ok();
        let early = self.since.is_some_and(|since| time.is_some_and(|time| time < since));
        let late = self.until.is_some_and(|until| time.is_some_and(|time| time > until));
        if early || late { ControlFlow::Continue(()) } else { each(&entry) }
    }
}

/// Reads a container's log; `each` returns `Break` when it has had enough.
pub fn logs(
    instance: &Instance,
    name: &str,
    wanted: &Wanted,
    each: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
) -> Outcome<()> {
    let container = instance.containers().find(name)?;
    if container.config.log.driver == "none" {
        return Err(Error::new(Kind::Invalid, format!("container `{}` keeps no log", container.config.name))
            .caused_by("it was created with `--log-driver none`")
            .hint("another driver keeps one, beside what it sends elsewhere: json-file, local, journald, syslog"));
    }
    let path = instance.dirs.log(&container.config.id);
    let tail = match wanted.tail {
        Tail::All => usize::MAX,
        Tail::Last(lines) => lines,
    };
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
        file.read(&mut keep);
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
    let mut last = String::new();
    loop {
        let alive = State::read(&run_dir).ok().flatten().is_some_and(|state| state.status.is_alive());
        let mut lines = Vec::new();
        current.read(&mut |line| lines.push(line));
        let next = if current.is_rotated(path) { Current::open(path).ok() } else { None };
        let rotated = next.is_some();
        if let Some(next) = next {
            // What came between our reading and the rotation, then whole files that came and went meanwhile.
            current.read(&mut |line| lines.push(line));
            let before = lines.last().map_or(last.as_str(), |line| time_of(line));
            let more = skipped(path, current.inode, before);
            lines.extend(more);
            current = next;
        }
        for line in &lines {
            time_of(line).clone_into(&mut last);
            if give(line).is_break() {
                return;
            }
        }
        if rotated {
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
    /// An incomplete line.
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

/// An older file.
struct Older {
    path: PathBuf,
    packed: bool,
}

impl Older {
    fn read(&self, each: &mut dyn FnMut(String)) {
        let Ok(file) = File::open(&self.path) else { return };
        let whole: Box<dyn Read> = if self.packed { Box::new(decompress(file)) } else { Box::new(file) };
        // A line cut short, by a full disk for example, is none.
        for line in BufReader::new(whole).lines() {
            let Ok(line) = line else { return };
            each(line + "\n");
        }
    }
}

/// All older files, the oldest first.
fn older(path: &Path) -> Vec<Older> {
    let file = |n| {
        let plain = rotated(path, n);
        // While it is compressed there are both: the plain one is whole.
        match (plain.exists(), packed(&plain)) {
            (true, _) => Some(Older { path: plain, packed: false }),
            (false, packed) => packed.exists().then_some(Older { path: packed, packed: true }),
        }
    };
    let mut files: Vec<Older> = (1..).map_while(file).collect();
    files.reverse();
    files
}

/// Lines of files that were rotated away since: from the file of this inode on, or after this time where it is no
/// longer there under any name.
fn skipped(path: &Path, inode: u64, last: &str) -> Vec<String> {
    let is_it = |file: &Older| std::fs::metadata(&file.path).is_ok_and(|meta| meta.ino() == inode);
    let files = older(path);
    let after = files.iter().rposition(is_it).map(|at| at + 1);
    let mut all = Vec::new();
    for file in &files[after.unwrap_or(0)..] {
        file.read(&mut |line| {
            if after.is_some() || time_of(&line) > last {
                all.push(line);
            }
        });
    }
    all
}

/// The time of a line of the file; all are written alike, so that their order is that of time.
fn time_of(line: &str) -> &str {
    line.rsplit_once("\"time\":\"").map_or("", |(_, time)| time.trim_end().trim_end_matches("\"}"))
}
