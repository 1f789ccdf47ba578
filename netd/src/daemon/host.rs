//! This host, as the writer has it, without the sandboxes: so that a sandbox can be worked on where it is, with everything at hand.

use super::input::Input;
use super::names::Names;
use super::parts::{Encryption, Membership};
use super::records::Networks;
use super::silence::Silence;
use crate::kernel::Journal;
use crate::ledger::Ledger;
use crate::log::Log;
use netd_core::model::Facts;
use netd_core::ports::Registry;
use rcr_base::Config;
use std::sync::mpsc::Sender;
use tokio::runtime::Runtime;

/// Networks, and what they are made and told with.
pub struct Host {
    pub config: Config,
    pub ledger: Ledger,
    pub names: Names,
    pub runtime: Runtime,
    /// The writer's own inbox: what takes time elsewhere comes back by it.
    pub sender: Sender<Input>,
    pub log: Log,
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
