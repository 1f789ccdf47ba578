//! netd's log: plain lines with the time, in a file beside the socket; one old file is kept.

use crate::clock::since_epoch;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes after which a new file is begun.
const MAX_SIZE: u64 = 4 << 20;

/// The log, for any thread.
#[derive(Clone)]
pub struct Log(Arc<Mutex<State>>);

struct State {
    path: PathBuf,
    file: Option<File>,
    size: u64,
}

fn open(path: &Path) -> std::io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

impl Log {
    /// Opens the file.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let (file, size) = open(path)?;
        Ok(Self(Arc::new(Mutex::new(State { path: path.to_owned(), file: Some(file), size }))))
    }

    /// Writes one line. A log that can't be written stops nothing.
    pub fn line(&self, text: impl AsRef<str>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{} {}\n", stamp(), text.as_ref());
        if state.size + line.len() as u64 > MAX_SIZE {
            let old = state.path.with_extension("log.1");
            let _ = std::fs::rename(&state.path, old);
            (state.file, state.size) = open(&state.path).map_or((None, 0), |(file, size)| (Some(file), size));
        }
        if let Some(file) = &mut state.file {
            let _ = file.write_all(line.as_bytes());
        }
        state.size += line.len() as u64;
    }
}

/// The time in UTC as RFC 3339 has it, to the millisecond.
fn stamp() -> String {
    let now = since_epoch();
    let (days, second) = (now.as_secs() / 86400, now.as_secs() % 86400);
    let (year, month, day) = civil(days as i64);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z", second % 60, now.subsec_millis())
}

/// The date of a day since 1970 in the Gregorian calendar: eras of 400 years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_780), (2026, 11, 23));
    }
}
