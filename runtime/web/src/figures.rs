//! What containers take of the host, as counters: who looks twice knows how much a second that is.

use rcr_base::Outcome;
use rcr_engine::instance::Instance;
use rcr_engine::stats::{self, Choice, Usage};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// Counters of containers that run, by id.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// The containers.
    pub containers: BTreeMap<String, Counters>,
}

/// Counters of a container.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// When this was so: microseconds of a clock that only this page has.
    pub at: u64,
    /// Processors' time, in microseconds.
    pub cpu: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes that it may have.
    pub memory_limit: u64,
    /// Bytes that came in by all its interfaces.
    pub received: u64,
    /// Bytes that went out.
    pub sent: u64,
    /// Bytes read from disks.
    pub read: u64,
    /// Bytes written to disks.
    pub written: u64,
    /// Processes and threads.
    pub pids: u64,
    /// How many it may have.
    pub pids_limit: Option<u64>,
}

impl Counters {
    fn new(usage: &Usage, since: Instant) -> Self {
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (received, sent) = usage.traffic();
        Self {
            at: micros(usage.at.saturating_duration_since(since)),
            cpu: micros(usage.cpu),
            memory: usage.memory,
            memory_limit: usage.memory_limit,
            received,
            sent,
            read: usage.read,
            written: usage.written,
            pids: usage.pids,
            pids_limit: usage.pids_limit,
        }
    }
}

/// Of all that run, or of one. `since`: where the clock begins.
pub fn figures(instance: &Instance, name: Option<&str>, since: Instant) -> Outcome<Figures> {
    let choice = Choice { names: name.map(str::to_owned).into_iter().collect(), all: false };
    let looked = stats::look(instance, &choice)?;
    let counted = looked.iter().filter_map(|look| {
        let usage = look.usage.as_ref()?;
        Some((look.container.config.id.to_string(), Counters::new(usage, since)))
    });
    Ok(Figures { containers: counted.collect() })
}
