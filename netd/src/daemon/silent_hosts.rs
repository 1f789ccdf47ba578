//! Asks hosts that are down on the data path, and lets go of those that have been silent for too long (see `silence`).

use super::host::Host;
use super::input::Input;
use crate::kernel::answers;
use netd_api::NodeId;
use std::net::IpAddr;
use std::time::{Duration, Instant};

impl Host {
    /// Asks hosts that are down, and lets go of those that have been silent for too long.
    pub(super) fn ask_silent_hosts(&mut self, now: Instant) {
        let (Some(cluster), Some(identity)) = (&self.membership.cluster, &self.membership.identity) else { return };
        if cluster.problem().is_some() {
            self.silence.pause(now);
            return;
        }
        let snapshot = self.membership.snapshot.clone();
        let here = |id: &netd_api::NetworkId| self.networks.get(id).is_some_and(|n| n.journal.is_some());
        let others = snapshot.at.iter().filter(|(network, node)| here(network) && *node != identity.node);
        let down = others.map(|(_, node)| node).filter(|node| !snapshot.alive.contains(*node)).cloned().collect();
        let back = self.silence.know(&down, now);
        let grace = Duration::from_secs(self.config.cluster.silence());
        let (ask, over) = self.silence.due(grace, now);
        for id in ask {
            if let Some(node) = snapshot.nodes.get(&id) {
                self.ask_host(id, node.address);
            }
        }
        if over || back {
            self.settle_hosts();
        }
    }

    /// An answer may take seconds: it comes as an input.
    fn ask_host(&self, id: NodeId, address: IpAddr) {
        let (inbox, log) = (self.sender.clone(), self.log.clone());
        let work = move || match answers(address) {
            Ok(true) => drop(inbox.send(Input::Answered(id))),
            Ok(false) => {}
            Err(error) => log.line(format!("cannot ask host `{address}`: {error}")),
        };
        let thread = std::thread::Builder::new().name("echo".into()).stack_size(128 << 10).spawn(work);
        if let Err(error) = thread {
            self.log.line(format!("cannot ask host `{address}`: {error}"));
        }
    }

    /// A host that is down has answered.
    pub(super) fn host_answered(&mut self, id: &NodeId) {
        if self.silence.heard(id, Instant::now()) {
            self.settle_hosts();
        }
    }

    fn settle_hosts(&mut self) {
        let gone = self.silence.gone();
        let name = |id: &NodeId| self.membership.snapshot.nodes.get(id).map(|node| format!("`{}`", node.name));
        let names: Vec<String> = gone.iter().filter_map(name).collect();
        self.log.line(match names.is_empty() {
            true => "all hosts' forwarding entries are there".to_owned(),
            false => format!("hosts that have been silent for long have no forwarding entries: {}", names.join(", ")),
        });
        self.settle_data_path();
    }
}
