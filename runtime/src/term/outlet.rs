//! A standard output that somebody looks at while it comes: it goes out at once, and if nobody is there any more, that
//! is noticed without writing.

use crate::report;
use rcr_base::{Doing, Outcome};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Writes a text as it is. A reader that is gone ends the program without a word.
pub fn say(text: &str) -> Outcome<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(report::broken_pipe()),
        other => other.doing(|| "cannot write to the standard output"),
    }
}

/// Waits for so long, or until nobody reads any more.
pub fn pause(time: Duration) -> Outcome<()> {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let limit = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let stdout = io::stdout();
        // An error and a hang-up come without being asked for.
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        if poll(&mut fds, Some(&limit)).is_ok_and(|ready| ready > 0) {
            return Err(report::broken_pipe());
        }
    }
}
