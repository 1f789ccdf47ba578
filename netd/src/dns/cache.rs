//! Answers from outside, for as long as they may be kept. Pure: the time is an argument.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Entries kept at most: with answers of up to 4 KiB about 16 MiB.
const MAX_ENTRIES: usize = 4096;

/// Longest keeping of an answer, and of the absence of one (RFC 2308 allows more; a host's resolver caches anyway).
const MAX_TTL: Duration = Duration::from_secs(300);
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(30);

/// Which servers were asked for what. Containers with resolvers of their own must not see each other's answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub name: String,
    pub kind: RecordType,
    /// AD, CD, and whether the question had EDNS, with DO and what else is set there: they change what is answered.
    pub bits: (bool, bool, Option<(bool, u16)>),
    pub servers: Vec<SocketAddr>,
}

#[derive(Debug)]
struct Entry {
    message: Message,
    stored: Instant,
    until: Instant,
}

/// The cache.
#[derive(Debug, Default)]
pub struct Cache {
    entries: HashMap<Key, Entry>,
}

impl Cache {
    /// A kept answer, with its times to live counted down.
    pub fn get(&mut self, key: &Key, now: Instant) -> Option<Message> {
        let entry = self.entries.get(key)?;
        if entry.until <= now {
            self.entries.remove(key);
            return None;
        }
        let age = u32::try_from(now.duration_since(entry.stored).as_secs()).unwrap_or(u32::MAX);
        let mut message = entry.message.clone();
        for record in message.answers.iter_mut().chain(&mut message.authorities).chain(&mut message.additionals) {
            record.ttl = record.ttl.saturating_sub(age);
        }
        Some(message)
    }

    /// Keeps an answer if it says how long it may be kept.
    pub fn put(&mut self, key: Key, message: &Message, now: Instant) {
        let Some(keep) = keep(message) else { return };
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.retain(|_, entry| entry.until > now);
        }
        if self.entries.len() >= MAX_ENTRIES {
            // Full of living entries: whatever the hash puts first goes. An attacker can't choose it.
            if let Some(victim) = self.entries.keys().next().cloned() {
                self.entries.remove(&victim);
            }
        }
        self.entries.insert(key, Entry { message: message.clone(), stored: now, until: now + keep });
    }
}

fn keep(message: &Message) -> Option<Duration> {
    let seconds = |ttl: u32| Duration::from_secs(ttl.into());
    match message.metadata.response_code {
        ResponseCode::NoError if !message.answers.is_empty() => {
            message.answers.iter().map(|r| seconds(r.ttl)).min().map(|ttl| ttl.min(MAX_TTL))
        }
        // Absence is kept as long as the zone's SOA says (RFC 2308, 5).
        ResponseCode::NoError | ResponseCode::NXDomain => {
            message.authorities.iter().find_map(|record| match &record.data {
                RData::SOA(soa) => Some(seconds(record.ttl.min(soa.minimum)).min(MAX_NEGATIVE_TTL)),
                _ => None,
            })
        }
        _ => None,
    }
    .filter(|keep| !keep.is_zero())
}
