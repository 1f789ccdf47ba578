//! What the hosts of a cluster share: text keys with JSON values, changed by compare-and-swap, watched, and bound to
//! leases.
//!
//! A trait with two engines: `etcd` for several hosts, and `memory`, in which what is built on it is tried without a
//! server. What one host alone knows is kept by [`super::Store`], which is always there, blocks nobody, and promises
//! durability instead of agreement.

use std::future::Future;
use std::time::Duration;

/// Why the shared store failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SharedError {
    /// No answer, or a broken connection: it is tried again.
    #[error("{0}")]
    Unreachable(String),
    /// The store no longer has the events since the wanted revision: read everything again.
    #[error("the store has compacted the events since revision {0}")]
    Compacted(i64),
    /// The lease has run out.
    #[error("the lease has ended")]
    LeaseGone,
    /// A user, password or certificate is wrong, or the options are.
    #[error("{0}")]
    Refused(String),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: String,
    pub value: Vec<u8>,
    /// The revision of its last change.
    pub revision: i64,
}

/// What must hold for a transaction to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Absent(String),
    Present(String),
    /// Last changed at this revision; 0: absent.
    Unchanged(String, i64),
}

/// One change of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    Put {
        key: String,
        value: Vec<u8>,
        lease: Option<i64>,
    },
    Delete(String),
    /// All keys that begin so.
    DeletePrefix(String),
}

/// Something that changed: the value is absent where the key was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub key: String,
    pub value: Option<Vec<u8>>,
    pub revision: i64,
}

/// Where an engine is, and how to come to it.
pub trait Connect: Send + Sync + 'static {
    type Store: Shared;

    /// Connects; ends within a few seconds.
    fn connect(&self) -> impl Future<Output = Result<Self::Store, SharedError>> + Send;
    /// For messages: where the store should be.
    fn place(&self) -> String;
}

/// An engine. Every call ends within a few seconds, one way or the other.
pub trait Shared: Send + Sync {
    /// What was asked to be watched.
    type Watch: Watching;

    /// All keys that begin with `prefix`, in order, with the revision that this was true at.
    fn range(&mut self, prefix: &str) -> impl Future<Output = Result<(Vec<Record>, i64), SharedError>> + Send;
    /// Makes all writes if all conditions hold, else none. Returns whether they held.
    fn txn(&mut self, when: Vec<Condition>, then: Vec<Write>)
    -> impl Future<Output = Result<bool, SharedError>> + Send;
    /// What happens below `prefix` from this revision on.
    fn watch(&mut self, prefix: &str, from: i64) -> impl Future<Output = Result<Self::Watch, SharedError>> + Send;
    /// A new lease. Its keys go when it is not renewed in this time.
    fn grant(&mut self, ttl: Duration) -> impl Future<Output = Result<i64, SharedError>> + Send;
    /// Renews a lease.
    fn keep(&mut self, lease: i64) -> impl Future<Output = Result<(), SharedError>> + Send;
    /// Ends a lease, with its keys.
    fn revoke(&mut self, lease: i64) -> impl Future<Output = Result<(), SharedError>> + Send;
}

/// A running watch.
pub trait Watching: Send {
    /// The next events; waits for them.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Event>, SharedError>> + Send;
}
