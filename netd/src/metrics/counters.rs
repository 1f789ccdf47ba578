//! What is counted while it happens. Nobody waits for anybody: each number is an atomic of its own, and a scrape that
//! sees one event in one number and not yet in another is as good as one a microsecond later.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of a start's time, in seconds: from what it takes when nothing waits to what only a LAN's DHCP server
/// needs.
pub const ATTACH_BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds of a transaction's time, in seconds: from memory alone to a disk that is in trouble.
pub const STORE_BOUNDS: [f64; 12] =
    [0.000_025, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 2.5];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now.
#[derive(Debug, Default)]
pub struct Level(AtomicI64);

impl Level {
    /// One more.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many. Who comes and who goes are counted by different threads: below zero is none.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed).max(0).unsigned_abs()
    }
}

/// Times, by how long they were.
#[derive(Debug)]
pub struct Times<const N: usize> {
    bounds: [f64; N],
    counts: [AtomicU64; N],
    longer: AtomicU64,
    nanoseconds: AtomicU64,
}

/// [`Times`] at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct TimesSeen {
    /// Upper bounds in seconds, each with how many were no longer.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// All of them together, in seconds.
    pub sum: f64,
}

impl<const N: usize> Times<N> {
    /// None yet. `bounds`: in seconds, rising.
    pub const fn new(bounds: [f64; N]) -> Self {
        let counts = [const { AtomicU64::new(0) }; N];
        Self { bounds, counts, longer: AtomicU64::new(0), nanoseconds: AtomicU64::new(0) }
    }

    /// One more.
    pub fn add(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = self.bounds.iter().position(|bound| seconds <= *bound);
        bucket.map_or(&self.longer, |at| &self.counts[at]).fetch_add(1, Ordering::Relaxed);
        // 584 years of them.
        self.nanoseconds.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// As they are now.
    pub fn seen(&self) -> TimesSeen {
        let mut count = 0;
        let buckets = self.bounds.iter().zip(&self.counts).map(|(bound, one)| {
            count += one.load(Ordering::Relaxed);
            (*bound, count)
        });
        let buckets = buckets.collect();
        count += self.longer.load(Ordering::Relaxed);
        let sum = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        TimesSeen { buckets, count, sum }
    }
}

/// Response codes of DNS that are told apart (RFC 1035, 4.1.1); all others are one.
pub const ANSWERS: [(&str, u8); 4] = [("NOERROR", 0), ("SERVFAIL", 2), ("NXDOMAIN", 3), ("REFUSED", 5)];
/// What the others are called.
pub const OTHER_ANSWER: &str = "OTHER";

/// Answers to containers' questions, by their code.
#[derive(Debug, Default)]
pub struct Answers([Counter; ANSWERS.len() + 1]);

impl Answers {
    /// An answer of this code (the lower four bits of a header's fourth byte).
    pub fn code(&self, code: u8) {
        let at = ANSWERS.iter().position(|(_, one)| *one == code).unwrap_or(ANSWERS.len());
        self.0[at].add(1);
    }

    /// So many that found something.
    pub fn found(&self, more: u64) {
        if more > 0 {
            self.0[0].add(more);
        }
    }

    /// The answer in these bytes; what is shorter than a header is none.
    pub fn bytes(&self, answer: &[u8]) {
        if let Some(flags) = answer.get(3) {
            self.code(flags & 0x0f);
        }
    }

    /// Each code with how many.
    pub fn seen(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ANSWERS.iter().map(|(name, _)| *name).chain([OTHER_ANSWER]).zip(self.0.iter().map(Counter::get))
    }
}

/// What was put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repaired {
    /// Links of a network, and what was on them.
    Network,
    /// The table of the firewall.
    Table,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    /// Questions that were answered from what netd knows.
    pub local: Answers,
    /// Questions that were asked outside, or answered from the cache of such answers.
    pub forwarded: Answers,
    /// From a container's request for its networks to the answer.
    pub attach: Times<{ ATTACH_BOUNDS.len() }>,
    /// Requests of the same that failed.
    pub attach_failed: Counter,
    /// Transactions that waited for the disk.
    pub durable: Times<{ STORE_BOUNDS.len() }>,
    /// Transactions that did not.
    pub lazy: Times<{ STORE_BOUNDS.len() }>,
    /// Transactions that the disk did not take.
    pub store_failed: Counter,
    /// What waits for the writer.
    pub queue: Level,
    networks: Counter,
    table: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            local: Answers::default(),
            forwarded: Answers::default(),
            attach: Times::new(ATTACH_BOUNDS),
            attach_failed: Counter::default(),
            durable: Times::new(STORE_BOUNDS),
            lazy: Times::new(STORE_BOUNDS),
            store_failed: Counter::default(),
            queue: Level::default(),
            networks: Counter::default(),
            table: Counter::default(),
        }
    }
}

impl Metrics {
    /// Something was put right.
    pub fn repaired(&self, what: Repaired) {
        self.of(what).add(1);
    }

    /// How often.
    pub fn repairs(&self, what: Repaired) -> u64 {
        self.of(what).get()
    }

    fn of(&self, what: Repaired) -> &Counter {
        match what {
            Repaired::Network => &self.networks,
            Repaired::Table => &self.table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lie_in_their_buckets_and_those_of_longer_ones() {
        let times = Times::new([0.001, 0.01]);
        for millis in [1, 5, 5, 100] {
            times.add(Duration::from_millis(millis));
        }
        let seen = times.seen();
        assert_eq!(seen.buckets, [(0.001, 1), (0.01, 3)]);
        assert_eq!(seen.count, 4);
        assert!((seen.sum - 0.111).abs() < 1e-9, "{seen:?}");
    }

    #[test]
    fn answers_are_counted_by_their_code() {
        let answers = Answers::default();
        answers.found(2);
        answers.bytes(&[0, 0, 0x81, 0x83, 0]);
        answers.bytes(&[0, 0, 0x81, 0x84, 0]);
        answers.bytes(&[0, 0]);
        let seen: Vec<_> = answers.seen().filter(|(_, count)| *count > 0).collect();
        assert_eq!(seen, [("NOERROR", 2), ("NXDOMAIN", 1), ("OTHER", 1)]);
    }

    #[test]
    fn who_goes_before_its_coming_is_counted_is_no_underflow() {
        let level = Level::default();
        level.down();
        assert_eq!(level.get(), 0);
        level.up();
        level.up();
        assert_eq!(level.get(), 1);
    }
}
