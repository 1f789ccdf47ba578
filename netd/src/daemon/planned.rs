//! What would be made for a container, and what was made for one that runs, as text.

use super::check::{Inside, host_seen};
use super::failures::{kernel_failed, no_sandbox};
use super::host::Host;
use super::standing::Owner;
use super::state::Daemon;
use super::writer::Writer;
use netd_api::{
    ApiError, AttachmentRequest, CheckView, ContainerId, ErrorKind, NetnsSource, PlanPart, PlanView, Reply,
    SandboxRequest,
};
use netd_core::check::lacking;
use netd_core::model::Attachment;
use netd_core::plan::{Scope, Step, missing, show_there};

/// The steps that were made for a container; `=` is there, and what is not bears the mark of its making.
pub fn made(writer: &Writer, id: &ContainerId) -> Result<Reply, ApiError> {
    let picture = writer.picture()?;
    let Some(container) = picture.containers.get(id) else { return Err(no_sandbox(id)) };
    let standing = writer.standing()?;
    let mut unseen = CheckView::default();
    let host = host_seen(&picture, &standing, &mut unseen);
    let mut inside = Inside::new(writer);
    let mut view = PlanView::default();
    for one in standing.iter().filter(|one| matches!(&one.owner, Owner::Attachment(of, _) if of == id)) {
        let Owner::Attachment(_, on) = &one.owner else { continue };
        let of_container = inside.of(id, &one.plan).unwrap_or_else(|why| {
            unseen.unseen.push(why);
            None
        });
        let mut gone: Vec<Step> = Vec::new();
        for (scope, seen) in [(Scope::Host, &host), (Scope::Container, &of_container)] {
            gone.extend(seen.iter().flat_map(|seen| lacking(&one.plan, scope, seen)).map(|one| one.step));
        }
        let looked = |scope: Scope| if scope == Scope::Host { host.is_some() } else { of_container.is_some() };
        let there = |step: &Step| looked(step.op.scope()) && !gone.contains(step);
        let network = picture.networks.get(on).map(|of| format!("{} ({})", of.network.name, of.network.driver.name()));
        let title = format!("{} on {}", container.name, network.unwrap_or_default());
        view.parts.push(show_there(&title, &one.plan, there));
    }
    let said = unseen.unseen.iter().map(|why| format!("not looked at: {why}"));
    view.parts.extend(said.map(|title| PlanPart { title, steps: Vec::new() }));
    Ok(Reply::Plan(view))
}

impl Host {
    /// What attaching would do: the network's own part first, where that is not there yet.
    pub(super) fn shown_attachment(&mut self, name: &str, attachment: &Attachment) -> Result<Vec<PlanPart>, ApiError> {
        let Some(state) = self.networks.get(&attachment.network) else { return Ok(Vec::new()) };
        let network = state.network.clone();
        let of = format!("{} ({})", network.name, network.driver.name());
        let mut parts = Vec::new();
        if state.journal.is_none() && network.linked() {
            parts.push(self.shown_network(&format!("bring up {of}"), &network)?);
        }
        let table = self.ledger.table_wanted();
        let seen = self.ledger.observe(table).map_err(|error| kernel_failed("cannot look at the host", &error))?;
        let plan = self.attach_plan(attachment);
        let lacking = missing(&plan, &seen);
        // Of what changes, nobody has looked whether it is so already; a link that others share is there or it is not.
        let there = |step: &Step| step.op.makes().is_some() && !lacking.steps.contains(step);
        parts.push(show_there(&format!("attach {name} to {of}"), &plan, |step| {
            step.op.scope() == Scope::Host && there(step)
        }));
        Ok(parts)
    }
}

impl Daemon {
    /// What attaching a container that runs would do.
    pub(super) fn connect_plan(&mut self, id: &ContainerId, request: &AttachmentRequest) -> Result<Reply, ApiError> {
        let Some(sandbox) = self.sandboxes.get(id) else { return Err(no_sandbox(id)) };
        let (name, access) = (sandbox.record.name.clone(), sandbox.record.host_gateway);
        let what = format!("cannot connect `{name}` to network `{}`", request.network);
        let linked = |a: &Attachment| self.host.networks.get(&a.network).is_some_and(|n| n.network.linked());
        let beside: Vec<Attachment> = sandbox.attached.iter().map(|a| a.attachment.clone()).filter(linked).collect();
        let target = self.host.networks.find_network(&request.network)?;
        let unfit = self.host.networks.get(&target).is_some_and(|n| !n.network.linked());
        if unfit || sandbox.record.source == NetnsSource::Host {
            let why = "networks `host` and `none` go with no other";
            return Err(ApiError::new(ErrorKind::Invalid, what).caused_by(why));
        }
        let parts = self.only_planned(|daemon| {
            let attachment = daemon.design_attachment(id, &name, access, request, &beside, &what)?;
            daemon.host.shown_attachment(&name, &attachment)
        });
        Ok(Reply::Plan(PlanView { parts: parts? }))
    }

    /// What making a sandbox would do.
    pub(super) fn sandbox_plan(&mut self, spec: &SandboxRequest, what: &str) -> Result<PlanView, ApiError> {
        let parts = self.only_planned(|daemon| {
            let mut attachments = daemon.design_attachments(spec, what)?;
            let carrier = daemon.host.networks.carrier(&attachments);
            // What keeps the ports is dropped at once.
            let (ports, _) = daemon.host.publish(what, &spec.publish, carrier.map(|i| &attachments[i]))?;
            if let Some(carrier) = carrier {
                attachments[carrier].ports = ports;
            }
            let parts = attachments.iter().map(|attachment| daemon.host.shown_attachment(&spec.name, attachment));
            parts.collect::<Result<Vec<_>, ApiError>>()
        });
        Ok(PlanView { parts: parts?.into_iter().flatten().collect() })
    }

    /// Designs something that is not made. Whatever the design took is as it was before: an address that was only
    /// planned for was never anybody's, and the next one that is chosen is the same.
    fn only_planned<T>(&mut self, design: impl FnOnce(&mut Self) -> T) -> T {
        let before: Vec<_> = self.host.networks.iter().map(|(id, n)| (id.clone(), n.leases.clone(), n.idle)).collect();
        let planned = design(self);
        for (id, leases, idle) in before {
            if let Some(state) = self.host.networks.get_mut(&id) {
                (state.leases, state.idle) = (leases, idle);
            }
        }
        planned
    }
}
