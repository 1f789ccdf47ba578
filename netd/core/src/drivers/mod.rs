//! Drivers: what a network and an attachment need of the kernel, as plans, and what they refuse. All of it is pure.
//!
//! To add one: a file here with its packet path on top, a variant of `netd_api::DriverSpec`, its arm in [`of`], and its
//! goldens in `netd/core/goldens/`. There is nothing to write for teardown: it replays the journal.

mod bridge;
mod driver;
mod host;
pub mod lan;
mod none;
pub mod overlay;
mod own_link;
mod rules;
pub mod wireguard;

use crate::model::{Facts, Network};
use crate::plan::Plan;
use netd_api::{BridgeOptions, DriverSpec};

pub use bridge::{base, proto_number};
pub use driver::*;
pub use rules::go_together;

/// A network's plan and MTU on a host that has nothing of it yet.
pub fn fresh(network: &Network, facts: &Facts) -> Plan {
    let driver = of(&network.driver);
    driver.network(network, driver.mtu(network, facts), facts)
}

/// The networks that exist from the start.
pub fn predefined() -> [(&'static str, DriverSpec); 3] {
    let bridge = DriverSpec::Bridge(BridgeOptions::default());
    [("bridge", bridge), ("host", DriverSpec::Host), ("none", DriverSpec::None)]
}

/// The driver of a network.
pub fn of(spec: &DriverSpec) -> &'static dyn Driver {
    match spec {
        DriverSpec::Bridge(_) => &bridge::Bridge,
        DriverSpec::Macvlan(_) | DriverSpec::Ipvlan(_) => &lan::Lan,
        DriverSpec::Overlay(_) => &overlay::Overlay,
        DriverSpec::Host => &host::Host,
        DriverSpec::None => &none::None,
    }
}
