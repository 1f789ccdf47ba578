//! The none driver: a network namespace with loopback alone.
//!
//! ```text
//!   process ──▶ lo ──▶ process
//! ```
//!
//! The namespace comes with loopback up, so nothing is left to do.

use super::driver::{Driver, Ground, Place};
use crate::model::{Attachment, Facts, Network};
use crate::plan::Plan;
use netd_api::DriverSpec;

/// See the file's head.
pub struct None;

impl Driver for None {
    fn ground(&self, _: &DriverSpec) -> Ground {
        Ground::Nothing
    }

    fn place(&self) -> Place {
        Place::Empty
    }

    fn network(&self, _: &Network, _: Option<u32>, _: &Facts) -> Plan {
        Plan::default()
    }

    fn attach(&self, _: &Network, _: &Attachment, _: Option<u32>, _: &Facts) -> Plan {
        Plan::default()
    }
}
