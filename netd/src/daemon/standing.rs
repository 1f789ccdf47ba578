//! What was made and stands, by owner.

use netd_api::{ContainerId, NetworkId};
use netd_core::plan::Plan;

/// Whose journal it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// What all networks share.
    Base,
    Network(NetworkId),
    /// Entries of a network for other hosts' containers.
    Peers(NetworkId),
    Attachment(ContainerId, NetworkId),
    /// The links of encrypted networks.
    WireGuard,
}

/// What was made for somebody and stands.
#[derive(Debug, Clone)]
pub struct Standing {
    pub owner: Owner,
    pub plan: Plan,
}
