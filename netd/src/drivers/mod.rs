//! Drivers: what a network and an attachment need of the kernel, as plans. Two pure methods each.
//!
//! To add one: a file here with its packet path on top, a variant of `netd_api::DriverSpec`, its arm in [`of`], and its
//! goldens in `netd/goldens/`. There is nothing to write for teardown: it replays the journal.

mod bridge;
mod host;
mod none;

use crate::model::{Attachment, Facts, Network};
use crate::plan::Plan;
use netd_api::DriverSpec;

pub use bridge::{base, default_routes, proto_number};

/// What a driver knows how to do.
pub trait Driver {
    /// What the network itself needs, once.
    fn network(&self, network: &Network, facts: &Facts) -> Plan;
    /// What one container on it needs.
    fn attach(&self, network: &Network, attachment: &Attachment, facts: &Facts) -> Plan;
}

/// The driver of a network.
pub fn of(spec: &DriverSpec) -> &'static dyn Driver {
    match spec {
        DriverSpec::Bridge(_) => &bridge::Bridge,
        DriverSpec::Host => &host::Host,
        DriverSpec::None => &none::None,
    }
}
