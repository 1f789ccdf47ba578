//! The writer's state without the sandboxes: a method of [`Host`] can change a sandbox in place and use everything
//! else.

use super::input::Inbox;
use super::names::Names;
use super::parts::{Encryption, Membership};
use super::records::Networks;
use super::silence::Silence;
use crate::kernel::Journal;
use crate::ledger::Ledger;
use crate::log::Log;
use crate::metrics::Metrics;
use netd_core::model::Facts;
use netd_core::ports::Registry;
use rcr_base::Config;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// The networks of this host, and what is needed to change and serve them.
pub struct Host {
    pub config: Config,
    /// The instance's root: events are recorded below it.
    pub root: PathBuf,
    pub ledger: Ledger,
    pub names: Names,
    pub runtime: Runtime,
    /// The writer's own inbox, for threads and tasks that report back.
    pub sender: Inbox,
    pub log: Log,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    pub networks: Networks,
    pub ports: Registry,
    /// What all bridges share, while there is one.
    pub base: Option<Journal>,
    pub facts: Facts,
    /// Random bits of this host's IPv6 prefix.
    pub host_bits: u64,
    pub membership: Membership,
    pub encryption: Encryption,
    pub silence: Silence,
}
