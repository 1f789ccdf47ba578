//! Sandboxes: a container's namespace with its attachments, from the request to the release.

mod attach;
mod live;

use super::dhcp;
use super::failures::{Unattached, kernel_failed, store_failed};
use super::input::{Input, Told};
use super::records::{Attached, Record, Sandbox, journal_key};
use super::shim_link::ShimLink;
use super::state::Daemon;
use super::wait::Wait;
use crate::dns::{Endpoint, View};
use crate::kernel::{Journal, Netns, Resolver, replace_dns};
use crate::store::{Change, Durability, StoreError};
use netd_api::{ApiError, ContainerId, ErrorKind, NetnsSource, NetworkId, PlanText, Reply, SandboxRequest};
use netd_core::drivers;
use netd_core::model::Attachment;
use netd_core::plan::{HostOp, LinkOp, Op, Plan, show};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
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
            let text = self.sandbox_plan(&spec, &what)?;
            return Ok(((Reply::Plan(PlanText { text }), Vec::new()), Vec::new()));
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
                    self.log.line(format!("somebody on the LAN has `{taken}`: `{}` gets another address", spec.name));
                    spec.attachments.iter_mut().for_each(|a| a.prefer.clear());
                    self.last_addresses.remove(&spec.id);
                }
                _ => return Err(*failed.error),
            }
        };
        let netns = self.sandboxes.get(&spec.id).and_then(|s| s.netns.as_ref()).map(OwnedFd::try_clone).transpose();
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
            self.network_up(&attachment.network.clone())?;
        }
        let carrier = self.carrier(&attachments);
        let requests = if spec.netns == NetnsSource::Host { &[][..] } else { &spec.publish };
        let (ports, kept) = self.publish(what, requests, carrier.map(|i| &attachments[i]))?;
        if let Some(carrier) = carrier {
            attachments[carrier].ports.clone_from(&ports);
        }
        let netns = match spec.netns {
            NetnsSource::New => Some(self.ready_netns()),
            NetnsSource::Given => match fds.first().and_then(|fd| fd.try_clone().ok()) {
                Some(fd) => {
                    self.ledger.bury_links_of(&spec.id);
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
        self.generation += 1;
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
        let generation = self.generation;
        let plans: Vec<Plan> = attachments.iter().map(|attachment| self.attach_plan(attachment)).collect();
        let attached = attachments.into_iter().map(Attached::planned).collect();
        let owner = Some(connection);
        let sandbox = Sandbox { record, attached, netns, owner, generation, service: None, kept };
        self.apply_sandbox(sandbox, plans, resolver, what)
    }

    /// The driver's plan for an attachment, with the MTU that its bridge has.
    pub(super) fn attach_plan(&self, attachment: &Attachment) -> Plan {
        let Some(state) = self.networks.get(&attachment.network) else {
            return Plan::default();
        };
        let driver = drivers::of(&state.network.driver);
        let mtu = state.mtu().or_else(|| driver.mtu(&state.network, &self.facts));
        driver.attach(&state.network, attachment, mtu, &self.facts)
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
        let records = self.records_of(&sandbox).map_err(|error| store_failed(what, &error))?;
        let intents = self.ledger.intend(records, entries).map_err(|error| store_failed(what, &error))?;
        for (i, intent) in intents.into_iter().enumerate() {
            match self.ledger.carry_out(intent, sandbox.netns.as_ref().map(AsFd::as_fd)) {
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
            match self.lease_from_lan(&mut sandbox, i, true, what) {
                Ok(wait) => waits.extend(wait),
                Err(error) => {
                    self.dismantle(sandbox);
                    return Err(error.into());
                }
            }
        }
        // Lost in a crash, it would be undone at the next start: rightly, since no shim holds it yet.
        self.write_sandbox(&sandbox, Durability::Lazy, what)?;
        self.ports.insert(&sandbox.record.ports, &id, &sandbox.record.name);
        self.serve_names(&mut sandbox, resolver);
        let info = self.describe_sandbox(&sandbox);
        self.sandboxes.insert(id, sandbox);
        Ok((Reply::Sandbox(info), waits))
    }

    /// A sandbox's record, and its networks' leases, as they should be on the disk.
    pub(super) fn records_of(&self, sandbox: &Sandbox) -> Result<Vec<Change>, StoreError> {
        let mut changes = vec![Change::put(format!("sandbox/{}", sandbox.record.id), &sandbox.record())?];
        for attached in &sandbox.attached {
            let network = &attached.attachment.network;
            if let Some(state) = self.networks.get(network) {
                changes.push(Change::put(format!("leases/{network}"), &state.leases)?);
            }
        }
        Ok(changes)
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
        let written = self.records_of(sandbox).and_then(|records| self.ledger.keep(records, &journals, durability));
        written.map_err(|error| store_failed(what, &error))
    }

    fn sandbox_plan(&mut self, spec: &SandboxRequest, what: &str) -> Result<String, ApiError> {
        let design = self.design_attachments(spec, what)?;
        self.give_back(&design);
        let mut attachments = design;
        let carrier = self.carrier(&attachments);
        let (ports, _) = self.publish(what, &spec.publish, carrier.map(|i| &attachments[i]))?;
        if let Some(carrier) = carrier {
            attachments[carrier].ports = ports;
        }
        let mut text = String::new();
        for attachment in &attachments {
            let Some(state) = self.networks.get(&attachment.network) else {
                continue;
            };
            let name = &state.network.name;
            let title = format!("attach {} to {name} ({})", spec.name, state.network.driver.name());
            text.push_str(&show(&title, &self.attach_plan(attachment), None));
        }
        Ok(text)
    }

    /// Gives the addresses of a design that came to nothing back.
    fn give_back(&mut self, design: &[Attachment]) {
        for attachment in design {
            self.free_addresses(attachment);
            self.network_idle(&attachment.network);
        }
    }

    pub(super) fn free_addresses(&mut self, attachment: &Attachment) {
        if let Some(state) = self.networks.get_mut(&attachment.network) {
            for (subnet, leases) in state.network.subnets.iter().zip(&mut state.leases) {
                attachment
                    .addresses
                    .iter()
                    .filter(|a| subnet.subnet.contains(*a))
                    .for_each(|a| leases.free_address(a.addr()));
            }
        }
    }

    /// Starts the container's resolver, if it is on a network with names.
    pub(super) fn serve_names(&mut self, sandbox: &mut Sandbox, resolver: Option<Resolver>) {
        for attached in &sandbox.attached {
            self.announce_names(&sandbox.record, &attached.attachment);
        }
        self.announce_host_container(&sandbox.record);
        let view = self.view(sandbox);
        let Some(netns) = sandbox.netns.as_ref().filter(|_| !view.networks.is_empty()) else {
            return;
        };
        let resolver = match resolver.map_or_else(|| replace_dns(netns.as_fd()), Ok) {
            Ok(resolver) => resolver,
            Err(error) => {
                self.log.line(format!("container `{}` has no names: {error}", sandbox.record.name));
                return;
            }
        };
        let _inside = self.runtime.enter();
        sandbox.service = Some(self.dns.serve(resolver.udp, resolver.tcp, view));
    }

    pub(super) fn announce_names(&self, record: &Record, attachment: &Attachment) {
        let Some(state) = self.networks.get(&attachment.network).filter(|n| n.network.linked()) else {
            return;
        };
        let mut names = vec![record.name.clone(), record.id.short().to_owned()];
        names.extend(attachment.aliases.iter().cloned());
        let addresses = attachment.addresses.iter().map(|n| n.addr()).collect();
        let endpoint = Endpoint { container: record.id.clone(), names, addresses };
        self.dns.set_endpoint(&attachment.network, state.network.name.as_str(), endpoint);
    }

    pub(super) fn view(&self, sandbox: &Sandbox) -> View {
        let named = |a: &&Attached| self.networks.get(&a.attachment.network).is_some_and(|n| n.network.linked());
        let networks: Vec<NetworkId> =
            sandbox.attached.iter().filter(named).map(|a| a.attachment.network.clone()).collect();
        let out = |id: &NetworkId| self.networks.get(id).is_some_and(|n| !n.network.internal);
        let mut servers = sandbox.record.dns.servers.clone();
        if servers.is_empty() {
            let own = networks.iter().filter_map(|id| self.networks.get(id)).flat_map(|n| &n.network.dns);
            servers.extend(own.copied());
        }
        View { forward: networks.iter().any(out), networks, servers, search: sandbox.record.dns.search.clone() }
    }

    pub(super) fn sandbox_hold(
        &mut self,
        id: &ContainerId,
        socket: PathBuf,
        shim: Option<ShimLink>,
    ) -> Result<(), ApiError> {
        let what = format!("cannot hold the network of container `{}`", id.short());
        let Some(mut sandbox) = self.sandboxes.remove(id) else {
            return Err(self.no_sandbox(id));
        };
        sandbox.owner = None;
        sandbox.record.socket = Some(socket);
        let written = self.write_sandbox(&sandbox, Durability::Durable, &what);
        let generation = sandbox.generation;
        self.sandboxes.insert(id.clone(), sandbox);
        written?;
        if let Some(shim) = shim {
            self.follow(id.clone(), generation, shim);
        }
        Ok(())
    }

    /// Waits for a shim's end in the background.
    pub(super) fn follow(&self, id: ContainerId, generation: u64, shim: ShimLink) {
        let inbox = self.sender.clone();
        let _inside = self.runtime.enter();
        let stream = shim.stream.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(shim.stream));
        let Ok(stream) = stream else { return };
        self.runtime.spawn(async move {
            let mut buffer = [0u8; 512];
            loop {
                let end = match stream.readable().await {
                    Ok(()) => match stream.try_read(&mut buffer) {
                        Ok(0) => true,
                        Ok(_) => false,
                        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
                    },
                    Err(_) => true,
                };
                if end {
                    // The writer may be gone with netd.
                    let _ = inbox.send(Input::ShimGone(id, generation));
                    return;
                }
            }
        });
    }

    pub(super) fn shim_gone(&mut self, id: &ContainerId, generation: u64) {
        if self.sandboxes.get(id).is_some_and(|s| s.generation == generation)
            && let Err(error) = self.sandbox_release(id)
        {
            self.log.line(format!("cannot release container `{}`: {error}", id.short()));
        }
    }

    pub(super) fn connection_closed(&mut self, connection: u64) {
        let owned = self.sandboxes.values().filter(|s| s.owner == Some(connection));
        let ids: Vec<ContainerId> = owned.map(|s| s.record.id.clone()).collect();
        for id in ids {
            if let Err(error) = self.sandbox_release(&id) {
                self.log.line(format!("cannot release container `{}`: {error}", id.short()));
            }
        }
    }

    pub(super) fn sandbox_release(&mut self, id: &ContainerId) -> Result<(), ApiError> {
        let Some(sandbox) = self.sandboxes.remove(id) else {
            return Ok(());
        };
        let left = self.dismantle(sandbox);
        if left.is_empty() {
            return Ok(());
        }
        let mut failed = ApiError::new(ErrorKind::System, format!("cannot release all of container `{}`", id.short()));
        failed.left_behind = left;
        Err(failed)
    }

    /// Undoes a sandbox. The namespace takes the links along when its last holder ends, which is faster than deleting them.
    pub(super) fn dismantle(&mut self, sandbox: Sandbox) -> Vec<String> {
        let record = sandbox.record();
        self.remember_addresses(&record);
        let Sandbox { attached, service, kept, netns, .. } = sandbox;
        drop((service, kept));
        self.ports.remove(&record.id);
        self.forget_host_container(&record);
        let mut changes = vec![Change::Delete(format!("sandbox/{}", record.id))];
        let mut journals = Vec::new();
        for mut one in attached.into_iter().rev() {
            dhcp::release(&mut one);
            let Attached { attachment, mut journal, .. } = one;
            self.dns.remove_endpoint(&attachment.network, &record.id);
            if netns.is_some() {
                self.ledger.leave_to_namespace(&record.id, &mut journal);
            }
            self.free_addresses(&attachment);
            self.network_idle(&attachment.network);
            if let Some(state) = self.networks.get(&attachment.network)
                && let Ok(change) = Change::put(format!("leases/{}", attachment.network), &state.leases)
            {
                changes.push(change);
            }
            let inside = lan_netns(&journal, netns.as_ref());
            journals.push((journal_key(&record.id, &attachment.network), journal, inside));
        }
        self.ledger.release(journals, changes).iter().map(ToString::to_string).collect()
    }

    /// For the container's next start, however it ended. With very many that never come back, some are forgotten.
    fn remember_addresses(&mut self, record: &Record) {
        const MOST: usize = 8192;
        let had = record.attachments.iter().flat_map(|a| a.addresses.iter().map(|net| (a.network.clone(), net.addr())));
        let had: Vec<_> = had.collect();
        if self.last_addresses.len() >= MOST {
            self.last_addresses.pop_first();
        }
        if !had.is_empty() {
            self.last_addresses.insert(record.id.clone(), had);
        }
    }
}

/// Whether the user named this address.
fn asks_for(spec: &SandboxRequest, address: std::net::IpAddr) -> bool {
    let named =
        |a: &netd_api::AttachmentRequest| [a.ip.map(Into::into), a.ip6.map(Into::into)].contains(&Some(address));
    spec.attachments.iter().any(named)
}

/// The namespace, where a link in it must be deleted now: one on a parent has nothing on the host to be silenced by, and would
/// answer for its address until the namespace has gone.
fn lan_netns<'a>(journal: &Journal, netns: Option<&'a OwnedFd>) -> Option<BorrowedFd<'a>> {
    let child = journal.plan.steps.iter().any(|step| matches!(step.op, Op::Host(HostOp::Link(LinkOp::Child { .. }))));
    netns.filter(|_| child).map(AsFd::as_fd)
}
