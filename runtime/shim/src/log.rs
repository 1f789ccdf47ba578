//! The container's log: JSON lines as Docker's `json-file` writes them, rotated by size.

use super::config::LogConfig;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longer lines are written in parts of this size, in bytes; only the last part ends in a newline.
const MAX_LINE: usize = 16 * 1024;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The text, with its newline if it is a whole line.
    pub log: Cow<'a, str>,
    /// `stdout` or `stderr`.
    pub stream: Cow<'a, str>,
    /// RFC 3339 with nanoseconds, UTC.
    pub time: Cow<'a, str>,
}

/// The writer. Errors of the disk don't stop the container: the log then has a gap.
pub struct Log {
    config: LogConfig,
    file: Option<File>,
    size: u64,
    /// Incomplete lines of stdout and stderr.
    pending: [Vec<u8>; 2],
}

/// Which of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Log {
    /// Opens the file, appending.
    pub fn open(config: LogConfig) -> io::Result<Self> {
        let file = append(&config.path)?;
        let size = file.metadata()?.len();
        Ok(Self { config, file: Some(file), size, pending: [Vec::new(), Vec::new()] })
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
        let entry = Entry {
            log: String::from_utf8_lossy(&line),
            stream: Cow::Borrowed(if stream == Stream::Stdout { "stdout" } else { "stderr" }),
            time: Cow::Owned(format!("{:.9}", jiff::Timestamp::now())),
        };
        if let Ok(mut json) = serde_json::to_vec(&entry) {
            json.push(b'\n');
            self.append(&json);
        }
        // The buffer goes back, so that steady output allocates nothing.
        let mut line = line;
        line.clear();
        self.pending[stream as usize] = line;
    }

    fn append(&mut self, json: &[u8]) {
        if self.size > 0 && self.size + json.len() as u64 > self.config.max_size {
            self.rotate();
        }
        if let Some(file) = &mut self.file
            && file.write_all(json).is_ok()
        {
            self.size += json.len() as u64;
        }
    }

    fn rotate(&mut self) {
        let path = &self.config.path;
        for n in (1..self.config.max_files).rev() {
            let from = if n == 1 { path.clone() } else { rotated(path, n - 1) };
            let _ = std::fs::rename(from, rotated(path, n));
        }
        if self.config.max_files <= 1 {
            let _ = std::fs::remove_file(path);
        }
        self.file = append(path).ok();
        self.size = 0;
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

fn append(path: &Path) -> io::Result<File> {
    // Its folder says who may read it.
    OpenOptions::new().append(true).create(true).mode(0o644).open(path)
}

/// The name of the n-th older file.
pub fn rotated(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_in(dir: &Path, max_size: u64) -> Log {
        Log::open(LogConfig { path: dir.join("c.log"), max_size, max_files: 3 }).unwrap()
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
            let path = dir.path().join(format!("{shift}"));
            let mut log = Log::open(LogConfig { path: path.clone(), max_size: 1 << 30, max_files: 1 }).unwrap();
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
