//! What a network's driver says of it, where it is asked.

use super::driver::{Place, Tunnel};
use super::of;
use crate::model::Network;
use netd_api::{DriverSpec, NetnsSource};

impl Network {
    /// Sets the MTU that the user asks for, in bytes.
    pub fn ask_mtu(&mut self, mtu: u32) {
        if let Some(asked) = self.driver.mtu_mut() {
            *asked = Some(mtu);
        }
    }

    /// Whether its containers get a link of their own, with addresses and names.
    pub fn linked(&self) -> bool {
        of(&self.driver).place() == Place::Linked
    }

    /// Its tunnel to other hosts, if it spans hosts.
    pub fn tunnel(&self) -> Option<Tunnel> {
        of(&self.driver).tunnel(&self.driver)
    }

    /// Whether its frames travel inside WireGuard.
    pub fn encrypted(&self) -> bool {
        self.tunnel().is_some_and(|tunnel| tunnel.encrypted)
    }

    /// Whether the host's table `inet rcr` has a part in it: then ports can be published on it.
    pub fn filtered(&self) -> bool {
        of(&self.driver).filtered(self)
    }

    /// Whether containers have no neighbours: packets are routed to them, and all leave by the link itself.
    pub fn routed_only(&self) -> bool {
        of(&self.driver).routed_only(&self.driver)
    }
}

/// Whether networks of these drivers go together in a container with that namespace.
pub fn go_together<'a>(source: NetnsSource, drivers: impl Iterator<Item = &'a DriverSpec>) -> Result<(), &'static str> {
    let places: Vec<Place> = drivers.map(|driver| of(driver).place()).collect();
    let host = places.contains(&Place::Host);
    match source {
        NetnsSource::Host if !host => Err("a container in the host's namespace can be on network `host` only"),
        _ if places.len() > 1 && places.iter().any(|place| *place != Place::Linked) => {
            Err("networks `host` and `none` go with no other")
        }
        NetnsSource::New | NetnsSource::Given if host => Err("network `host` needs the host's namespace"),
        _ => Ok(()),
    }
}
