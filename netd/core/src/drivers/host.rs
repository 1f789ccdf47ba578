//! The host driver: the container lives in the host's own network namespace.
//!
//! ```text
//!   process ──▶ host's sockets ──▶ host's links
//! ```
//!
//! Nothing is made; the container is only registered.

use super::driver::{Driver, Ground, Place};
use crate::model::{Attachment, Facts, Network};
use crate::plan::Plan;
use netd_api::DriverSpec;

/// See the file's head.
pub struct Host;

impl Driver for Host {
    fn ground(&self, _: &DriverSpec) -> Ground {
        Ground::Nothing
    }

    fn place(&self) -> Place {
        Place::Host
    }

    fn network(&self, _: &Network, _: Option<u32>, _: &Facts) -> Plan {
        Plan::default()
    }

    fn attach(&self, _: &Network, _: &Attachment, _: Option<u32>, _: &Facts) -> Plan {
        Plan::default()
    }
}
