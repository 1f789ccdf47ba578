//! Changes of networks in use: planned as the difference of two plans, journalled as one undertaking, undone when a
//! part fails.
//!
//! The record `update/<id>` exists only while the change is under way: a netd that finds it after a crash undoes the
//! change. Networks and journals are rewritten when all of it is done, in the transaction that deletes it.

use super::failures::{ipam_failed, kernel_failed, ledger_failed, store_failed};
use super::host::Host;
use super::input::Designed;
use super::names::view;
use super::records::{NetworkState, Sandbox, journal_key};
use super::routes::{choose, choose_default_routes, gateways};
use super::state::Daemon;
use crate::kernel::Journal;
use crate::ledger;
use crate::store::{Change, Durability, StoreError};
use ipnet::IpNet;
use netd_api::{ApiError, ContainerId, ErrorKind, NetworkChange, NetworkCreate, NetworkId, PlanView, Reply};
use netd_core::drivers::{self, lan};
use netd_core::ipam::Leases;
use netd_core::model::{Attachment, Network};
use netd_core::plan::{Observed, Outcome, Plan, Purpose, change, is_same_object, show_seen};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

/// The steps for the network itself, or for one container on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    container: Option<ContainerId>,
    /// What is done.
    plan: Plan,
    /// What then stands.
    #[serde(skip)]
    whole: Plan,
    #[serde(skip)]
    attachment: Option<Attachment>,
}

impl ledger::Part for Part {
    fn plan(&self) -> &Plan {
        &self.plan
    }
}

fn refused(what: &str, why: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::Invalid, what).caused_by(why)
}

fn key(id: &NetworkId) -> String {
    format!("update/{id}")
}

impl Daemon {
    pub(super) fn network_update(
        &mut self,
        asked: &str,
        wanted: &NetworkChange,
        dry_run: bool,
    ) -> Result<Reply, ApiError> {
        let id = self.host.networks.find_network(asked)?;
        let what = format!("cannot update network `{asked}`");
        let (next, parts) = self.plan_wanted(&id, wanted, &what)?;
        if dry_run {
            return Ok(Reply::Plan(self.shown_update(&next.network, &parts)));
        }
        self.carry_out(&id, &parts, &what).and_then(|outcomes| self.settle(next, parts, outcomes, &what))?;
        self.host.note(&id, "update");
        Ok(Reply::Network(self.network_info(&id)?))
    }

    fn plan_wanted(
        &mut self,
        id: &NetworkId,
        wanted: &NetworkChange,
        what: &str,
    ) -> Result<(NetworkState, Vec<Part>), ApiError> {
        self.host.facts = self.host.look().map_err(|error| kernel_failed(what, &error))?;
        let seen = self.host.ledger.observe(false).map_err(|error| kernel_failed(what, &error))?;
        let next = self.host.design_update(id, wanted, &seen, what)?;
        self.plan_update(next, None, &seen, what)
    }

    /// What a change would make of a network of the cluster. Nothing is touched.
    pub(super) fn design_change(&mut self, id: &NetworkId, wanted: &NetworkChange) -> Result<Designed, ApiError> {
        let name = self.host.networks.get(id).map_or_else(|| id.short().to_owned(), |n| n.network.name.to_string());
        let (next, parts) = self.plan_wanted(id, wanted, &format!("cannot update network `{name}`"))?;
        let plan = self.shown_update(&next.network, &parts);
        Ok(Designed { network: next.network, plan })
    }

    /// Carries out on this host what changed in a network of the cluster.
    pub(super) fn take_change(&mut self, network: Network) -> Result<(), ApiError> {
        let what = format!("cannot update network `{}`, as the cluster has it", network.name);
        let Some(now) = self.host.networks.get(&network.id) else { return Ok(()) };
        if !network.is_changed(&now.network) {
            return Err(refused(&what, "it differs in more than a network in use can change"));
        }
        let (mut leases, up) = (now.leases.clone(), now.journal.is_some());
        let added = network.subnets.get(now.network.subnets.len()..).unwrap_or_default().to_vec();
        if up {
            self.host.refuse_collision(&added, &what)?;
        }
        leases.resize(network.subnets.len(), Leases::default());
        let mtu = drivers::overlay::mtu(&network, &self.host.facts);
        let id = network.id.clone();
        self.turn_into(NetworkState::new(network, leases), mtu, &what)?;
        self.host.note(&id, "update");
        Ok(())
    }

    /// Changes a network, and all containers on it, into its next state. `mtu` as in [`Self::plan_update`].
    pub(super) fn turn_into(&mut self, next: NetworkState, mtu: Option<u32>, what: &str) -> Result<(), ApiError> {
        let id = next.network.id.clone();
        let seen = self.host.ledger.observe(false).map_err(|error| kernel_failed(what, &error))?;
        let (next, parts) = self.plan_update(next, mtu, &seen, what)?;
        self.carry_out(&id, &parts, what).and_then(|outcomes| self.settle(next, parts, outcomes, what))
    }

    /// What is to be done: for the network while it is up, and for each container on it. `mtu`: what the way of its
    /// packets takes now, in bytes; absent where that has not changed.
    fn plan_update(
        &self,
        mut next: NetworkState,
        mtu: Option<u32>,
        seen: &Observed,
        what: &str,
    ) -> Result<(NetworkState, Vec<Part>), ApiError> {
        let id = next.network.id.clone();
        let mut parts = Vec::new();
        let Some(now) = self.host.networks.get(&id) else {
            return Ok((next, parts));
        };
        let driver = drivers::of(&next.network.driver);
        let mtu = next.network.asked_mtu().or(mtu).or(now.mtu());
        let mtu = mtu.or_else(|| driver.mtu(&next.network, &self.host.facts));
        if let Some(journal) = &now.journal {
            let mut whole = driver.network(&next.network, mtu, &self.host.facts);
            if self.host.networks.shares_parent(&next.network) {
                whole.steps.retain(|step| step.purpose != Purpose::Parent);
            }
            let plan = change(&journal.plan, &whole, seen);
            parts.push(Part { container: None, plan, whole, attachment: None });
        }
        for sandbox in self.sandboxes.values() {
            let mut all: Vec<Attachment> = sandbox.attached.iter().map(|a| a.attachment.clone()).collect();
            let Some(at) = all.iter().position(|a| a.network == id) else {
                continue;
            };
            extend(&mut all[at], now, &mut next).map_err(|error| ipam_failed(what, &error))?;
            choose_default_routes(&mut all);
            let attachment = all.swap_remove(at);
            let whole = driver.attach(&next.network, &attachment, mtu, &self.host.facts);
            let plan = change(&sandbox.attached[at].journal.plan, &whole, seen);
            let container = Some(attachment.container.clone());
            parts.push(Part { container, plan, whole, attachment: Some(attachment) });
        }
        Ok((next, parts))
    }

    fn shown_update(&self, network: &Network, parts: &[Part]) -> PlanView {
        let mut view = PlanView::default();
        for part in parts.iter().filter(|part| !part.plan.steps.is_empty()) {
            let title = match &part.container {
                None => format!("update {} ({})", network.name, network.driver.name()),
                Some(id) => {
                    let name = self.sandboxes.get(id).map_or(id.short(), |s| s.record.name.as_str());
                    format!("update {name} on {}", network.name)
                }
            };
            view.parts.push(show_seen(&title, &part.plan, None));
        }
        if view.parts.is_empty() {
            return PlanView::saying(format!("update {}: no kernel object changes", network.name));
        }
        view
    }

    /// Writes the undertaking down and does it; all or nothing.
    fn carry_out(&mut self, id: &NetworkId, parts: &[Part], what: &str) -> Result<Vec<Vec<Outcome>>, ApiError> {
        let sandboxes = &self.sandboxes;
        let done = self.host.ledger.undertake(&key(id), parts, |part| netns_of(sandboxes, part));
        done.map_err(|error| ledger_failed(what, &error))
    }

    /// All is done: the network, its journals and its containers are what they were to be.
    fn settle(
        &mut self,
        next: NetworkState,
        parts: Vec<Part>,
        outcomes: Vec<Vec<Outcome>>,
        what: &str,
    ) -> Result<(), ApiError> {
        let id = next.network.id.clone();
        let mut changes = vec![Ok(Change::Delete(key(&id)))];
        if let Some(state) = self.host.networks.get_mut(&id) {
            (state.network, state.leases) = (next.network, next.leases);
            changes.push(Change::put(format!("network/{id}"), &state.network));
            changes.push(Change::put(format!("leases/{id}"), &state.leases));
        }
        for (part, outcomes) in parts.into_iter().zip(outcomes) {
            let Some(container) = &part.container else {
                if let Some(journal) = self.host.networks.get_mut(&id).and_then(|state| state.journal.as_mut()) {
                    take_over(journal, &part, outcomes);
                    changes.push(Change::put(format!("journal/network/{id}"), &*journal));
                }
                continue;
            };
            let Some(sandbox) = self.sandboxes.get_mut(container) else { continue };
            let Some(attached) = sandbox.attached.iter_mut().find(|a| a.attachment.network == id) else { continue };
            take_over(&mut attached.journal, &part, outcomes);
            changes.push(Change::put(journal_key(container, &id), &attached.journal));
            attached.attachment = part.attachment.unwrap_or_else(|| attached.attachment.clone());
            changes.push(Change::put(format!("sandbox/{container}"), &sandbox.record()));
        }
        let changes: Result<Vec<Change>, StoreError> = changes.into_iter().collect();
        let written = changes.and_then(|c| self.host.ledger.record(&c, Durability::Durable));
        self.refresh_names_on(&id);
        written.map_err(|error| store_failed(what, &error))
    }

    fn refresh_names_on(&mut self, id: &NetworkId) {
        let (networks, names) = (&self.host.networks, &self.host.names);
        for sandbox in self.sandboxes.on(id) {
            names.announce_all(networks, sandbox);
            if let Some(service) = &sandbox.service {
                service.set_view(view(networks, sandbox));
            }
        }
        if let Some(state) = networks.get(id) {
            self.sandboxes.values().for_each(|s| names.announce_host_on(&s.record, &state.network));
        }
    }

    /// After a crash: what was begun is taken back.
    pub(super) fn undo_unfinished_updates(&mut self) -> Result<(), StoreError> {
        for (id, parts) in self.host.ledger.records::<Vec<Part>>("update/")? {
            self.host.log.line(format!("undoing half an update of network `{}`", id.get(..12).unwrap_or(&id)));
            let sandboxes = &self.sandboxes;
            self.host.ledger.call_off(&format!("update/{id}"), &parts, |part| {
                let netns = netns_of(sandboxes, part);
                (part.container.is_none() || netns.is_some()).then_some(netns)
            });
        }
        Ok(())
    }
}

impl Host {
    /// The network as it is to be, with the leases it has.
    fn design_update(
        &mut self,
        id: &NetworkId,
        wanted: &NetworkChange,
        seen: &Observed,
        what: &str,
    ) -> Result<NetworkState, ApiError> {
        if *wanted == NetworkChange::default() {
            return Err(refused(what, "nothing is to change").hint("`rcr network update --help` lists what can"));
        }
        let Some(state) = self.networks.get(id) else {
            return Err(refused(what, "it is gone"));
        };
        let (mut network, mut leases) = (state.network.clone(), state.leases.clone());
        network.version += 1;
        if !network.linked() && (wanted.mtu.is_some() || wanted.dns.is_some() || !wanted.subnets.is_empty()) {
            return Err(refused(what, format!("a network of driver `{}` has labels alone", network.driver.name())));
        }
        network.labels.extend(wanted.add_labels.clone());
        for label in &wanted.remove_labels {
            if network.labels.remove(label).is_none() {
                return Err(refused(what, format!("it has no label `{label}`")));
            }
        }
        if let Some(servers) = &wanted.dns {
            network.dns.clone_from(servers);
        }
        let mtu = wanted.mtu.or(state.mtu());
        if let Some(mtu) = wanted.mtu {
            network.ask_mtu(mtu);
        }
        if !wanted.subnets.is_empty() {
            self.add_subnets(&mut network, wanted, seen, what)?;
            leases.resize(network.subnets.len(), Leases::default());
        }
        drivers::check_mtu(mtu, network.ipv6).map_err(|refusal| super::failures::refused(what, refusal))?;
        Ok(NetworkState::new(network, leases))
    }

    fn add_subnets(
        &mut self,
        network: &mut Network,
        wanted: &NetworkChange,
        seen: &Observed,
        what: &str,
    ) -> Result<(), ApiError> {
        if network.shared && wanted.subnets.iter().any(|s| !network.has_family(s.subnet.addr().is_ipv6())) {
            return Err(refused(what, "containers that run would have no address of the new family, on any host")
                .hint("create a network with both, and connect the containers to it"));
        }
        if network.own_link.is_some() {
            return Err(refused(what, "the host's own link has an address in each subnet, chosen when it is made")
                .hint("create a network with this subnet and `host_access`"));
        }
        if network.driver.lan().is_some_and(|o| o.dhcp) {
            return Err(refused(what, "the LAN's DHCP server knows its subnet, gateway and addresses"));
        }
        let mut spec = NetworkCreate {
            name: network.name.clone(),
            driver: network.driver.clone(),
            subnets: wanted.subnets.clone(),
            ipv6: false,
            ipv4: false,
            internal: network.internal,
            labels: Default::default(),
        };
        let joined = lan::child(&network.driver).filter(|kind| lan::joins_lan(*kind));
        let joined = joined.and(network.parent.as_ref()).map(|parent| parent.name().clone());
        if let Some(parent) = &joined {
            super::lan::reserve_host_addresses(&mut spec, parent, seen);
        }
        if network.routed_only() {
            spec.subnets.iter_mut().for_each(|s| s.no_gateway = s.gateway.is_none());
        }
        let chosen = self.choose_subnets(&spec, joined.as_ref(), what);
        network.subnets.extend(chosen.map_err(|error| error.hint("choose another `--subnet`"))?);
        network.ipv6 = network.subnets.iter().any(|s| matches!(s.subnet, IpNet::V6(_)));
        Ok(())
    }
}

fn netns_of(sandboxes: &BTreeMap<ContainerId, Sandbox>, part: &Part) -> Option<OwnedFd> {
    let sandbox = part.container.as_ref().and_then(|id| sandboxes.get(id));
    sandbox.and_then(|sandbox| sandbox.netns().ok().flatten())
}

/// A container gets an address of each family that the network did not have before.
fn extend(
    attachment: &mut Attachment,
    now: &NetworkState,
    next: &mut NetworkState,
) -> Result<(), netd_core::ipam::IpamError> {
    for v6 in [false, true] {
        if now.network.has_family(v6) || !next.network.has_family(v6) {
            continue;
        }
        let Some(lease) = choose(next, &[], v6)? else { continue };
        let subnet = next.network.subnets.iter().find(|s| s.subnet.contains(&lease.address));
        let net = subnet.and_then(|s| IpNet::new(lease.address, s.subnet.prefix_len()).ok());
        attachment.addresses.extend(net);
        attachment.gateways.extend(gateways(next, &[lease]));
    }
    Ok(())
}

/// A journal says what stands now: links with their new MTU, and what was added.
fn take_over(journal: &mut Journal, part: &Part, outcomes: Vec<Outcome>) {
    for step in &mut journal.plan.steps {
        if let Some(now) = part.whole.steps.iter().find(|now| is_same_object(step, now)) {
            step.op = now.op.clone();
        }
    }
    for (step, outcome) in part.plan.steps.iter().zip(outcomes) {
        let changed = step.op.is_mtu() || journal.plan.steps.iter().any(|s| is_same_object(s, step));
        if !changed {
            journal.plan.steps.push(step.clone());
            journal.outcomes.push(outcome);
        }
    }
}
