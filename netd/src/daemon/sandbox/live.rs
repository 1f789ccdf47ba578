//! Changes of running containers: connect, disconnect, rename.

use crate::daemon::failures::{Unattached, kernel_failed, no_sandbox, store_failed};
use crate::daemon::host::Host;
use crate::daemon::namespace::opened;
use crate::daemon::records::{Attached, Kept, Sandbox, journal_key};
use crate::daemon::routes::choose_default_routes;
use crate::daemon::state::Daemon;
use crate::daemon::wait::Wait;
use crate::store::Durability;
use netd_api::{ApiError, AttachmentRequest, ContainerId, ErrorKind, NetnsSource, SandboxInfo};
use netd_core::drivers;
use netd_core::model::Attachment;
use netd_core::plan::{Plan, Purpose};
use std::os::fd::AsFd;

impl Daemon {
    pub(in crate::daemon) fn connect(
        &mut self,
        id: &ContainerId,
        request: AttachmentRequest,
    ) -> Result<(SandboxInfo, Vec<Wait>), ApiError> {
        let Some(sandbox) = self.sandboxes.get(id) else {
            return Err(no_sandbox(id));
        };
        let what = format!("cannot connect `{}` to network `{}`", sandbox.record.name, request.network);
        let mut all: Vec<Attachment> = sandbox.attached.iter().map(|a| a.attachment.clone()).collect();
        let (name, access) = (sandbox.record.name.clone(), sandbox.record.host_gateway);
        let target = self.host.networks.find_network(&request.network)?;
        let linked = |a: &Attachment| self.host.networks.get(&a.network).is_some_and(|n| n.network.linked());
        let unfit = self.host.networks.get(&target).is_some_and(|n| !n.network.linked());
        if unfit || sandbox.record.source == NetnsSource::Host {
            return Err(
                ApiError::new(ErrorKind::Invalid, what).caused_by("networks `host` and `none` go with no other")
            );
        }
        all.retain(|a| linked(a));
        let attachment = self.design_attachment(id, &name, access, &request, &all, &what)?;
        all.push(attachment);
        choose_default_routes(&mut all);
        self.bring_ports(id, &mut all);
        let done = self.connect_designed(id, all.clone(), &what);
        if done.is_err()
            && let Some(attachment) = all.last()
        {
            self.host.networks.free_addresses(attachment);
            self.network_idle(&attachment.network);
        }
        let wait = done?;
        self.host.note_place(&target, "connect", id);
        Ok((self.sandbox_info(id)?, wait.into_iter().collect()))
    }

    fn connect_designed(
        &mut self,
        id: &ContainerId,
        mut all: Vec<Attachment>,
        what: &str,
    ) -> Result<Option<Wait>, ApiError> {
        let Some(attachment) = all.pop() else {
            return Ok(None);
        };
        self.host.network_up(&attachment.network.clone())?;
        let plan = self.host.attach_plan(&attachment);
        let Some(sandbox) = self.sandboxes.get_mut(id) else {
            return Err(no_sandbox(id));
        };
        let before = sandbox.attached.len();
        let result = self.host.keep_answers(sandbox, &all, what).and_then(|()| {
            sandbox.attached.push(Attached::planned(attachment));
            self.host.apply_last(sandbox, plan, what)?;
            let last = sandbox.attached.len() - 1;
            Ok(self.host.lease_from_lan(sandbox, last, false, what)?)
        });
        let result = result.map_err(ApiError::from);
        if result.is_ok() {
            for changed in all {
                if let Some(old) = sandbox.attached.iter_mut().find(|a| a.attachment.network == changed.network) {
                    old.attachment.default_via = changed.default_via;
                }
            }
            self.host.names.refresh(&self.host.networks, sandbox);
            if sandbox.attached.last().is_some_and(|a| !a.attachment.ports.is_empty()) {
                sandbox.kept = self.host.keep_again(&sandbox.record());
            }
        }
        let done = result.and_then(|wait| self.host.write_sandbox(sandbox, Durability::Durable, what).map(|()| wait));
        done.map_err(|error| {
            // The caller hears that it failed, so nothing of it may stay.
            let error = match sandbox.attached.len() > before {
                true => self.host.take_back(sandbox, error, what),
                false => error,
            };
            // Lazy is enough: whatever the store still says, the next netd undoes it.
            let _ = self.host.write_sandbox(sandbox, Durability::Lazy, what);
            error
        })
    }

    /// Ports whose network was left are published by the new one.
    fn bring_ports(&mut self, id: &ContainerId, all: &mut [Attachment]) {
        let Some(sandbox) = self.sandboxes.get(id) else { return };
        if sandbox.record.ports.is_empty() || all.iter().any(|a| !a.ports.is_empty()) {
            return;
        }
        if let Some(carrier) = self.host.networks.carrier(all).filter(|carrier| carrier + 1 == all.len()) {
            all[carrier].ports.clone_from(&sandbox.record.ports);
        }
    }

    pub(in crate::daemon) fn disconnect(&mut self, id: &ContainerId, asked: &str) -> Result<SandboxInfo, ApiError> {
        let network = self.host.networks.find_network(asked)?;
        let Some(sandbox) = self.sandboxes.get_mut(id) else {
            return Err(no_sandbox(id));
        };
        let what = format!("cannot disconnect `{}` from network `{asked}`", sandbox.record.name);
        let at = sandbox.attached.iter().position(|a| a.attachment.network == network);
        let linked = self.host.networks.get(&network).is_some_and(|n| n.network.linked());
        let Some(at) = at.filter(|_| linked) else {
            let why = if linked { "it is not on it" } else { "networks `host` and `none` can't be left" };
            return Err(ApiError::new(ErrorKind::Invalid, what).caused_by(why));
        };
        let netns = opened(sandbox).map_err(|error| kernel_failed(&what, &error))?;
        let mut leaving = sandbox.attached.remove(at);
        crate::daemon::dhcp::release(&mut leaving);
        let Attached { attachment, journal, .. } = leaving;
        let left = self.host.ledger.undo(&journal_key(id, &network), journal, netns.as_ref().map(AsFd::as_fd));
        self.host.names.forget(&network, id);
        self.host.networks.free_addresses(&attachment);
        let rerouted = self.host.reroute(sandbox, &attachment, &what);
        self.host.names.refresh(&self.host.networks, sandbox);
        let written = self.host.write_sandbox(sandbox, Durability::Durable, &what);
        self.network_idle(&network);
        rerouted.and(written)?;
        self.host.note_place(&network, "disconnect", id);
        if !left.is_empty() {
            let mut failed = ApiError::new(ErrorKind::System, what);
            failed.left_behind = left.iter().map(ToString::to_string).collect();
            return Err(failed);
        }
        self.sandbox_info(id)
    }

    pub(in crate::daemon) fn sandbox_rename(&mut self, id: &ContainerId, name: String) -> Result<(), ApiError> {
        let Some(sandbox) = self.sandboxes.get_mut(id) else {
            return Err(no_sandbox(id));
        };
        let what = format!("cannot rename `{}`", sandbox.record.name);
        sandbox.record.name = name;
        for attached in &mut sandbox.attached {
            attached.attachment.container_name.clone_from(&sandbox.record.name);
            self.host.names.announce(&self.host.networks, &sandbox.record, &attached.attachment);
        }
        self.host.names.announce_host(&self.host.networks, &sandbox.record);
        self.host.ports.remove(id);
        self.host.ports.insert(&sandbox.record.ports, id, &sandbox.record.name);
        self.host.write_sandbox(sandbox, Durability::Durable, &what)
    }
}

impl Host {
    /// Undoes the newest attachment after a failure.
    fn take_back(&mut self, sandbox: &mut Sandbox, mut why: ApiError, what: &str) -> ApiError {
        let Some(mut last) = sandbox.attached.pop() else { return why };
        crate::daemon::dhcp::release(&mut last);
        let Attached { attachment, journal, .. } = last;
        let netns = sandbox.netns().ok().flatten();
        let key = journal_key(&sandbox.record.id, &attachment.network);
        let left = self.ledger.undo(&key, journal, netns.as_ref().map(AsFd::as_fd));
        why.left_behind.extend(left.iter().map(ToString::to_string));
        self.names.forget(&attachment.network, &sandbox.record.id);
        if let Err(error) = self.reroute(sandbox, &attachment, what) {
            why.causes.extend(std::iter::once(error.message).chain(error.causes));
        }
        self.names.refresh(&self.networks, sandbox);
        why
    }

    /// The new attachment may take over the default routes. Answers of published ports still leave the way the question
    /// came.
    pub(in crate::daemon) fn keep_answers(
        &mut self,
        sandbox: &mut Sandbox,
        all: &[Attachment],
        what: &str,
    ) -> Result<(), Unattached> {
        for i in 0..sandbox.attached.len() {
            let old = &sandbox.attached[i];
            let Some(changed) = all.iter().find(|a| a.network == old.attachment.network) else {
                continue;
            };
            if self.networks.get(&changed.network).is_some_and(|n| n.network.bridge().is_some()) {
                let mut plan = Plan::default();
                drivers::reply_routes(&mut plan, changed);
                plan.steps.retain(|step| !old.journal.plan.steps.iter().any(|done| done.op == step.op));
                self.apply_more(sandbox, i, plan, what)?;
            }
        }
        Ok(())
    }

    /// Applies further steps to an attachment, and notes them in its journal first.
    pub(in crate::daemon) fn apply_more(
        &mut self,
        sandbox: &mut Sandbox,
        i: usize,
        plan: Plan,
        what: &str,
    ) -> Result<(), Unattached> {
        if plan.steps.is_empty() {
            return Ok(());
        }
        let netns = opened(sandbox).map_err(|error| kernel_failed(what, &error))?;
        let Attached { attachment, journal, .. } = &sandbox.attached[i];
        let entry = (journal_key(&sandbox.record.id, &attachment.network), journal.clone(), plan);
        let intents = self.networks.records_of(sandbox).and_then(|records| self.ledger.intend(records, vec![entry]));
        for intent in intents.map_err(|error| store_failed(what, &error))? {
            match self.ledger.carry_out(intent, netns.as_ref().map(AsFd::as_fd)) {
                Ok(journal) => sandbox.attached[i].journal = journal,
                Err(unmade) => {
                    sandbox.attached[i].journal = unmade.stands;
                    return Err(Unattached::because(what, &unmade.error));
                }
            }
        }
        Ok(())
    }

    /// Applies the plan of the newest attachment; if that fails, the attachment is removed.
    fn apply_last(&mut self, sandbox: &mut Sandbox, plan: Plan, what: &str) -> Result<(), Unattached> {
        let last = sandbox.attached.len() - 1;
        let done = self.apply_more(sandbox, last, plan, what);
        if done.is_err() {
            sandbox.attached.pop();
        }
        done
    }

    /// After an attachment is gone: the next one that can takes over its default routes and its ports.
    fn reroute(&mut self, sandbox: &mut Sandbox, gone: &Attachment, what: &str) -> Result<(), ApiError> {
        let mut all: Vec<Attachment> = sandbox.attached.iter().map(|a| a.attachment.clone()).collect();
        choose_default_routes(&mut all);
        let carrier = if gone.ports.is_empty() { None } else { self.networks.carrier(&all) };
        if !gone.ports.is_empty() {
            // The listeners and relays of the ports name the old address.
            sandbox.kept = Kept::default();
        }
        for (i, new) in all.into_iter().enumerate() {
            let attached = &mut sandbox.attached[i];
            let fresh_via = new.default_via.iter().any(|v| !attached.attachment.default_via.contains(v));
            let publishes = carrier == Some(i);
            attached.attachment.default_via = new.default_via;
            if publishes {
                attached.attachment.ports.clone_from(&gone.ports);
            }
            if !fresh_via && !publishes {
                continue;
            }
            let mut plan = Plan::default();
            if fresh_via {
                drivers::default_routes(&mut plan, &attached.attachment);
            }
            if publishes {
                let whole = self.attach_plan(&attached.attachment);
                plan.steps.extend(whole.steps.into_iter().filter(|step| step.purpose == Purpose::Ports));
            }
            self.apply_more(sandbox, i, plan, what)?;
        }
        if carrier.is_some() {
            sandbox.kept = self.keep_again(&sandbox.record());
        }
        Ok(())
    }
}
