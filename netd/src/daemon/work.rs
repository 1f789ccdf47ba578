//! The writer's loop: an input, what it changes, an answer; and what the clock brings.

use super::failures::{no_cluster, no_sandbox};
use super::input::{Input, Queue, Told, told};
use super::networks::unmet;
use super::shim_link::ShimLink;
use super::state::Daemon;
use crate::kernel::{Event, give_back};
use crate::metrics::counters::Repaired;
use netd_api::{ApiError, Call, Reply};
use std::os::fd::OwnedFd;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// Ticks without any input after which memory is given back, once.
const QUIET: u32 = 2;

impl Daemon {
    /// Works through the queue until a `Shutdown` or a signal, then flushes lazy writes.
    pub fn work(&mut self, queue: &Queue, tick: Duration) {
        let mut next = Instant::now() + tick;
        while !self.ending {
            match queue.next(next.saturating_duration_since(Instant::now())) {
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => {
                    self.tick();
                    next = Instant::now() + tick;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Err(error) = self.host.ledger.flush() {
            self.host.log.line(error.to_string());
        }
    }

    fn take(&mut self, input: Input) {
        self.quiet = 0;
        match input {
            Input::Call { call, fds, shim, connection, answer } => {
                let reply = self.call(*call, fds, shim, connection);
                let reply = reply.unwrap_or_else(|error| told(Reply::Error(error)));
                // Before the answer: after it the caller gives up claims that no container has.
                self.publish_own();
                // The caller may have gone; its connection's end follows.
                let _ = answer.send(reply);
            }
            Input::WaitOver(settled, answer) => {
                let reply = self.settle_lease(*settled).unwrap_or_else(Reply::Error);
                let _ = answer.send(told(reply));
            }
            Input::ConnectionClosed(connection) => self.connection_closed(connection),
            Input::ShimGone(id, generation) => self.shim_gone(&id, generation),
            Input::Health(id, generation, healthy) => self.health_changed(&id, generation, healthy),
            Input::Kernel(event) => self.kernel_event(event),
            Input::Leased(id, network, lease) => self.leased_anew(&id, &network, lease),
            Input::Question(asked) => self.host.answer_question(asked),
            Input::Answered(id) => self.host.host_answered(&id),
            Input::End => self.ending = true,
            Input::Cluster(snapshot) => self.cluster_changed(snapshot),
            Input::Design(spec, answer) => drop(answer.send(self.host.design(*spec).map(Box::new))),
            Input::DesignChange(id, wanted, answer) => {
                drop(answer.send(self.design_change(&id, &wanted).map(Box::new)))
            }
            Input::Picture(answer) => drop(answer.send(Box::new(self.picture()))),
            Input::Measured(answer) => drop(answer.send((Box::new(self.picture()), self.host.ledger.debts()))),
            Input::Standing(answer) => drop(answer.send(self.standing())),
            Input::Redo(wanted, answer) => drop(answer.send(self.redo(wanted))),
            Input::Lately(ids, answer) => drop(answer.send(self.lately(&ids))),
            Input::Netns(ids, answer) => drop(answer.send(self.netns_of(&ids))),
        }
        self.publish_own();
    }

    fn call(
        &mut self,
        call: Call,
        fds: Vec<OwnedFd>,
        shim: Option<ShimLink>,
        connection: u64,
    ) -> Result<Told, ApiError> {
        match call {
            Call::Version => {
                let mut version = self.host.version();
                version.obstacles = self.host.obstacles_of(|_| true);
                Ok(told(Reply::Version(version)))
            }
            Call::NetworkCreate { spec, dry_run } => self.network_create(spec, dry_run).map(told),
            Call::NetworkList => Ok(told(Reply::Networks(self.network_list()))),
            // A connection's thread answers the other one itself (see `explain`).
            Call::NetworkInspect { network } | Call::NetworkShow { network } => {
                let id = self.host.networks.find_network(&network)?;
                let mut info = self.network_info(&id)?;
                info.obstacles = self.host.obstacles_of(|network| network.id == id);
                info.unmet = unmet(&info);
                Ok(told(Reply::Network(info)))
            }
            Call::NetworkRemove { network } => self.network_remove(&network).map(|()| told(Reply::Done)),
            Call::SandboxCreate { spec, dry_run } => {
                let ((mut reply, fds), waits) = self.sandbox_create(spec, dry_run, fds, connection)?;
                if let Reply::Sandbox(info) = &mut reply {
                    let on: Vec<_> = info.attachments.iter().map(|a| a.network_id.clone()).collect();
                    info.obstacles = self.host.obstacles_of(|network| on.contains(&network.id));
                }
                Ok(((reply, fds), waits))
            }
            Call::SandboxHold { id, .. } if shim.is_none() => Err(no_sandbox(&id)),
            Call::SandboxHold { id, socket } => self.sandbox_hold(&id, socket, shim).map(|()| told(Reply::Done)),
            Call::SandboxRelease { id } => self.sandbox_release(&id).map(|()| told(Reply::Done)),
            Call::SandboxInspect { id } => Ok(told(Reply::Sandbox(self.sandbox_info(&id)?))),
            Call::SandboxList => Ok(told(Reply::Sandboxes(self.sandbox_list()))),
            Call::SandboxRename { id, name } => self.sandbox_rename(&id, name).map(|()| told(Reply::Done)),
            Call::Connect { id, attachment } => {
                self.connect(&id, attachment).map(|(info, waits)| ((Reply::Sandbox(info), Vec::new()), waits))
            }
            Call::ConnectPlan { id, attachment } => self.connect_plan(&id, &attachment).map(told),
            Call::Disconnect { id, network } => self.disconnect(&id, &network).map(|info| told(Reply::Sandbox(info))),
            Call::NodeRekey => self.host.rekey().map(|key| told(Reply::Key(key))),
            // A connection's thread looks into that itself (see `explain`).
            Call::NetworkWhy { .. }
            | Call::NetworkCheck { .. }
            | Call::NetworkQueries { .. }
            | Call::NetworkGraph { .. }
            | Call::NetworkCapture { .. }
            | Call::SandboxPlan { .. } => Ok(told(Reply::Done)),
            // Of the connection's own (see `shared_calls`), where there is a cluster.
            Call::NodeList | Call::NodeRemove { .. } => Err(no_cluster()),
            Call::NetworkUpdate { network, change, dry_run } => {
                self.network_update(&network, &change, dry_run).map(told)
            }
            Call::Shutdown => {
                self.ending = true;
                self.host.log.line("asked to end; the data path stays");
                Ok(told(Reply::Done))
            }
        }
    }

    fn kernel_event(&mut self, event: Event) {
        match event {
            Event::TableChanged(port, _)
                if port == self.host.ledger.table_port() || !self.host.ledger.table_wanted() => {}
            Event::TableChanged(port, by) => {
                if port == 0 && self.host.ledger.table_exists().unwrap_or(false) {
                    return;
                }
                let who = by.as_deref().unwrap_or("somebody");
                self.host.log.line(format!("{who} deleted from table `inet rcr`: writing it again"));
                match self.host.ledger.restore_table() {
                    Ok(()) => self.host.note_shared_repair("inet rcr", Repaired::Table, by),
                    Err(error) => self.host.log.line(format!("cannot write table `inet rcr` again: {error}")),
                }
            }
            Event::UserRulesChanged => {
                if let Err(error) = self.host.ledger.follow_user_rules() {
                    self.host.log.line(format!("cannot follow the rules of table `inet rcr-user`: {error}"));
                }
            }
            Event::LinkGone(name) => self.link_gone(&name),
            Event::LinksLost => self.links_lost(),
            Event::WaysChanged => self.follow_mtu(),
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet == QUIET {
            give_back();
        }
        self.host.ledger.bury_overdue_links(now);
        let sandboxes = &self.sandboxes;
        self.host.ledger.pay_debts(now, |journal| {
            let of = sandboxes.values().find(|s| journal.split('/').any(|part| part == s.record.id.as_str()));
            of.and_then(|sandbox| sandbox.netns().ok().flatten())
        });
        if self.host.ledger.table_wanted() && !self.host.ledger.table_exists().unwrap_or(true) {
            self.kernel_event(Event::TableChanged(0, None));
        }
        if let Ok(true) = self.host.ledger.settle_store() {
            self.host.log.line("the store can be written again");
        }
        // Nobody is asking for anything: whatever happens now, the next netd finds everything. A full disk was reported
        // already.
        let _ = self.host.ledger.flush();
        self.host.rest_idle_networks(now);
        self.host.retire_key(now);
        self.host.ask_silent_hosts(now);
        self.publish_own();
    }
}
