//! The unpacker's reports, and its counters.

use super::wire::Report;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The output, and the counters.
pub struct Reporter {
    /// The output, and when it last reported progress.
    out: Mutex<(Box<dyn Write + Send>, Instant)>,
    packed: AtomicU64,
    unpacked: AtomicU64,
}

/// How often progress is reported at most.
const TELL: Duration = Duration::from_millis(100);

impl Reporter {
    /// Reports to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out: Mutex::new((out, Instant::now())), packed: AtomicU64::new(0), unpacked: AtomicU64::new(0) }
    }

    /// Writes one line; if the reader is gone, nobody needs it.
    pub fn say(&self, report: &Report) {
        let Ok(mut line) = serde_json::to_vec(report) else { return };
        line.push(b'\n');
        if let Ok(mut out) = self.out.lock() {
            let _ = out.0.write_all(&line);
        }
    }

    /// Counts packed bytes, and reports progress now and then; returns the sum so far.
    pub fn count_packed(&self, bytes: usize) -> u64 {
        let all = self.packed.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let due = self.out.lock().is_ok_and(|mut out| {
            let due = out.1.elapsed() >= TELL;
            if due {
                out.1 = Instant::now();
            }
            due
        });
        if due {
            self.say(&Report::Progress { packed: all, unpacked: self.unpacked.load(Ordering::Relaxed) });
        }
        all
    }

    /// Counts unpacked bytes; returns the sum so far.
    pub fn count_unpacked(&self, bytes: usize) -> u64 {
        self.unpacked.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64
    }

    /// Packed bytes so far.
    pub fn packed(&self) -> u64 {
        self.packed.load(Ordering::Relaxed)
    }
}
