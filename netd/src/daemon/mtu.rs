//! The MTU of the cluster's networks: what the routes to the other hosts take, less what the tunnel adds. It is
//! followed while containers run.

use super::records::NetworkState;
use super::state::Daemon;
use netd_api::{ApiError, NetworkId};
use netd_core::drivers::overlay;

impl Daemon {
    /// Routes, links or hosts have changed: the cluster's networks get the MTU that the ways to the other hosts take
    /// now.
    pub(super) fn follow_mtu(&mut self) {
        let up = self.host.networks.iter().filter(|(_, n)| n.network.shared && n.journal.is_some());
        let up: Vec<NetworkId> = up.map(|(id, _)| id.clone()).collect();
        if up.is_empty() {
            return;
        }
        let underlay = self.host.membership.underlay();
        match self.host.ledger.underlay_mtu(&underlay) {
            // Without a route to any host the last MTU is as good as any.
            Ok(None) => return,
            Ok(Some(mtu)) => self.host.facts.underlay_mtu = Some(mtu),
            Err(error) => {
                return self.host.log.line(format!("cannot look at the routes to the cluster's hosts: {error}"));
            }
        }
        if let Err(why) = self.host.settle_wireguard(None) {
            self.host.log.line(why);
        }
        for id in up {
            if let Err(error) = self.refit(&id) {
                self.host.log.line(error.to_string());
            }
        }
    }

    /// Gives a network that is up the MTU that follows from the facts, and all containers on it.
    fn refit(&mut self, id: &NetworkId) -> Result<(), ApiError> {
        let Some(now) = self.host.networks.get(id) else { return Ok(()) };
        let (name, before) = (now.network.name.clone(), now.mtu());
        let Some(mtu) = overlay::mtu(&now.network, &self.host.facts).filter(|mtu| Some(*mtu) != before) else {
            return Ok(());
        };
        let what = format!("cannot give network `{name}` the MTU {mtu} of the routes to the cluster's hosts");
        let next = NetworkState::new(now.network.clone(), now.leases.clone());
        self.turn_into(next, Some(mtu), &what)?;
        let before = before.map_or_else(String::new, |before| format!(", not {before}"));
        self.host
            .log
            .line(format!("network `{name}` has the MTU {mtu} now{before}: the routes to the cluster's hosts changed"));
        Ok(())
    }
}
