//! The ipvlan driver: containers share their parent's MAC and are told apart by address.
//!
//! ```text
//!   l2       eth0 (ipvlan) ══╦══ parent eth0 ──▶ LAN, as with macvlan, but with one MAC
//!            eth0 (ipvlan) ══╝
//!
//!   l3, l3s  eth0 (ipvlan) ── routing of the host's namespace ── parent eth0 ──▶ routers, which need a route back to the
//!            (default dev eth0, no ARP, no broadcast)                            subnet by way of this host
//! ```
//!
//! In l3s packets also pass the host's netfilter. `lan` holds the steps, which macvlan has in common.

use super::driver::{Driver, Refusal};
use super::lan;
use crate::model::{Attachment, Facts, Network};
use crate::plan::Plan;
use netd_api::NetworkCreate;

/// See the file's head.
pub struct Ipvlan;

impl Driver for Ipvlan {
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
