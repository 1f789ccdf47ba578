//! The macvlan driver: containers are in the host's LAN, each with a MAC of its own.
//!
//! ```text
//!   container                host
//!   eth0 (macvlan) ══╗
//!                    ╠══ parent eth0 (or eth0.50, or a dummy) ──▶ LAN: router, other hosts
//!   eth0 (macvlan) ══╝        ╳
//!                             host's own addresses: the kernel never passes frames between a parent and its children
//! ```
//!
//! No address, port or packet of the host is involved. `lan` holds the steps, which ipvlan has in common.

use super::driver::{Driver, Refusal};
use super::lan;
use crate::model::{Attachment, Facts, Network};
use crate::plan::Plan;
use netd_api::NetworkCreate;

/// See the file's head.
pub struct Macvlan;

impl Driver for Macvlan {
    fn check(&self, spec: &NetworkCreate) -> Result<(), Refusal> {
        lan::check(spec)
    }

    fn mtu(&self, network: &Network, _: &Facts) -> Option<u32> {
        network.asked_mtu()
    }

    fn network(&self, network: &Network, mtu: Option<u32>, facts: &Facts) -> Plan {
        lan::network(network, mtu, facts)
    }

    fn attach(&self, network: &Network, attachment: &Attachment, mtu: Option<u32>, facts: &Facts) -> Plan {
        lan::attach(network, attachment, mtu, facts)
    }
}
