//! Sandboxes: a container's namespace with its attachments, from the request to the release.

mod attach;
mod live;

use super::dhcp;
use super::failures::{Unattached, kernel_failed, no_sandbox, store_failed};
use super::host::Host;
use super::input::Told;
use super::namespace::opened;
use super::records::Networks;
use super::records::{Attached, Namespace, Record, Sandbox, journal_key};
use super::shim_link::ShimLink;
use super::state::Daemon;
use super::wait::Wait;
use crate::kernel::{Journal, Netns, Resolver};
use crate::log::Log;
use crate::store::{Change, Durability, StoreError};
use netd_api::{ApiError, ContainerId, ErrorKind, NetnsSource, Reply, SandboxRequest};
use netd_core::drivers;
use netd_core::model::Attachment;
use netd_core::plan::{HostOp, LinkOp, Op, Plan};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// How many addresses are tried on a LAN where others take what we choose.
const CHOICES: usize = 4;

impl Daemon {
    pub(super) fn sandbox_create(
        &mut self,
        mut spec: SandboxRequest,
        dry_run: bool,
        fds: Vec<OwnedFd>,
        connection: u64,
    ) -> Result<Told, ApiError> {
        let what = format!("cannot attach `{}`", spec.name);
        if dry_run {
            return Ok(((Reply::Plan(self.sandbox_plan(&spec, &what)?), Vec::new()), Vec::new()));
        }
        // A container that starts again before the end of its last shim was seen.
        self.sandbox_release(&spec.id)?;
        let mut tries = CHOICES;
        let (info, waits) = loop {
            tries -= 1;
            let design = self.design_attachments(&spec, &what)?;
            let failed = match self.build(&spec, design.clone(), &fds, connection, &what) {
                Ok(built) => break built,
                Err(failed) => failed,
            };
            self.give_back(&design);
            match failed.duplicate {
                // We chose it: the next one may be free.
                Some(taken) if tries > 0 && !asks_for(&spec, taken) => {
                    self.host
                        .log
                        .line(format!("somebody on the LAN has `{taken}`: `{}` gets another address", spec.name));
                    spec.attachments.iter_mut().for_each(|a| a.prefer.clear());
                    self.sandboxes.last_addresses.remove(&spec.id);
                }
                _ => return Err(*failed.error),
            }
        };
        let netns = self.sandboxes.get(&spec.id).map_or(Ok(None), Sandbox::netns);
        let netns = netns.map_err(|error| ApiError::new(ErrorKind::System, what).caused_by(error.to_string()))?;
        Ok(((info, netns.into_iter().collect()), waits))
    }

    fn build(
        &mut self,
        spec: &SandboxRequest,
        mut attachments: Vec<Attachment>,
        fds: &[OwnedFd],
        connection: u64,
        what: &str,
    ) -> Result<(Reply, Vec<Wait>), Unattached> {
        for attachment in &attachments {
            self.host.network_up(&attachment.network.clone())?;
        }
        let carrier = self.host.networks.carrier(&attachments);
        let requests = if spec.netns == NetnsSource::Host { &[][..] } else { &spec.publish };
        let (ports, kept) = self.host.publish(what, requests, carrier.map(|i| &attachments[i]))?;
        if let Some(carrier) = carrier {
            attachments[carrier].ports.clone_from(&ports);
        }
        let netns = match spec.netns {
            NetnsSource::New => Some(self.ready_netns()),
            NetnsSource::Given => match fds.first().and_then(|fd| fd.try_clone().ok()) {
                Some(fd) => {
                    self.host.ledger.bury_links_of(&spec.id);
                    Some(Netns::adopt(fd))
                }
                None => {
                    let none = "no network namespace came with the request";
                    return Err(ApiError::new(ErrorKind::Invalid, what).caused_by(none).into());
                }
            },
            NetnsSource::Host => None,
        };
        let netns = netns.transpose().map_err(|error| kernel_failed(what, &error))?;
        let (netns, resolver) = netns.map_or((None, None), |n| (Some(n.fd), n.resolver));
        let namespace = Namespace::own(netns);
        self.sandboxes.generation += 1;
        let record = Record {
            id: spec.id.clone(),
            name: spec.name.clone(),
            source: spec.netns,
            attachments: Vec::new(),
            ports,
            dns: spec.dns.clone(),
            host_gateway: spec.host_gateway,
            socket: None,
        };
        let generation = self.sandboxes.generation;
        let plans: Vec<Plan> = attachments.iter().map(|attachment| self.host.attach_plan(attachment)).collect();
        let attached = attachments.into_iter().map(Attached::planned).collect();
        let owner = Some(connection);
        let sandbox = Sandbox { record, attached, namespace, owner, generation, service: None, kept };
        self.apply_sandbox(sandbox, plans, resolver, what)
    }

    /// Writes the journals, applies them one by one, serves names.
    fn apply_sandbox(
        &mut self,
        mut sandbox: Sandbox,
        plans: Vec<Plan>,
        resolver: Option<Resolver>,
        what: &str,
    ) -> Result<(Reply, Vec<Wait>), Unattached> {
        let id = sandbox.record.id.clone();
        let fresh = |(attached, plan): (&Attached, Plan)| {
            (journal_key(&id, &attached.attachment.network), attached.journal.clone(), plan)
        };
        let entries = sandbox.attached.iter().zip(plans).map(fresh).collect();
        let records = self.host.networks.records_of(&sandbox).map_err(|error| store_failed(what, &error))?;
        let intents = self.host.ledger.intend(records, entries).map_err(|error| store_failed(what, &error))?;
        let netns = opened(&sandbox).map_err(|error| kernel_failed(what, &error))?;
        for (i, intent) in intents.into_iter().enumerate() {
            match self.host.ledger.carry_out(intent, netns.as_ref().map(AsFd::as_fd)) {
                Ok(journal) => sandbox.attached[i].journal = journal,
                Err(unmade) => {
                    // It is undone already; what stood before goes the usual way, with the entries of what never came.
                    self.dismantle(sandbox);
                    return Err(Unattached::because(what, &unmade.error));
                }
            }
        }
        let mut waits = Vec::new();
        for i in 0..sandbox.attached.len() {
            match self.host.lease_from_lan(&mut sandbox, i, true, what) {
                Ok(wait) => waits.extend(wait),
                Err(error) => {
                    self.dismantle(sandbox);
                    return Err(error.into());
                }
            }
        }
        // If a crash loses this record, the next start undoes the sandbox. That is right: no shim holds it yet.
        self.host.write_sandbox(&sandbox, Durability::Lazy, what)?;
        self.host.ports.insert(&sandbox.record.ports, &id, &sandbox.record.name);
        self.host.names.expect(&sandbox.record, false);
        self.host.names.serve(&self.host.networks, &mut sandbox, resolver);
        let info = self.host.networks.describe_sandbox(&sandbox);
        self.host.note_places("connect", &sandbox);
        self.sandboxes.insert(id, sandbox);
        Ok((Reply::Sandbox(info), waits))
    }

    /// Frees the addresses of attachments that were not made.
    pub(in crate::daemon) fn give_back(&mut self, design: &[Attachment]) {
        for attachment in design {
            self.host.networks.free_addresses(attachment);
            self.network_idle(&attachment.network);
        }
    }

    pub(super) fn sandbox_hold(
        &mut self,
        id: &ContainerId,
        socket: PathBuf,
        shim: Option<ShimLink>,
    ) -> Result<(), ApiError> {
        let what = format!("cannot hold the network of container `{}`", id.short());
        let Some(sandbox) = self.sandboxes.get_mut(id) else {
            return Err(no_sandbox(id));
        };
        sandbox.owner = None;
        sandbox.record.socket = Some(socket);
        // Its journals and leases are written, and get onto the disk with this. To write them again would cost the file
        // pages just when it has most of them in use (`netd/tests/store_full.rs`).
        let record = Change::put(format!("sandbox/{id}"), &sandbox.record());
        let written = record.and_then(|record| self.host.ledger.record(&[record], Durability::Durable));
        written.map_err(|error| store_failed(&what, &error))?;
        if let Some(shim) = shim {
            self.host.names.hear(&self.host.networks, sandbox, shim.healthy);
            self.host.follow(sandbox, shim);
        }
        Ok(())
    }

    pub(super) fn health_changed(&mut self, id: &ContainerId, generation: u64, healthy: bool) {
        if let Some(sandbox) = self.sandboxes.get(id).filter(|s| s.generation == generation) {
            self.host.names.hear(&self.host.networks, sandbox, healthy);
        }
    }

    pub(super) fn shim_gone(&mut self, id: &ContainerId, generation: u64) {
        if self.sandboxes.get(id).is_some_and(|s| s.generation == generation)
            && let Err(error) = self.sandbox_release(id)
        {
            self.host.log.line(format!("cannot release container `{}`: {error}", id.short()));
        }
    }

    pub(super) fn connection_closed(&mut self, connection: u64) {
        let owned = self.sandboxes.values().filter(|s| s.owner == Some(connection));
        let ids: Vec<ContainerId> = owned.map(|s| s.record.id.clone()).collect();
        for id in ids {
            if let Err(error) = self.sandbox_release(&id) {
                self.host.log.line(format!("cannot release container `{}`: {error}", id.short()));
            }
        }
    }

    pub(super) fn sandbox_release(&mut self, id: &ContainerId) -> Result<(), ApiError> {
        let Some(sandbox) = self.sandboxes.remove(id) else {
            return Ok(());
        };
        self.host.note_places("disconnect", &sandbox);
        let left = self.dismantle(sandbox);
        if left.is_empty() {
            return Ok(());
        }
        let mut failed = ApiError::new(ErrorKind::System, format!("cannot release all of container `{}`", id.short()));
        failed.left_behind = left;
        Err(failed)
    }

    /// Undoes a sandbox. The namespace takes the links along when its last holder ends, which is faster than deleting
    /// them.
    pub(super) fn dismantle(&mut self, sandbox: Sandbox) -> Vec<String> {
        let record = sandbox.record();
        self.sandboxes.remember_addresses(&record);
        let (own, inside) = (sandbox.has_netns(), lan_netns(&sandbox, &self.host.log));
        let Sandbox { attached, service, kept, namespace, .. } = sandbox;
        drop((service, kept, namespace));
        self.host.ports.remove(&record.id);
        self.host.names.forget_host(&self.host.networks, &record);
        self.host.names.lose(&record.id);
        let mut changes = vec![Change::Delete(format!("sandbox/{}", record.id))];
        let mut journals = Vec::new();
        for mut one in attached.into_iter().rev() {
            dhcp::release(&mut one);
            let Attached { attachment, mut journal, .. } = one;
            self.host.names.forget(&attachment.network, &record.id);
            if own {
                self.host.ledger.leave_to_namespace(&record.id, &mut journal);
            }
            self.host.networks.free_addresses(&attachment);
            self.network_idle(&attachment.network);
            if let Some(state) = self.host.networks.get(&attachment.network)
                && let Ok(change) = Change::put(format!("leases/{}", attachment.network), &state.leases)
            {
                changes.push(change);
            }
            let inside = inside.as_ref().filter(|_| has_child(&journal)).map(AsFd::as_fd);
            journals.push((journal_key(&record.id, &attachment.network), journal, inside));
        }
        self.host.ledger.release(journals, changes).iter().map(ToString::to_string).collect()
    }
}

impl Host {
    /// The driver's plan for an attachment, with the MTU that its bridge has.
    pub(super) fn attach_plan(&self, attachment: &Attachment) -> Plan {
        let Some(state) = self.networks.get(&attachment.network) else {
            return Plan::default();
        };
        let driver = drivers::of(&state.network.driver);
        let mtu = state.mtu().or_else(|| driver.mtu(&state.network, &self.facts));
        driver.attach(&state.network, attachment, mtu, &self.facts)
    }

    /// Writes a sandbox with its journals and its networks' leases.
    pub(super) fn write_sandbox(
        &mut self,
        sandbox: &Sandbox,
        durability: Durability,
        what: &str,
    ) -> Result<(), ApiError> {
        let id = &sandbox.record.id;
        let journals = sandbox.attached.iter().map(|a| (journal_key(id, &a.attachment.network), &a.journal));
        let journals: Vec<(String, &Journal)> = journals.collect();
        let written =
            self.networks.records_of(sandbox).and_then(|records| self.ledger.keep(records, &journals, durability));
        written.map_err(|error| store_failed(what, &error))
    }
}

impl Networks {
    /// A sandbox's record, and its networks' leases, as they should be on the disk.
    pub(super) fn records_of(&self, sandbox: &Sandbox) -> Result<Vec<Change>, StoreError> {
        let mut changes = vec![Change::put(format!("sandbox/{}", sandbox.record.id), &sandbox.record())?];
        for attached in &sandbox.attached {
            let network = &attached.attachment.network;
            if let Some(state) = self.get(network) {
                changes.push(Change::put(format!("leases/{network}"), &state.leases)?);
            }
        }
        Ok(changes)
    }

    pub(super) fn free_addresses(&mut self, attachment: &Attachment) {
        if let Some(state) = self.get_mut(&attachment.network) {
            for (subnet, leases) in state.network.subnets.iter().zip(&mut state.leases) {
                attachment
                    .addresses
                    .iter()
                    .filter(|a| subnet.subnet.contains(*a))
                    .for_each(|a| leases.free_address(a.addr()));
            }
        }
    }
}

/// Whether the user named this address.
fn asks_for(spec: &SandboxRequest, address: std::net::IpAddr) -> bool {
    let named =
        |a: &netd_api::AttachmentRequest| [a.ip.map(Into::into), a.ip6.map(Into::into)].contains(&Some(address));
    spec.attachments.iter().any(named)
}

/// The namespace, if a link in it must be deleted now. A link on a parent has no end on the host that could be shut: it
/// would answer for its address until the namespace is gone.
fn lan_netns(sandbox: &Sandbox, log: &Log) -> Option<OwnedFd> {
    if !sandbox.attached.iter().any(|a| has_child(&a.journal)) {
        return None;
    }
    opened(sandbox).unwrap_or_else(|error| {
        log.line(format!("container `{}`: its link goes with its namespace: {error}", sandbox.record.name));
        None
    })
}

fn has_child(journal: &Journal) -> bool {
    journal.plan.steps.iter().any(|step| matches!(step.op, Op::Host(HostOp::Link(LinkOp::Child { .. }))))
}
