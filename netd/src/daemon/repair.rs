//! Links of ours that somebody deleted: they are made again, with what was on them.

use super::answer::{apply_failed, kernel_failed};
use super::state::Daemon;
use crate::drivers::overlay;
use crate::kernel::observe;
use crate::model::Network;
use crate::plan::Op;
use netd_api::{ApiError, NetworkId};

impl Daemon {
    /// Somebody deleted a link of ours: a bridge comes back with its addresses and ports.
    pub(super) fn link_gone(&mut self, name: &str) {
        self.wireguard_link_gone(name);
        let of = |network: &Network| {
            let shim = network.shim.as_ref().map(|shim| &shim.name);
            let tunnel = overlay::link_name(network).filter(|_| network.shared);
            network.interface.iter().chain(shim).chain(&tunnel).any(|link| link.as_str() == name)
        };
        let ours = self.networks.iter().find(|(_, s)| s.journal.is_some() && of(&s.network));
        let Some(id) = ours.map(|(id, _)| id.clone()) else {
            return;
        };
        self.repair_bridge(&id, name);
    }

    /// Events were lost: every bridge that should be there is looked for.
    pub(super) fn links_lost(&mut self) {
        if let Err(error) = self.restore_wireguard() {
            self.log.line(format!("cannot look for WireGuard's links: {error}"));
        }
        let up = self.networks.iter().filter(|(_, state)| state.journal.is_some());
        let bridges: Vec<_> = up.filter_map(|(id, s)| Some((id.clone(), s.network.interface.clone()?))).collect();
        for (id, bridge) in bridges {
            self.repair_bridge(&id, bridge.as_str());
        }
    }

    fn repair_bridge(&mut self, id: &NetworkId, name: &str) {
        match self.repair(id) {
            Ok(0) => {}
            Ok(steps) => self.log.line(format!("somebody deleted link `{name}`: made again in {steps} steps")),
            Err(error) => self.log.line(format!("somebody deleted link `{name}`: {error}")),
        }
    }

    /// Applies the steps of an up network that the kernel lacks; returns how many.
    pub(super) fn repair(&mut self, id: &NetworkId) -> Result<usize, ApiError> {
        let what = "cannot repair a network";
        let table = self.kernel.nft.exists().unwrap_or(false);
        let seen = observe(&mut self.kernel.route, table).map_err(|error| kernel_failed(what, &error))?;
        let Some(state) = self.networks.get(id) else { return Ok(0) };
        let Some(journal) = state.journal.as_ref() else { return Ok(0) };
        let attached = self.sandboxes.values().flat_map(|s| &s.attached).filter(|a| a.attachment.network == *id);
        let mut whole = journal.plan.clone();
        whole.steps.extend(state.peers.iter().flat_map(|j| j.plan.steps.iter().cloned()));
        whole.steps.extend(attached.flat_map(|a| a.journal.plan.steps.iter().cloned()));
        // A pair whose namespace is going away is not made again.
        whole.steps.retain(|s| !matches!(&s.op, Op::Veth { host, .. } if !seen.links.contains_key(host)));
        let mut plan = crate::plan::missing(&whole, &seen);
        plan.steps.retain(|s| s.op.link().is_none_or(|link| seen.links.contains_key(link) || journal.plan.makes(link)));
        // Elements are the table's business, see `Daemon::elements`.
        plan.steps.retain(|step| !matches!(step.op, Op::Elements { .. }));
        let steps = plan.steps.len();
        if steps > 0 {
            self.kernel.apply(&plan, None).map_err(|error| apply_failed(what, &error))?;
        }
        Ok(steps)
    }
}
