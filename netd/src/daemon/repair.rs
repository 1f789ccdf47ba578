//! Links of ours that somebody deleted: they are made again, with what was on them.

use super::failures::{apply_failed, kernel_failed};
use super::state::Daemon;
use crate::kernel::Journal;
use crate::ledger::RepairError;
use netd_api::{ApiError, NetworkId};
use netd_core::drivers::overlay;
use netd_core::model::Network;

impl Daemon {
    /// Somebody deleted a link of ours: a bridge comes back with its addresses and ports.
    pub(super) fn link_gone(&mut self, name: &str) {
        self.host.wireguard_link_gone(name);
        let of = |network: &Network| {
            let own = network.own_link.as_ref().map(|own| &own.name);
            let tunnel = overlay::link_name(network).filter(|_| network.shared);
            network.interface.iter().chain(own).chain(&tunnel).any(|link| link.as_str() == name)
        };
        let ours = self.host.networks.iter().find(|(_, s)| s.journal.is_some() && of(&s.network));
        let Some(id) = ours.map(|(id, _)| id.clone()) else {
            return;
        };
        self.repair_bridge(&id, name);
    }

    /// Events were lost: every bridge that should be there is looked for.
    pub(super) fn links_lost(&mut self) {
        if let Err(error) = self.host.restore_wireguard() {
            self.host.log.line(format!("cannot look for WireGuard's links: {error}"));
        }
        let up = self.host.networks.iter().filter(|(_, state)| state.journal.is_some());
        let bridges: Vec<_> = up.filter_map(|(id, s)| Some((id.clone(), s.network.interface.clone()?))).collect();
        for (id, bridge) in bridges {
            self.repair_bridge(&id, bridge.as_str());
        }
    }

    fn repair_bridge(&mut self, id: &NetworkId, name: &str) {
        match self.repair(id) {
            Ok(0) => {}
            Ok(steps) => {
                self.host.log.line(format!("somebody deleted link `{name}`: made again in {steps} steps"));
                self.host.note_repair(id, name, steps);
            }
            Err(error) => self.host.log.line(format!("somebody deleted link `{name}`: {error}")),
        }
    }

    /// Makes again what the kernel lacks of a network that is up; returns the number of steps.
    pub(super) fn repair(&mut self, id: &NetworkId) -> Result<usize, ApiError> {
        let Some(state) = self.host.networks.get(id) else { return Ok(0) };
        let Some(journal) = state.journal.as_ref() else { return Ok(0) };
        let attached = self.sandboxes.values().flat_map(|s| &s.attached).filter(|a| a.attachment.network == *id);
        let others: Vec<&Journal> = state.peers.iter().chain(attached.map(|a| &a.journal)).collect();
        self.host.ledger.repair(journal, &others).map_err(|error| match error {
            RepairError::Look(error) => kernel_failed("cannot repair a network", &error),
            RepairError::Apply(error) => apply_failed("cannot repair a network", &error),
        })
    }
}
