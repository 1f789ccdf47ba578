//! Networks shown as they are in the kernel, and explained. What is looked at, netd looks at.

use crate::instance::Instance;
use crate::net::unexpected;
use netd_api::{Call, NetworkView, Reply};
use rcr_base::Outcome;

/// A network with all its links, names and rules as they are now.
pub fn show(instance: &Instance, network: &str) -> Outcome<NetworkView> {
    match instance.netd()?.call(Call::NetworkShow { network: network.to_owned() })? {
        Reply::Shown(view) => Ok(*view),
        other => Err(unexpected(&other)),
    }
}
