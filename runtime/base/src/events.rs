//! The record of what happens to an instance's objects: one line of JSON for each event, in a file below its root.
//! Whoever does something writes it down himself: `rcr`, a container's shim, netd. Nobody runs for it, and nobody waits
//! for another: a line is one write(2) to the end of the file, which the kernel keeps whole.
//!
//! An event is best effort. A disk that is full or a folder that is gone fails nothing, and nothing is forced to the
//! disk: a power cut may take the last events along.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder below an instance's root.
pub const FOLDER: &str = "events";
/// The file that is written.
pub const CURRENT: &str = "events.log";
/// The one before it.
pub const OLDER: &str = "events.log.1";

/// Bytes after which a new file is begun.
const MAX_SIZE: u64 = 8 << 20;
/// The longest line, in bytes, and the longest value in it: labels may be as long as somebody likes.
const MAX_LINE: usize = 32 << 10;
const MAX_VALUE: usize = 4 << 10;
/// What a command that is part of an action's name is cut to.
const MAX_ACTION: usize = 1 << 10;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Object {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

impl Object {
    /// Docker's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Object::Container => "container",
            Object::Image => "image",
            Object::Network => "network",
            Object::Volume => "volume",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Nanoseconds since the epoch. It comes first: a line that a full disk has cut short ends where the next begins.
    pub time: i64,
    /// What kind of object it is about.
    pub object: Object,
    /// Docker's word for it: `create`, `exec_start: sh`.
    pub action: String,
    /// The object's id, or its name where that is its id.
    pub id: String,
    /// What else is known: its name, its labels, an exit code.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// How every line begins, but for the number that follows.
const BEGINNING: &str = "{\"time\":";

impl Event {
    /// Reads a line. Behind one that was cut short there may be a whole one: that is read.
    pub fn read(line: &str) -> Option<Self> {
        // Values of attributes are texts, so that no attribute looks like this.
        let is_begin = |at: &usize| line[at + BEGINNING.len()..].starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let begin = line.rmatch_indices(BEGINNING).map(|(at, _)| at).find(is_begin)?;
        serde_json::from_str(&line[begin..]).ok()
    }

    /// The line, no longer than [`MAX_LINE`]: the longest attributes are left out of one that would be.
    fn line(mut self) -> Option<Vec<u8>> {
        cut(&mut self.action, MAX_ACTION);
        self.attributes.values_mut().for_each(|value| cut(value, MAX_VALUE));
        loop {
            let mut line = serde_json::to_vec(&self).ok()?;
            line.push(b'\n');
            if line.len() <= MAX_LINE {
                return Some(line);
            }
            let longest = self.attributes.iter().max_by_key(|(key, value)| key.len() + value.len());
            let longest = longest.map(|(key, _)| key.clone())?;
            self.attributes.remove(&longest);
        }
    }
}

/// At most so many bytes of a text.
fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}

/// An object of which events are written down, and where: what a program is told that writes about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The folder of the record.
    pub folder: PathBuf,
    /// What kind of object it is.
    pub object: Object,
    /// Its id.
    pub id: String,
    /// What stands in each of its events.
    pub attributes: BTreeMap<String, String>,
}

impl Subject {
    /// An object of the instance with this root.
    pub fn new(root: &Path, object: Object, id: impl Into<String>) -> Self {
        Self { folder: root.join(FOLDER), object, id: id.into(), attributes: BTreeMap::new() }
    }

    /// The same with one more attribute.
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.attributes.insert(key.to_owned(), value.into());
        self
    }

    /// Writes down that something has happened to it.
    pub fn note(&self, action: &str) {
        self.note_with(action, &[]);
    }

    /// The same, with attributes of this one event.
    pub fn note_with(&self, action: &str, more: &[(&str, String)]) {
        let mut attributes = self.attributes.clone();
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let (object, id) = (self.object, self.id.clone());
        // Best effort, see above.
        let _ =
            append(&self.folder, Event { time: now(), object, action: action.to_owned(), id, attributes }, MAX_SIZE);
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Writes one event down. A file that has more than `max_size` bytes then becomes the older one.
pub fn append(folder: &Path, event: Event, max_size: u64) -> io::Result<()> {
    let Some(line) = event.line() else { return Ok(()) };
    let path = folder.join(CURRENT);
    let mut file = match open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(folder)?;
            open(&path)?
        }
        other => other?,
    };
    // Not write_all: what is left of a line must not come behind another's.
    if file.write(&line)? < line.len() {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let meta = file.metadata()?;
    if meta.len() > max_size {
        rotate(folder, &file, meta.ino())?;
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    // The folder keeps out whoever may not read it. A link would be somebody's trick, and a FIFO would let us wait.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(flags).open(path)
}

/// Makes the folder of the record, if it is not there.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Ok(()) => crate::open_to_readers(folder),
        other => other,
    }
}

/// The file gets the older one's name. Who has it open writes on into it, and nothing is lost. Only one does this at a
/// time, and only to the file that still has the name: a lock on the file itself says who, and nobody waits for it.
fn rotate(folder: &Path, file: &File, inode: u64) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};
    let path = folder.join(CURRENT);
    // Between a turn and the next event there is no file of the name.
    let has_name = || fs::metadata(&path).is_ok_and(|now| now.ino() == inode);
    if flock(file, FlockOperation::NonBlockingLockExclusive).is_err() || !has_name() {
        return Ok(());
    }
    fs::rename(&path, folder.join(OLDER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str) -> Event {
        let attributes = BTreeMap::from([("name".to_owned(), "c1".to_owned())]);
        Event { time: 17, object: Object::Container, action: action.into(), id: "abc".into(), attributes }
    }

    #[test]
    fn a_line_is_read_also_behind_one_that_was_cut_short() {
        let line = String::from_utf8(event("create").line().unwrap()).unwrap();
        assert_eq!(Event::read(&line), Some(event("create")));
        assert_eq!(Event::read(&format!("{}{line}", &line[..30])), Some(event("create")));
        assert_eq!(Event::read(&line[..30]), None);
        // An attribute that looks like a beginning is none.
        let mut tricky = event("create");
        tricky.attributes = BTreeMap::from([("time".into(), "{\"time\":1".into())]);
        assert_eq!(Event::read(&String::from_utf8(tricky.clone().line().unwrap()).unwrap()), Some(tricky));
    }

    #[test]
    fn lines_have_a_limit_and_keep_what_is_short() {
        let mut long = event(&format!("exec_create: {}", "é".repeat(5000)));
        for n in 0..100 {
            long.attributes.insert(format!("label{n}"), "x".repeat(n * 1000));
        }
        let line = long.line().unwrap();
        assert!(line.len() <= MAX_LINE, "{}", line.len());
        let read = Event::read(std::str::from_utf8(&line).unwrap()).unwrap();
        assert_eq!((read.attributes["name"].as_str(), read.attributes["label1"].len()), ("c1", 1000));
        assert!(read.action.len() <= MAX_ACTION && read.action.ends_with('é'));
    }

    #[test]
    fn a_folder_that_can_not_be_made_is_an_error_that_a_note_swallows() {
        let dir = tempfile::tempdir().unwrap();
        let subject = Subject::new(&dir.path().join("gone"), Object::Volume, "v");
        subject.note("create");
        assert!(!subject.folder.exists());
        let subject = Subject::new(dir.path(), Object::Volume, "v").with("driver", "local");
        subject.note_with("mount", &[("container", "c".into())]);
        let text = fs::read_to_string(dir.path().join(FOLDER).join(CURRENT)).unwrap();
        let read = Event::read(&text).unwrap();
        assert_eq!((read.attributes["driver"].as_str(), read.attributes["container"].as_str()), ("local", "c"));
    }
}
