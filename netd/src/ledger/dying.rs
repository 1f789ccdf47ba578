//! Links that go with a namespace.

use netd_api::{ContainerId, IfName};
use std::time::{Duration, Instant};

/// How long a namespace that goes away may take to take its links along.
pub const GRACE: Duration = Duration::from_secs(2);

/// A veth whose namespace is going away and takes it along; if it doesn't, it is deleted. After a crash `Ledger::sweep`
/// finds it, since no journal names it.
pub struct Dying {
    pub link: IfName,
    pub alias: String,
    pub of: ContainerId,
    pub due: Instant,
}
