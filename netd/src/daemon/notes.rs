//! What netd writes into the instance's record of events (`rcr_base::events`): what becomes of networks, who is on
//! them, and what it has put right.

use super::host::Host;
use super::records::Sandbox;
use crate::metrics::counters::Repaired;
use netd_api::{ContainerId, NetworkId};
use netd_core::model::Network;
use rcr_base::events::{Object, Subject};

impl Host {
    fn subject(&self, network: &Network) -> Subject {
        let subject = Subject::new(&self.root, Object::Network, network.id.as_str());
        subject.with("name", network.name.as_str()).with("type", network.driver.name())
    }

    /// Something has happened to a network that is known.
    pub(super) fn note(&self, id: &NetworkId, action: &str) {
        self.note_with(id, action, &[]);
    }

    /// The same, with more to say about it.
    pub(super) fn note_with(&self, id: &NetworkId, action: &str, more: &[(&str, String)]) {
        if let Some(state) = self.networks.get(id) {
            self.subject(&state.network).note_with(action, more);
        }
    }

    /// A container is on a network from now on (`connect`), or no longer (`disconnect`).
    pub(super) fn note_place(&self, id: &NetworkId, action: &str, container: &ContainerId) {
        self.note_with(id, action, &[("container", container.to_string())]);
    }

    /// The same for all networks of a container.
    pub(super) fn note_places(&self, action: &str, sandbox: &Sandbox) {
        for attached in &sandbox.attached {
            self.note_place(&attached.attachment.network, action, &sandbox.record.id);
        }
    }

    /// What somebody took from a network is there again.
    pub(super) fn note_repair(&self, id: &NetworkId, what: &str, steps: usize) {
        self.metrics.repaired(Repaired::Network);
        self.note_with(id, "repair", &[("repaired", what.to_owned()), ("steps", steps.to_string())]);
    }

    /// The same for what all networks share; `by`: the program that took it, where that is known.
    pub(super) fn note_shared_repair(&self, what: &str, kind: Repaired, by: Option<String>) {
        self.metrics.repaired(kind);
        let subject = Subject::new(&self.root, Object::Network, what).with("name", what);
        let by = by.map(|by| ("by", by));
        let said: Vec<_> = [("repaired", what.to_owned())].into_iter().chain(by).collect();
        subject.note_with("repair", &said);
    }
}
