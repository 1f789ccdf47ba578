//! The files of the record. A file that turns over keeps its inode: what is open is read to its end, and whoever still
//! writes into the older one is read there.

use rcr_base::events::{CURRENT, Event, OLDER};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many files stay open: the one that is written, the one before it, and those that were pushed out behind them.
const OPEN: usize = 4;
/// How often the names are looked at until they stay the same.
const LOOKS: usize = 8;

/// The record, read as far as it has come.
pub struct Record {
    folder: PathBuf,
    tails: Vec<Tail>,
}

/// A file, read as far as it has come.
struct Tail {
    file: File,
    inode: u64,
    partial: Vec<u8>,
}

impl Record {
    /// Nothing of it is read yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), tails: Vec::new() }
    }

    /// What has come since the last time, in order of time.
    pub fn read(&mut self, fits: &dyn Fn(&Event) -> bool) -> Vec<Event> {
        self.open_new();
        let mut all = Vec::new();
        for tail in &mut self.tails {
            tail.read(&mut |line| all.extend(Event::read(line).filter(fits)));
        }
        // Who was turned over first has been read to its end.
        let pushed_out = self.tails.len().saturating_sub(OPEN);
        self.tails.drain(..pushed_out);
        all.sort_by_key(|event| event.time);
        all
    }

    /// Opens the files that are not open yet, the older one first. One that turns over meanwhile is looked for again.
    fn open_new(&mut self) {
        for _ in 0..LOOKS {
            let before = self.tails.len();
            for name in [OLDER, CURRENT] {
                let Some(tail) = Tail::open(&self.folder.join(name)) else { continue };
                // An inode that is open here is nobody else's.
                if self.tails.iter().all(|known| known.inode != tail.inode) {
                    self.tails.push(tail);
                }
            }
            if self.tails.len() == before {
                return;
            }
        }
    }
}

impl Tail {
    fn open(path: &Path) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
        let inode = file.metadata().ok().filter(std::fs::Metadata::is_file)?.ino();
        Some(Self { file, inode, partial: Vec::new() })
    }

    /// Whole lines; the beginning of one waits for its end.
    fn read(&mut self, each: &mut dyn FnMut(&str)) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(got @ 1..) = self.file.read(&mut buffer) {
            self.partial.extend_from_slice(&buffer[..got]);
            let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else { continue };
            let rest = self.partial.split_off(end + 1);
            let whole = std::mem::replace(&mut self.partial, rest);
            String::from_utf8_lossy(&whole).lines().for_each(&mut *each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcr_base::events::{Object, append};
    use std::collections::BTreeSet;

    fn event(time: i64) -> Event {
        let id = format!("{time:064}");
        Event { time, object: Object::Volume, action: "create".into(), id, attributes: Default::default() }
    }

    fn times(events: &[Event]) -> Vec<i64> {
        events.iter().map(|event| event.time).collect()
    }

    #[test]
    fn a_follower_sees_every_line_once_over_many_turns() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("events");
        let mut record = Record::new(&folder);
        assert!(record.read(&|_| true).is_empty());
        let mut seen = Vec::new();
        for time in 0..500 {
            // A new file every dozen lines.
            append(&folder, event(time), 2000).unwrap();
            if time % 7 == 0 {
                seen.extend(times(&record.read(&|_| true)));
            }
        }
        seen.extend(times(&record.read(&|_| true)));
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
        // One that comes later finds the two files that are there, and what fits.
        let late = times(&Record::new(&folder).read(&|event| event.time >= 490));
        assert_eq!(late, (490..500).collect::<Vec<_>>());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn who_writes_on_into_a_file_that_has_turned_over_is_read() {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("events");
        append(&folder, event(1), 1 << 20).unwrap();
        let mut slow = std::fs::OpenOptions::new().append(true).open(folder.join(CURRENT)).unwrap();
        let mut record = Record::new(&folder);
        assert_eq!(times(&record.read(&|_| true)), [1]);
        append(&folder, event(2), 0).unwrap();
        append(&folder, event(3), 1 << 20).unwrap();
        assert_eq!(times(&record.read(&|_| true)), [2, 3]);
        let late = serde_json::to_vec(&event(4)).unwrap();
        slow.write_all(&late[..20]).unwrap();
        assert!(record.read(&|_| true).is_empty());
        slow.write_all(&[&late[20..], b"\n"].concat()).unwrap();
        assert_eq!(times(&record.read(&|_| true)), [4]);
    }

    /// Two files hold all that is written here: a third would push out what a slow reader has not seen.
    const MAX_SIZE: u64 = 400 << 10;

    #[test]
    fn two_hundred_writers_at_once_write_whole_lines_while_files_turn_over() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("events");
        let (writers, each) = (200, 20);
        let mut record = Record::new(&folder);
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..writers)
                .map(|writer| {
                    let folder = &folder;
                    scope.spawn(move || {
                        for n in 0..each {
                            append(folder, event(writer * each + n), MAX_SIZE).unwrap();
                        }
                    })
                })
                .collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                seen.extend(times(&record.read(&|_| true)));
            }
        });
        seen.extend(times(&record.read(&|_| true)));
        assert!(folder.join(OLDER).exists(), "the files have turned over");
        let all: BTreeSet<i64> = seen.iter().copied().collect();
        assert_eq!((seen.len() as i64, all.len() as i64), (writers * each, writers * each));
    }
}
