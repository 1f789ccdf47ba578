//! The container's log: lines of its output go to JSON lines in files (`files`), and to a log service of the host
//! (`service`).

mod files;
mod service;
mod stream;

pub use files::{packed, rotated};
pub use stream::Stream;

use crate::config::LogConfig;
use files::Files;
use serde::{Deserialize, Serialize};
use service::Service;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

/// Longer lines are written in parts of this size, in bytes; only the last part ends in a newline.
const MAX_LINE: usize = 16 * 1024;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The text, with its newline if it is a whole line.
    pub log: Cow<'a, str>,
    /// `stdout` or `stderr`.
    pub stream: Cow<'a, str>,
    /// What is noted with each line: a tag, labels, variables.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub attrs: Cow<'a, BTreeMap<String, String>>,
    /// RFC 3339 with nanoseconds, UTC.
    pub time: Cow<'a, str>,
}

fn is_empty(attrs: &BTreeMap<String, String>) -> bool {
    attrs.is_empty()
}

/// The writer. Errors of the disk or of a service don't stop the container: the log then has a gap.
pub struct Log {
    attrs: BTreeMap<String, String>,
    files: Option<Files>,
    service: Option<Service>,
    /// Incomplete lines of stdout and stderr.
    pending: [Vec<u8>; 2],
}

impl Log {
    /// Opens what it writes to.
    pub fn open(config: LogConfig) -> io::Result<Self> {
        let files = config.files.map(Files::open).transpose()?;
        let service = config.service.map(Service::open).transpose()?;
        Ok(Self { attrs: config.attrs, files, service, pending: [Vec::new(), Vec::new()] })
    }

    /// Takes output as it comes; whole lines are written at once.
    pub fn write(&mut self, stream: Stream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let pending = &mut self.pending[stream as usize];
            let room = MAX_LINE - pending.len();
            let (take, whole) = match bytes.iter().take(room).position(|b| *b == b'\n') {
                Some(at) => (at + 1, true),
                None => (bytes.len().min(room), bytes.len() >= room),
            };
            pending.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if whole {
                // A character that the cut would split begins the next part.
                let cut = pending.split_off(pending.len() - unfinished(pending));
                self.flush(stream);
                self.pending[stream as usize].extend_from_slice(&cut);
            }
        }
    }

    /// Writes what is incomplete.
    pub fn finish(&mut self) {
        self.flush(Stream::Stdout);
        self.flush(Stream::Stderr);
    }

    fn flush(&mut self, stream: Stream) {
        let line = std::mem::take(&mut self.pending[stream as usize]);
        if line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        if let Some(service) = &mut self.service {
            service.send(stream, text.trim_end_matches('\n'));
        }
        let entry = Entry {
            log: text,
            stream: Cow::Borrowed(if stream == Stream::Stdout { "stdout" } else { "stderr" }),
            attrs: Cow::Borrowed(&self.attrs),
            time: Cow::Owned(format!("{:.9}", jiff::Timestamp::now())),
        };
        if let (Some(files), Ok(mut json)) = (&mut self.files, serde_json::to_vec(&entry)) {
            json.push(b'\n');
            files.append(&json);
        }
        // The buffer goes back, so that steady output allocates nothing.
        let mut line = line;
        line.clear();
        self.pending[stream as usize] = line;
    }
}

/// How many bytes at the end are the beginning of a character of UTF-8 (RFC 3629) whose rest is missing.
fn unfinished(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(3).enumerate() {
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return 0,
        };
        return if back + 1 < length { back + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFiles;
    use std::path::Path;

    fn log_in(dir: &Path, max_size: u64) -> Log {
        let files = LogFiles { path: dir.join("c.log"), max_size, max_files: 3, compressor: None };
        Log::open(LogConfig { files: Some(files), ..LogConfig::default() }).unwrap()
    }

    #[test]
    fn lines_are_whole_and_long_ones_split() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log_in(dir.path(), 1 << 30);
        log.write(Stream::Stdout, b"he");
        log.write(Stream::Stderr, b"oops\n");
        log.write(Stream::Stdout, b"llo\nlast");
        log.write(Stream::Stderr, &vec![b'x'; MAX_LINE + 5]);
        log.finish();
        let text = std::fs::read_to_string(dir.path().join("c.log")).unwrap();
        let got: Vec<(String, String)> = text
            .lines()
            .map(|l| serde_json::from_str::<Entry>(l).unwrap())
            .map(|e| (e.stream.into_owned(), e.log.into_owned()))
            .collect();
        assert_eq!(got[0], ("stderr".into(), "oops\n".into()));
        assert_eq!(got[1], ("stdout".into(), "hello\n".into()));
        assert_eq!((got[2].1.len(), got[3].1.as_str(), got[4].1.as_str()), (MAX_LINE, "last", "xxxxx"));
    }

    #[test]
    fn characters_stay_whole_at_every_cut() {
        let dir = tempfile::tempdir().unwrap();
        for shift in 0..4 {
            let own = dir.path().join(format!("{shift}"));
            std::fs::create_dir(&own).unwrap();
            let (path, mut log) = (own.join("c.log"), log_in(&own, 1 << 30));
            let text = format!("{}{}", "x".repeat(shift), "é한😀".repeat(MAX_LINE / 4));
            for piece in text.as_bytes().chunks(5) {
                log.write(Stream::Stdout, piece);
            }
            // Bytes that are not UTF-8 are neither held back for ever nor multiplied.
            log.write(Stream::Stderr, &vec![0xe2; MAX_LINE * 2]);
            log.finish();
            let lines = std::fs::read_to_string(&path).unwrap();
            let entries: Vec<Entry> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
            let whole: String = entries.iter().filter(|e| e.stream == "stdout").map(|e| e.log.as_ref()).collect();
            assert_eq!(whole, text);
        }
    }

    #[test]
    fn what_is_noted_stands_in_every_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log_in(dir.path(), 1 << 30);
        log.attrs.insert("tag".into(), "web".into());
        log.write(Stream::Stdout, b"hello\n");
        let text = std::fs::read_to_string(dir.path().join("c.log")).unwrap();
        assert!(text.starts_with(r#"{"log":"hello\n","stream":"stdout","attrs":{"tag":"web"},"time":""#), "{text}");
        let entry: Entry = serde_json::from_str(&text).unwrap();
        assert_eq!(entry.attrs["tag"], "web");
    }

    #[test]
    fn files_rotate_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log_in(dir.path(), 200);
        for n in 0..40 {
            log.write(Stream::Stdout, format!("line {n}\n").as_bytes());
        }
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["c.log", "c.log.1", "c.log.2"]);
        let newest = std::fs::read_to_string(dir.path().join("c.log")).unwrap();
        assert!(newest.contains("line 39"), "{newest}");
    }
}
