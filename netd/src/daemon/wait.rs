//! A wait for an address of a LAN's DHCP server: whoever called waits, not the writer.

use netd_api::{ContainerId, NetworkId};
use netd_core::model::LanLease;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// How long a start, or a connect, waits for an address.
const PATIENCE: Duration = Duration::from_secs(10);

/// An address that a connection's thread waits for.
pub struct Wait {
    pub id: ContainerId,
    pub network: NetworkId,
    pub fresh: bool,
    pub lease: Receiver<LanLease>,
}

/// What came of it.
pub struct WaitOver {
    pub id: ContainerId,
    pub network: NetworkId,
    /// A new container's; else one that runs gets another network.
    pub fresh: bool,
    pub lease: Option<LanLease>,
}

impl Wait {
    /// Waits.
    pub fn settle(self) -> WaitOver {
        let Self { id, network, fresh, lease } = self;
        WaitOver { id, network, fresh, lease: lease.recv_timeout(PATIENCE).ok() }
    }
}
