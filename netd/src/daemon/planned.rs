//! What would be made for a container, and what was made for one that runs, as text.

use super::check::{Inside, host_seen};
use super::failures::no_sandbox;
use super::host::Host;
use super::standing::Owner;
use super::state::Daemon;
use super::writer::Writer;
use crate::daemon::failures::kernel_failed;
use netd_api::{ApiError, AttachmentRequest, CheckView, ContainerId, ErrorKind, NetnsSource, PlanText, Reply};
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
    let mut text = String::new();
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
        text.push_str(&show_there(&title, &one.plan, there));
    }
    unseen.unseen.iter().for_each(|why| text.push_str(&format!("not looked at: {why}\n")));
    Ok(Reply::Plan(PlanText { text }))
}

impl Host {
    /// What attaching would do: the network's own part first, where that is not there yet.
    pub(super) fn attachment_text(&mut self, name: &str, attachment: &Attachment) -> Result<String, ApiError> {
        let Some(state) = self.networks.get(&attachment.network) else { return Ok(String::new()) };
        let network = state.network.clone();
        let of = format!("{} ({})", network.name, network.driver.name());
        let mut text = match state.journal.is_none() && network.linked() {
            true => self.network_plan_text(&format!("bring up {of}"), &network)?,
            false => String::new(),
        };
        let table = self.ledger.table_wanted();
        let seen = self.ledger.observe(table).map_err(|error| kernel_failed("cannot look at the host", &error))?;
        let plan = self.attach_plan(attachment);
        let lacking = missing(&plan, &seen);
        // Of what changes, nobody has looked whether it is so already; a link that others share is there or it is not.
        let there = |step: &Step| step.op.makes().is_some() && !lacking.steps.contains(step);
        text.push_str(&show_there(&format!("attach {name} to {of}"), &plan, |step| {
            step.op.scope() == Scope::Host && there(step)
        }));
        Ok(text)
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
        let attachment = self.design_attachment(id, &name, access, request, &beside, &what)?;
        let text = self.host.attachment_text(&name, &attachment);
        self.give_back(&[attachment]);
        Ok(Reply::Plan(PlanText { text: text? }))
    }
}
