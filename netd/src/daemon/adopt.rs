//! The start: what the last netd left is adopted, finished or undone. The data path has gone on meanwhile.

use super::host::Host;
use super::records::{Attached, Kept, Namespace, NetworkState, Record, Sandbox, journal_key, network_key};
use super::shim_link::reach_shim;
use super::state::Daemon;
use crate::errors::why;
use crate::kernel::{Journal, JournalState, KernelError};
use crate::random::random;
use crate::store::{Change, Durability, StoreError};
use netd_api::NetworkId;
use netd_core::firewall::{Datum, Element, Set};
use netd_core::ipam::Leases;
use netd_core::model::Network;
use netd_core::plan::{FirewallOp, Outcome, Purpose};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::os::fd::AsFd;

type Journals = BTreeMap<String, Journal>;

impl Daemon {
    /// Reads the store, and brings kernel and store together.
    pub fn adopt(&mut self) -> Result<(), Box<dyn Error>> {
        self.host.new_boot()?;
        self.host.host_bits = self.host.host_number()?;
        self.host.identify()?;
        self.host.encryption.load(&mut self.host.ledger)?;
        self.host.facts = self.host.look()?;
        self.host.load_networks()?;
        self.host.ledger.load_debts()?;
        let journals: Journals = self.host.ledger.records("journal/")?.into_iter().collect();
        let found = self.host.ledger.records::<Record>("sandbox/")?;
        self.host.adopt_networks(&journals);
        let known: BTreeSet<String> = found.iter().map(|(id, _)| id.clone()).collect();
        for (_, record) in found {
            self.adopt_sandbox(record, &journals);
        }
        for (key, journal) in journals.iter().filter(|(key, _)| is_orphan(key, &known)) {
            self.host.undo(&format!("journal/{key}"), journal.clone());
        }
        self.undo_unfinished_updates()?;
        self.host.settle_base();
        self.settle_table()?;
        self.host.settle_tunnels()?;
        self.sweep()?;
        self.predefined_networks()?;
        let idle: Vec<NetworkId> =
            self.host.networks.iter().filter(|(_, n)| n.journal.is_some()).map(|(id, _)| id.clone()).collect();
        idle.iter().for_each(|id| self.network_idle(id));
        Ok(())
    }

    fn adopt_sandbox(&mut self, record: Record, journals: &Journals) {
        let mut attached = Vec::new();
        for attachment in &record.attachments {
            let key = journal_key(&record.id, &attachment.network);
            // No journal: it was undone, and netd ended before it could write that into the sandbox's record.
            let Some(journal) = key.strip_prefix("journal/").and_then(|key| journals.get(key)).cloned() else {
                self.host.networks.free_addresses(attachment);
                continue;
            };
            if let Some(state) = self.host.networks.get_mut(&attachment.network) {
                for (subnet, leases) in state.network.subnets.iter().zip(&mut state.leases) {
                    attachment
                        .addresses
                        .iter()
                        .filter(|a| subnet.subnet.contains(*a))
                        .for_each(|a| leases.occupy(a.addr()));
                }
            }
            attached.push(Attached { attachment: attachment.clone(), journal, client: None });
        }
        self.sandboxes.generation += 1;
        let generation = self.sandboxes.generation;
        let shim = record.socket.as_ref().map(|socket| reach_shim(&record.id, socket));
        let mut sandbox = Sandbox {
            record,
            attached,
            namespace: Namespace::Host,
            owner: None,
            generation,
            service: None,
            kept: Kept::default(),
        };
        match shim {
            Some(Ok(mut shim)) => {
                sandbox.namespace = Namespace::own(shim.netns.take());
                sandbox.kept = self.host.keep_again(&sandbox.record());
                self.host.finish_connects(&mut sandbox);
                self.host.resume_leases(&mut sandbox);
                self.host.ports.insert(&sandbox.record.ports, &sandbox.record.id, &sandbox.record.name);
                self.host.names.expect(&sandbox.record, shim.healthy);
                self.host.names.serve(&self.host.networks, &mut sandbox, None);
                let id = sandbox.record.id.clone();
                self.host.follow(&mut sandbox, shim);
                self.sandboxes.insert(id, sandbox);
            }
            gone => {
                let why = gone.map_or("no shim held it".into(), |g| g.err().map_or(String::new(), |e| e.to_string()));
                self.host.log.line(format!("releasing container `{}`: {why}", sandbox.record.name));
                self.host.note_places("disconnect", &sandbox);
                self.dismantle(sandbox);
            }
        }
    }

    /// Takes the table over and writes it whole, in one transaction; or deletes what is left of it.
    fn settle_table(&mut self) -> Result<(), Box<dyn Error>> {
        if self.host.base.is_none() {
            return Ok(self.host.ledger.drop_table()?);
        }
        self.host.close_internal_networks();
        let elements = self.elements();
        self.host.ledger.write_table(elements)?;
        let ids: Vec<NetworkId> = self.host.networks.keys().cloned().collect();
        for id in ids {
            match self.repair(&id) {
                Ok(0) => {}
                Ok(steps) => {
                    self.host.log.line(format!("network `{}` lacked {steps} kernel objects", id.short()));
                    self.host.note_repair(&id, "what was missing at netd's start", steps);
                }
                Err(error) => self.host.log.line(format!("network `{}`: {error}", id.short())),
            }
        }
        Ok(())
    }

    /// Deletes links that carry our mark and belong to nothing that is known.
    fn sweep(&mut self) -> Result<(), Box<dyn Error>> {
        let bridges =
            self.host.networks.values().filter(|n| n.journal.is_some()).filter_map(|n| n.network.interface.clone());
        let tunnels: Vec<_> = self
            .host
            .networks
            .values()
            .filter(|n| n.journal.is_some())
            .filter_map(|n| netd_core::drivers::overlay::link_name(&n.network))
            .collect();
        let veths = self.sandboxes.values().flat_map(|s| s.attached.iter().map(|a| a.attachment.host_link.clone()));
        let shims = self.host.networks.values().filter(|n| n.journal.is_some());
        let shims = shims.filter_map(|n| n.network.own_link.as_ref().map(|own| own.name.clone()));
        let wireguard =
            self.host.encryption.links.iter().flat_map(|j| j.plan.steps.iter().filter_map(|s| s.op.makes().cloned()));
        let known: BTreeSet<_> = bridges.chain(shims).chain(veths).chain(tunnels).chain(wireguard).collect();
        Ok(self.host.ledger.sweep(&known)?)
    }
}

impl Host {
    /// After a reboot no kernel object of ours is left: journals and sandboxes of the last boot are forgotten.
    fn new_boot(&mut self) -> Result<(), Box<dyn Error>> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let known: Vec<(String, String)> = self.ledger.records("boot")?;
        if known.first().is_some_and(|(_, b)| *b == boot) {
            return Ok(());
        }
        let now = vec![Change::put("boot", &boot)?];
        Ok(self.ledger.forget_all(&["journal/", "sandbox/", "update/", "debt/"], now)?)
    }

    fn host_number(&mut self) -> Result<u64, Box<dyn Error>> {
        let known: Vec<(String, u64)> = self.ledger.records("host")?;
        if let Some((_, number)) = known.first() {
            return Ok(*number);
        }
        let number = u64::from_le_bytes(random().map_err(|error| format!("get random bytes: {}", why(&error)))?);
        self.ledger.record(&[Change::put("host", &number)?], Durability::Durable)?;
        Ok(number)
    }

    fn load_networks(&mut self) -> Result<(), StoreError> {
        let mut leases: BTreeMap<String, Vec<Leases>> = self.ledger.records("leases/")?.into_iter().collect();
        for (id, network) in self.ledger.records::<Network>("network/")? {
            let mut known = leases.remove(&id).unwrap_or_default();
            known.resize(network.subnets.len(), Leases::default());
            self.networks.insert(network.id.clone(), NetworkState::new(network, known));
        }
        Ok(())
    }

    fn adopt_networks(&mut self, journals: &Journals) {
        self.base = journals.get("host").cloned();
        self.membership.guard = journals.get("tunnels").cloned();
        self.encryption.links = journals.get("wireguard").cloned();
        for (key, journal) in journals {
            let peers = key.strip_prefix("peers/").and_then(|id| id.parse::<NetworkId>().ok());
            if let Some(state) = peers.and_then(|id| self.networks.get_mut(&id)) {
                state.peers = Some(journal.clone());
            }
            let Some(id) = key.strip_prefix("network/").and_then(|id| id.parse::<NetworkId>().ok()) else {
                continue;
            };
            let known = self.networks.get_mut(&id);
            match known {
                Some(state) if journal.state == JournalState::Up => state.journal = Some(journal.clone()),
                _ => {
                    self.log.line(format!("undoing what was left of network `{}`", id.short()));
                    self.undo(&format!("journal/{key}"), journal.clone());
                }
            }
        }
    }

    /// A connect that a crash interrupted is undone; the container goes on with its other networks.
    fn finish_connects(&mut self, sandbox: &mut Sandbox) {
        // Nothing of the container has been let go yet, so that this is a copy of a descriptor.
        let netns = sandbox.netns().ok().flatten();
        let (up, broken): (Vec<Attached>, Vec<Attached>) = std::mem::take(&mut sandbox.attached)
            .into_iter()
            .partition(|a| a.journal.state == JournalState::Up || a.journal.plan.steps.is_empty());
        sandbox.attached = up;
        for Attached { attachment, journal, .. } in broken {
            self.log.line(format!("undoing half a connection of container `{}`", sandbox.record.name));
            let key = journal_key(&sandbox.record.id, &attachment.network);
            self.ledger.undo(&key, journal, netns.as_ref().map(AsFd::as_fd));
            self.networks.free_addresses(&attachment);
        }
    }

    /// What all networks share stays while one is up.
    fn settle_base(&mut self) {
        let wanted = self.networks.values().any(|n| n.journal.is_some() && n.network.filtered());
        let whole = self.base.as_ref().is_some_and(|j| j.state == JournalState::Up);
        if !(wanted && whole) {
            self.base_down();
        }
    }

    /// Restores what encrypted networks need, or removes what a crash on the way down has left.
    fn settle_tunnels(&mut self) -> Result<(), KernelError> {
        if self.networks.values().any(|n| n.journal.is_some() && n.network.shared) {
            return self.restore_wireguard();
        }
        self.close_tunnels();
        Ok(())
    }

    /// Adds the elements that close internal networks where an older netd did not make them. The table is written with
    /// them next.
    fn close_internal_networks(&mut self) {
        for state in self.networks.values_mut().filter(|state| state.network.internal) {
            let links = state.network.interface.iter().chain(state.network.own_link.as_ref().map(|own| &own.name));
            let wanted: Vec<Element> = links.map(|link| Element::link(Set::Internal, link)).collect();
            let Some(journal) = &mut state.journal else { continue };
            let made = |element: &Element| matches!(&element.key[..], [Datum::Link(link)] if journal.plan.makes(link));
            let there: Vec<&Element> = journal.plan.elements().collect();
            let lacking: Vec<Element> = wanted.into_iter().filter(|e| made(e) && !there.contains(&e)).collect();
            if lacking.is_empty() {
                continue;
            }
            journal.plan.host(
                Purpose::Firewall,
                FirewallOp::Elements { elements: lacking },
                "closed, too, to other networks' ports",
            );
            journal.outcomes.push(Outcome::Created);
            let key = network_key(&state.network.id);
            let written = self.ledger.keep(Vec::new(), &[(key, &*journal)], Durability::Durable);
            if let Err(error) = written {
                self.log.line(format!("network `{}`: {error}", state.network.name));
            }
        }
    }
}

/// Whether an attachment's journal belongs to no sandbox that is known.
fn is_orphan(key: &str, known: &BTreeSet<String>) -> bool {
    let of = key.strip_prefix("attach/").and_then(|rest| rest.split('/').next());
    of.is_some_and(|id| !known.contains(id))
}
