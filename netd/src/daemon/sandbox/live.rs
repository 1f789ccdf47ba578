//! Changes of running containers: connect, disconnect, rename.

use super::attach::choose_default_routes;
use super::{Attached, Sandbox, journal_key};
use crate::daemon::answer::{apply_failed, store_failed};
use crate::daemon::state::Daemon;
use crate::drivers;
use crate::kernel::{Journal, JournalState};
use crate::model::Attachment;
use crate::plan::{Op, Plan};
use crate::store::{Change, Durability};
use netd_api::{ApiError, AttachmentRequest, ContainerId, ErrorKind, NetnsSource, SandboxInfo};
use std::os::fd::AsFd;

impl Daemon {
    pub(in crate::daemon) fn connect(
        &mut self,
        id: &ContainerId,
        request: AttachmentRequest,
    ) -> Result<SandboxInfo, ApiError> {
        let Some(sandbox) = self.sandboxes.get(id) else {
            return Err(self.no_sandbox(id));
        };
        let what = format!("cannot connect `{}` to network `{}`", sandbox.record.name, request.network);
        let mut all: Vec<Attachment> = sandbox.attached.iter().map(|a| a.attachment.clone()).collect();
        let (name, access) = (sandbox.record.name.clone(), sandbox.record.host_gateway);
        let target = self.find_network(&request.network)?;
        let linked = |a: &Attachment| self.networks.get(&a.network).is_some_and(|n| n.network.linked());
        let unfit = self.networks.get(&target).is_some_and(|n| !n.network.linked());
        if unfit || sandbox.record.source == NetnsSource::Host {
            return Err(
                ApiError::new(ErrorKind::Invalid, what).caused_by("networks `host` and `none` go with no other")
            );
        }
        all.retain(|a| linked(a));
        let attachment = self.design_attachment(id, &name, access, &request, &all, &what)?;
        all.push(attachment);
        choose_default_routes(&mut all);
        let done = self.connect_designed(id, all.clone(), &what);
        if done.is_err()
            && let Some(attachment) = all.last()
        {
            self.free_addresses(attachment);
            self.network_idle(&attachment.network);
        }
        done?;
        self.sandbox_info(id)
    }

    fn connect_designed(&mut self, id: &ContainerId, mut all: Vec<Attachment>, what: &str) -> Result<(), ApiError> {
        let Some(attachment) = all.pop() else {
            return Ok(());
        };
        self.network_up(&attachment.network.clone())?;
        let journal = Journal::intend(self.attach_plan(&attachment));
        let Some(mut sandbox) = self.sandboxes.remove(id) else {
            return Err(self.no_sandbox(id));
        };
        sandbox.attached.push(Attached { attachment, journal });
        let result = self.apply_last(&mut sandbox, what);
        if result.is_ok() {
            // The new one may have taken the default routes over; the kernel replaced them.
            for changed in all {
                if let Some(old) = sandbox.attached.iter_mut().find(|a| a.attachment.network == changed.network) {
                    old.attachment.default_via = changed.default_via;
                }
            }
            self.refresh_names(&mut sandbox);
        }
        let written = self.write_sandbox(&sandbox, Durability::Durable, what);
        self.sandboxes.insert(id.clone(), sandbox);
        result.and(written)
    }

    fn apply_last(&mut self, sandbox: &mut Sandbox, what: &str) -> Result<(), ApiError> {
        self.write_sandbox(sandbox, Durability::Durable, what)?;
        let Some(mut last) = sandbox.attached.pop() else {
            return Ok(());
        };
        match self.kernel.apply(&last.journal.plan, sandbox.netns.as_ref().map(AsFd::as_fd)) {
            Ok(outcomes) => {
                last.journal.outcomes = outcomes;
                last.journal.state = JournalState::Up;
                sandbox.attached.push(last);
                Ok(())
            }
            Err(error) => {
                let key = journal_key(&sandbox.record.id, &last.attachment.network);
                let _ = self.store.txn(&[Change::Delete(key)], Durability::Lazy);
                Err(apply_failed(what, &error))
            }
        }
    }

    pub(in crate::daemon) fn disconnect(&mut self, id: &ContainerId, asked: &str) -> Result<SandboxInfo, ApiError> {
        let network = self.find_network(asked)?;
        let Some(mut sandbox) = self.sandboxes.remove(id) else {
            return Err(self.no_sandbox(id));
        };
        let what = format!("cannot disconnect `{}` from network `{asked}`", sandbox.record.name);
        let at = sandbox.attached.iter().position(|a| a.attachment.network == network);
        let linked = self.networks.get(&network).is_some_and(|n| n.network.linked());
        let Some(at) = at.filter(|_| linked) else {
            let why = if linked { "it is not on it" } else { "networks `host` and `none` can't be left" };
            self.sandboxes.insert(id.clone(), sandbox);
            return Err(ApiError::new(ErrorKind::Invalid, what).caused_by(why));
        };
        let Attached { attachment, journal } = sandbox.attached.remove(at);
        let netns = sandbox.netns.as_ref().map(AsFd::as_fd);
        let left = self.kernel.undo(&journal.plan.steps, &journal.outcomes, netns);
        self.dns.remove_endpoint(&network, id);
        self.free_addresses(&attachment);
        let rerouted = self.reroute(&mut sandbox, &attachment, &what);
        self.refresh_names(&mut sandbox);
        let key = Change::Delete(journal_key(id, &network));
        let written = self.store.txn(&[key], Durability::Lazy).map_err(|error| store_failed(&what, &error));
        let written = written.and_then(|()| self.write_sandbox(&sandbox, Durability::Durable, &what));
        self.sandboxes.insert(id.clone(), sandbox);
        self.network_idle(&network);
        rerouted.and(written)?;
        if !left.is_empty() {
            let mut failed = ApiError::new(ErrorKind::System, what);
            failed.left_behind = left.iter().map(ToString::to_string).collect();
            return Err(failed);
        }
        self.sandbox_info(id)
    }

    /// After an attachment went: its default routes and its ports go over to the next one that can carry them.
    fn reroute(&mut self, sandbox: &mut Sandbox, gone: &Attachment, what: &str) -> Result<(), ApiError> {
        let mut all: Vec<Attachment> = sandbox.attached.iter().map(|a| a.attachment.clone()).collect();
        choose_default_routes(&mut all);
        let carrier = if gone.ports.is_empty() { None } else { self.carrier(&all) };
        if !gone.ports.is_empty() {
            // What keeps the ports names the old address.
            sandbox.kept = super::Kept::default();
        }
        for (i, (attached, new)) in sandbox.attached.iter_mut().zip(all).enumerate() {
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
                let Some(state) = self.networks.get(&attached.attachment.network) else {
                    continue;
                };
                let whole =
                    drivers::of(&state.network.driver).attach(&state.network, &attached.attachment, &self.facts);
                plan.steps.extend(
                    whole.steps.into_iter().filter(|s| matches!(s.op, Op::Elements { .. } | Op::ForgetFlows { .. })),
                );
                // The ones for host access are there already.
                let there: Vec<_> = attached.journal.plan.elements().cloned().collect();
                for step in &mut plan.steps {
                    if let Op::Elements { elements } = &mut step.op {
                        elements.retain(|e| !there.contains(e));
                    }
                }
            }
            let netns = sandbox.netns.as_ref().map(AsFd::as_fd);
            let outcomes = self.kernel.apply(&plan, netns).map_err(|error| apply_failed(what, &error))?;
            attached.journal.plan.steps.extend(plan.steps);
            attached.journal.outcomes.extend(outcomes);
        }
        if carrier.is_some() {
            sandbox.kept = self.keep_again(&sandbox.record());
        }
        Ok(())
    }

    /// After a change of networks: the container sees other names and has other names.
    fn refresh_names(&mut self, sandbox: &mut Sandbox) {
        match (&sandbox.service, self.view(sandbox)) {
            (Some(service), view) => {
                service.set_view(view);
                sandbox.attached.iter().for_each(|a| self.announce_names(&sandbox.record, &a.attachment));
            }
            (None, _) => self.serve_names(sandbox, None),
        }
    }

    pub(in crate::daemon) fn sandbox_rename(&mut self, id: &ContainerId, name: String) -> Result<(), ApiError> {
        let Some(mut sandbox) = self.sandboxes.remove(id) else {
            return Err(self.no_sandbox(id));
        };
        let what = format!("cannot rename `{}`", sandbox.record.name);
        sandbox.record.name = name;
        for attached in &mut sandbox.attached {
            attached.attachment.container_name.clone_from(&sandbox.record.name);
            self.announce_names(&sandbox.record, &attached.attachment);
        }
        self.ports.remove(id);
        self.ports.insert(&sandbox.record.ports, id, &sandbox.record.name);
        let written = self.write_sandbox(&sandbox, Durability::Durable, &what);
        self.sandboxes.insert(id.clone(), sandbox);
        written
    }
}
