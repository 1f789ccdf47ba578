//! The writer's part of `network check`: it hands out what stands in its journals, and does again what of that is
//! missing.

use super::failures::apply_failed;
use super::records::Sandbox;
use super::standing::{Owner, Standing};
use super::state::Daemon;
use crate::kernel::Journal;
use netd_api::{ApiError, NetworkId};
use netd_core::plan::{Op, Outcome, Plan, Step};
use std::os::fd::AsFd;

impl Daemon {
    /// Everything that stands.
    pub(super) fn standing(&self) -> Vec<Standing> {
        let mut all = Vec::new();
        all.extend(self.host.base.iter().map(|journal| stands(Owner::Base, journal)));
        all.extend(self.host.encryption.links.iter().map(|journal| stands(Owner::WireGuard, journal)));
        for (id, state) in self.host.networks.iter() {
            all.extend(state.journal.iter().map(|journal| stands(Owner::Network(id.clone()), journal)));
            all.extend(state.peers.iter().map(|journal| stands(Owner::Peers(id.clone()), journal)));
        }
        for (id, sandbox) in self.sandboxes.iter() {
            let owner = |network: &NetworkId| Owner::Attachment(id.clone(), network.clone());
            all.extend(sandbox.attached.iter().map(|a| stands(owner(&a.attachment.network), &a.journal)));
        }
        all
    }

    /// Makes again what deleted links took along, and then these steps, as far as they still stand in a journal.
    /// What could not be done.
    pub(super) fn redo(&mut self, wanted: Vec<Standing>) -> Vec<ApiError> {
        let mut failed = Vec::new();
        let up = self.host.networks.iter().filter(|(_, state)| state.journal.is_some());
        let up: Vec<NetworkId> = up.map(|(id, _)| id.clone()).collect();
        for id in up {
            match self.repair(&id) {
                Ok(0) => {}
                Ok(steps) => {
                    let name = self.host.networks.get(&id).map(|n| n.network.name.to_string()).unwrap_or_default();
                    self.host.log.line(format!("asked to: network `{name}` is repaired in {steps} steps"));
                    self.host.note_repair(&id, &name, steps);
                }
                Err(error) => failed.push(error),
            }
        }
        for Standing { owner, plan } in wanted {
            failed.extend(self.redo_one(&owner, plan).err());
        }
        failed
    }

    fn redo_one(&mut self, owner: &Owner, mut plan: Plan) -> Result<(), ApiError> {
        let sandbox = match owner {
            Owner::Attachment(id, _) => self.sandboxes.get(id),
            _ => None,
        };
        let Some(journal) = self.journal(owner, sandbox) else { return Ok(()) };
        plan.steps.retain(|step| still_stands(step, &journal.plan));
        let netns = sandbox.and_then(|sandbox| sandbox.netns().ok().flatten());
        let done = self.host.ledger.redo(&plan, netns.as_ref().map(AsFd::as_fd));
        done.map_err(|error| apply_failed("cannot repair", &error))
    }

    fn journal<'a>(&'a self, owner: &Owner, sandbox: Option<&'a Sandbox>) -> Option<&'a Journal> {
        match owner {
            Owner::Base => self.host.base.as_ref(),
            Owner::WireGuard => self.host.encryption.links.as_ref(),
            Owner::Network(id) => self.host.networks.get(id)?.journal.as_ref(),
            Owner::Peers(id) => self.host.networks.get(id)?.peers.as_ref(),
            Owner::Attachment(_, network) => {
                let attached = sandbox?.attached.iter().find(|a| a.attachment.network == *network);
                attached.map(|a| &a.journal)
            }
        }
    }
}

/// A step of a journal, or one that gives a link of it its place or its size back.
fn still_stands(step: &Step, plan: &Plan) -> bool {
    let of_link = |op: &Op| match op.link() {
        Some(link) => {
            plan.steps.iter().any(|other| other.op.is_about(link) || other.op.ends().iter().any(|e| e.link == link))
        }
        None => false,
    };
    let gives_back = step.op.is_mtu() || step.op.name() == "join";
    plan.steps.iter().any(|other| other.op == step.op) || gives_back && of_link(&step.op)
}

fn stands(owner: Owner, journal: &Journal) -> Standing {
    let steps = journal.plan.steps.iter().zip(&journal.outcomes).filter(|(_, outcome)| **outcome != Outcome::Skipped);
    Standing { owner, plan: Plan { steps: steps.map(|(step, _)| step.clone()).collect() } }
}
