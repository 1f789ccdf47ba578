//! The user's own terminal: its size, and raw mode while a container uses it, restored whatever happens.

use nix::errno::Errno;
use rcr_base::{Doing, Outcome};
use rcr_engine::parse::keys::Keys;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::stdin;

/// A terminal in raw mode; the drop restores it.
pub struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches stdin to raw mode; `None` if it is not a terminal.
    pub fn enter() -> Outcome<Option<Self>> {
        if !rustix::termios::isatty(stdin()) {
            return Ok(None);
        }
        let errno = |e: rustix::io::Errno| Errno::from_raw(e.raw_os_error());
        let before = tcgetattr(stdin()).map_err(errno).doing(|| "cannot read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        // Not after a drain: a terminal that nobody reads would make us wait for ever, here and in the drop.
        tcsetattr(stdin(), OptionalActions::Now, &raw)
            .map_err(errno)
            .doing(|| "cannot switch the terminal to raw mode")?;
        Ok(Some(Self { before }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Rows and columns of the terminal that we write to, or read from; `None` if there is none.
pub fn size() -> Option<(u16, u16)> {
    let of = |fd: std::os::fd::BorrowedFd| {
        let size = rustix::termios::tcgetwinsize(fd).ok()?;
        Some((size.ws_row, size.ws_col)).filter(|(rows, columns)| *rows > 0 && *columns > 0)
    };
    of(rustix::stdio::stdout()).or_else(|| of(rustix::stdio::stdin())).or_else(|| of(rustix::stdio::stderr()))
}

/// Whether one of our streams is a terminal that is gone.
pub fn is_hung_up() -> bool {
    let gone = |fd: std::os::fd::BorrowedFd| matches!(tcgetattr(fd), Err(rustix::io::Errno::IO));
    gone(rustix::stdio::stdin()) || gone(rustix::stdio::stdout()) || gone(rustix::stdio::stderr())
}

/// Finds the detach keys in what is typed, across reads.
pub struct DetachKeys {
    keys: Vec<u8>,
    /// How many of them have been typed so far.
    seen: usize,
}

impl DetachKeys {
    pub fn new(keys: Keys) -> Self {
        Self { keys: keys.0, seen: 0 }
    }

    /// What to pass on of `typed`, and whether the keys are complete. The first keys of the sequence are held back
    /// until it is decided.
    pub fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(typed.len());
        for byte in typed {
            if self.keys.is_empty() {
                out.push(*byte);
                continue;
            }
            if *byte == self.keys[self.seen] {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    return (out, true);
                }
                continue;
            }
            out.extend_from_slice(&self.keys[..self.seen]);
            self.seen = usize::from(*byte == self.keys[0]);
            if self.seen == 0 {
                out.push(*byte);
            }
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_found_across_reads_and_beginnings_are_passed_on() {
        let mut keys = DetachKeys::new(Keys(vec![16, 17]));
        assert_eq!(keys.filter(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.filter(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(keys.filter(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(keys.filter(b"\x11zzz"), (Vec::new(), true));
        assert_eq!(DetachKeys::new(Keys::default()).filter(b"\x10\x11"), (vec![16, 17], false));
    }
}
