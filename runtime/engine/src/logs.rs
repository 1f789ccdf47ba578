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
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
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
    // It may have become an older one itself since: what is newer comes when it is followed.
    let mut files = older(&path);
    let own = current.first();
    if let Some(at) = files.iter().position(|file| own.as_ref() == Some(&file.first)) {
        files.drain(..=at);
    }
    let newest = files.first().map(|file| file.first.clone());
    files.into_iter().rev().for_each(|file| file.read(&mut keep));
    current.read(&mut keep);
    let enough = last.iter().try_for_each(|line| wanted.give(line, each)).is_break();
    if wanted.follow && !enough {
        follow(instance, &container.config.id, &path, (current, newest), &mut |line| wanted.give(line, each));
    }
    Ok(())
}

/// Follows until the container has ended and all is read. Beside the file that is written comes the first line of the
/// newest one that was read before it: in the middle of a rotation there is no file that is written.
fn follow(
    instance: &Instance,
    id: &ContainerId,
    path: &Path,
    (mut current, mut newest): (Current, Option<String>),
    give: &mut dyn FnMut(&str) -> ControlFlow<()>,
) {
    let run_dir = instance.dirs.container_run(id);
    loop {
        let alive = State::read(&run_dir).ok().flatten().is_some_and(|state| state.status.is_alive());
        let mut lines = Vec::new();
        current.read(&mut |line| lines.push(line));
        let next = if current.is_rotated(path) { Current::open(path).ok() } else { None };
        let rotated = next.is_some();
        if let Some(next) = next {
            // What came between our reading and the rotation, then whole files that came and went meanwhile.
            current.read(&mut |line| lines.push(line));
            let mut newer = older(path);
            // The first is the newest: those before ours, and behind the one that is written now, if that has gone, too.
            let at = |first: Option<String>| newer.iter().position(|file| first.as_ref() == Some(&file.first));
            let last = current.first().or(newest);
            let (ours, now) = (at(last.clone()), at(next.first()));
            newer.truncate(ours.unwrap_or(newer.len()));
            newer.drain(..now.map_or(0, |at| at + 1).min(newer.len()));
            newest = newer.first().map(|file| file.first.clone()).or(last);
            newer.into_iter().rev().for_each(|file| file.read(&mut |line| lines.push(line)));
            current = next;
        }
        for line in &lines {
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

    /// Its first line, once there is one.
    fn first(&self) -> Option<String> {
        let file = self.file.as_ref()?.get_ref();
        let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let got = file.read_at(&mut buffer, text.len() as u64).ok().filter(|got| *got > 0)?;
            text.extend_from_slice(&buffer[..got]);
            if let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                return String::from_utf8(text[..=end].to_vec()).ok();
            }
        }
    }

    fn is_rotated(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|meta| meta.ino() != self.inode)
    }
}

/// A file that was rotated away. Its name changes while we look, and its inode when it is compressed; its first line,
/// which holds a time to the nanosecond, says which one it is.
struct Older {
    first: String,
    rest: Box<dyn BufRead>,
}

impl Older {
    /// The n-th older file, whether it is compressed or not.
    fn open(path: &Path, n: u32) -> Option<Self> {
        let plain = rotated(path, n);
        let mut rest: Box<dyn BufRead> = match File::open(&plain) {
            Ok(file) => Box::new(BufReader::new(file)),
            Err(_) => Box::new(BufReader::new(decompress(File::open(packed(&plain)).ok()?))),
        };
        let mut first = String::new();
        rest.read_line(&mut first).ok()?;
        Some(Self { first, rest })
    }

    fn read(self, each: &mut dyn FnMut(String)) {
        each(self.first);
        // A line cut short, by a full disk for example, is none.
        self.rest.lines().map_while(Result::ok).for_each(|line| each(line + "\n"));
    }
}

/// All older files, the newest first. A file that gets a higher number meanwhile is seen again there, and not taken
/// twice; the number that is free in the middle of a rotation is passed over.
fn older(path: &Path) -> Vec<Older> {
    let mut all: Vec<Older> = Vec::new();
    let (mut n, mut missing) = (1, 0);
    while missing < 2 {
        match Older::open(path, n) {
            Some(file) if all.iter().all(|known| known.first != file.first) => all.push(file),
            Some(_) => {}
            None => missing += 1,
        }
        n += 1;
    }
    all
}
