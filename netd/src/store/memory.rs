//! The shared store in memory: as long as this process, for all that hold a clone.
//!
//! An engine that needs no server, for tests of what is built on the shared store. In microseconds it can do everything
//! that a real store may do: be away, forget its history, go back in time. One suite holds it and etcd to the same
//! behaviour (`tests/suites/shared_store.rs`).

use super::shared::{Condition, Connect, Event, Record, Shared, SharedError, Watching, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// One connection. Clones are connections to the same store.
#[derive(Clone)]
pub struct Memory {
    inner: Arc<Mutex<Inner>>,
    /// The newest revision, for watchers that wait for the next one.
    newest: Arc<watch::Sender<i64>>,
}

#[derive(Clone)]
struct Value {
    bytes: Vec<u8>,
    revision: i64,
    lease: Option<i64>,
}

struct Lease {
    ttl: Duration,
    until: Instant,
}

#[derive(Default)]
struct Inner {
    revision: i64,
    values: BTreeMap<String, Value>,
    history: Vec<Event>,
    /// Events before this revision are forgotten.
    compacted: i64,
    leases: BTreeMap<i64, Lease>,
    last_lease: i64,
    away: bool,
    /// Grows when connections break.
    broken: u64,
}

/// What was kept for later; see [`Memory::backup`].
pub struct Backup {
    revision: i64,
    values: BTreeMap<String, Value>,
}

impl Default for Memory {
    fn default() -> Self {
        // As with etcd, an empty store is at revision 1.
        let inner = Inner { revision: 1, ..Inner::default() };
        Self { inner: Arc::new(Mutex::new(inner)), newest: Arc::new(watch::channel(1).0) }
    }
}

impl Memory {
    /// A panicking holder leaves it whole: nothing between the changes of one transaction can panic.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the store unreachable, or reachable again. Watchers are told at once.
    pub fn set_away(&self, away: bool) {
        self.lock().away = away;
        self.newest.send_modify(|_| {});
    }

    /// Forgets the events before a revision.
    pub fn compact(&self, revision: i64) {
        let mut inner = self.lock();
        inner.compacted = revision;
        inner.history.retain(|event| event.revision >= revision);
    }

    /// What is there now.
    pub fn backup(&self) -> Backup {
        let inner = self.lock();
        Backup { revision: inner.revision, values: inner.values.clone() }
    }

    /// Goes back in time, as the count of revisions does. Connections break.
    pub fn restore(&self, backup: &Backup) {
        let mut inner = self.lock();
        (inner.revision, inner.values) = (backup.revision, backup.values.clone());
        (inner.history, inner.compacted) = (Vec::new(), backup.revision + 1);
        inner.broken += 1;
        let revision = inner.revision;
        drop(inner);
        self.newest.send_replace(revision);
    }

    /// Does something with the store, if it answers.
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> Result<T, SharedError>) -> Result<T, SharedError> {
        let mut inner = self.lock();
        if inner.away {
            return Err(SharedError::Unreachable("the store is away".into()));
        }
        inner.expire();
        let done = act(&mut inner);
        let revision = inner.revision;
        drop(inner);
        self.newest.send_if_modified(|newest| std::mem::replace(newest, revision) != revision);
        done
    }
}

impl Inner {
    fn holds(&self, condition: &Condition) -> bool {
        let last = |key: &String| self.values.get(key).map_or(0, |value| value.revision);
        match condition {
            Condition::Absent(key) => last(key) == 0,
            Condition::Present(key) => last(key) > 0,
            Condition::Unchanged(key, revision) => last(key) == *revision,
        }
    }

    /// All writes at the next revision.
    fn write(&mut self, writes: Vec<Write>) {
        let revision = self.revision + 1;
        let before = self.history.len();
        for write in writes {
            match write {
                Write::Put { key, value, lease } => {
                    self.values.insert(key.clone(), Value { bytes: value.clone(), revision, lease });
                    self.history.push(Event { key, value: Some(value), revision });
                }
                Write::Delete(key) => self.delete(key, revision),
                Write::DeletePrefix(prefix) => {
                    let keys: Vec<String> = self.below(&prefix).map(|(key, _)| key.clone()).collect();
                    keys.into_iter().for_each(|key| self.delete(key, revision));
                }
            }
        }
        // What changes nothing is no revision.
        if self.history.len() > before {
            self.revision = revision;
        }
    }

    fn delete(&mut self, key: String, revision: i64) {
        if self.values.remove(&key).is_some() {
            self.history.push(Event { key, value: None, revision });
        }
    }

    fn below(&self, prefix: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.values.range(prefix.to_owned()..).take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Ends leases whose time is over, with their keys.
    fn expire(&mut self) {
        let now = Instant::now();
        let over: Vec<i64> = self.leases.iter().filter(|(_, lease)| lease.until <= now).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|id| self.end_lease(id));
    }

    fn end_lease(&mut self, id: i64) {
        self.leases.remove(&id);
        let bound = self.values.iter().filter(|(_, value)| value.lease == Some(id));
        let gone: Vec<Write> = bound.map(|(key, _)| Write::Delete(key.clone())).collect();
        self.write(gone);
    }
}

impl Connect for Memory {
    type Store = Self;

    async fn connect(&self) -> Result<Self, SharedError> {
        self.with(|_| Ok(self.clone()))
    }

    fn place(&self) -> String {
        "memory".into()
    }
}

impl Shared for Memory {
    type Watch = MemoryWatch;

    async fn range(&mut self, prefix: &str) -> Result<(Vec<Record>, i64), SharedError> {
        let record = |(key, value): (&String, &Value)| Record {
            key: key.clone(),
            value: value.bytes.clone(),
            revision: value.revision,
        };
        self.with(|inner| Ok((inner.below(prefix).map(record).collect(), inner.revision)))
    }

    async fn txn(&mut self, when: Vec<Condition>, then: Vec<Write>) -> Result<bool, SharedError> {
        self.with(|inner| {
            let mut written = BTreeSet::new();
            for write in &then {
                if let Write::Put { key, lease, .. } = write {
                    if lease.is_some_and(|id| !inner.leases.contains_key(&id)) {
                        return Err(SharedError::LeaseGone);
                    }
                    if !written.insert(key) {
                        return Err(SharedError::Refused(format!("`{key}` is written twice in one transaction")));
                    }
                }
            }
            let holds = when.iter().all(|condition| inner.holds(condition));
            if holds {
                inner.write(then);
            }
            Ok(holds)
        })
    }

    async fn watch(&mut self, prefix: &str, from: i64) -> Result<MemoryWatch, SharedError> {
        let news = self.newest.subscribe();
        let (store, prefix) = (self.clone(), prefix.to_owned());
        self.with(|inner| Ok(MemoryWatch { store, prefix, from, news, broken: inner.broken }))
    }

    async fn grant(&mut self, ttl: Duration) -> Result<i64, SharedError> {
        self.with(|inner| {
            inner.last_lease += 1;
            inner.leases.insert(inner.last_lease, Lease { ttl, until: Instant::now() + ttl });
            Ok(inner.last_lease)
        })
    }

    async fn keep(&mut self, lease: i64) -> Result<(), SharedError> {
        self.with(|inner| {
            let lease = inner.leases.get_mut(&lease).ok_or(SharedError::LeaseGone)?;
            lease.until = Instant::now() + lease.ttl;
            Ok(())
        })
    }

    async fn revoke(&mut self, lease: i64) -> Result<(), SharedError> {
        self.with(|inner| {
            inner.end_lease(lease);
            Ok(())
        })
    }
}

/// A watch of this engine's.
pub struct MemoryWatch {
    store: Memory,
    prefix: String,
    from: i64,
    news: watch::Receiver<i64>,
    broken: u64,
}

impl Watching for MemoryWatch {
    async fn next(&mut self) -> Result<Vec<Event>, SharedError> {
        loop {
            self.news.borrow_and_update();
            let (events, next, lease_ends) = self.store.with(|inner| {
                if self.broken != inner.broken {
                    return Err(SharedError::Unreachable("the watch ended".into()));
                }
                if self.from < inner.compacted && self.from <= inner.revision {
                    return Err(SharedError::Compacted(self.from));
                }
                let news = inner.history.iter().filter(|e| e.revision >= self.from && e.key.starts_with(&self.prefix));
                let first = inner.leases.values().map(|lease| lease.until).min();
                Ok((news.cloned().collect::<Vec<_>>(), self.from.max(inner.revision + 1), first))
            })?;
            self.from = next;
            if !events.is_empty() {
                return Ok(events);
            }
            let idle = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                _ = self.news.changed() => {}
                () = tokio::time::sleep_until(lease_ends.unwrap_or(idle).into()) => {}
            }
        }
    }
}
