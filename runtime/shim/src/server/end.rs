//! How a run of the container ends, and with the last one the shim: restart policy, clean-up, telling the clients.

use super::super::cleanup::{self, Aside};
use super::super::client::{Client, Role};
use super::super::config::{CgroupPaths, RestartPolicy};
use super::super::log::Stream;
use super::super::protocol::SOCKET_NAME;
use super::{FIRST_DELAY, GOOD_RUN, LONGEST_DELAY, Shim, now};
use crate::state::Status;
use rcr_base::timings;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::os::fd::AsFd;
use std::time::Instant;

impl Shim {
    /// Init has ended. True: so does the shim.
    pub(super) fn on_exit(&mut self) -> bool {
        let Some(running) = &mut self.running else { return false };
        let Ok(Some(status)) =
            waitid(WaitId::PidFd(running.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
        else {
            return false;
        };
        let code = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => 128 + libc::SIGKILL,
        };
        running.end();
        timings::mark("sees that the program has ended");
        // A next run in a frozen cgroup would not run.
        self.wake();
        if !self.config.plan.spaces.pid {
            // With a pid namespace of its own they would be gone by now.
            cleanup::kill_all(&self.config.cgroup);
        }
        // All other processes are gone, so what the pipes hold is all there will be.
        while self.copy_output(Stream::Stdout) {}
        while self.copy_output(Stream::Stderr) {}
        self.log.finish();
        self.running = None;
        self.kill_at = None;
        if let Some(checks) = &mut self.checks {
            checks.stop();
        }
        self.state.health = None;
        self.input.clear();
        self.state.init = None;
        let kills = out_of_memory_kills(&self.config.cgroup);
        self.state.oom_killed = kills > std::mem::replace(&mut self.oom_kills, kills);
        self.state.exit_code = Some(code);
        self.state.finished_at = Some(now());
        self.note_death(code);
        if self.will_restart(code) {
            self.plan_restart(code);
            return false;
        }
        self.end(code);
        true
    }

    fn will_restart(&mut self, code: i32) -> bool {
        if self.stopping {
            return false;
        }
        if std::mem::take(&mut self.restart_wanted) {
            return true;
        }
        match self.config.restart {
            RestartPolicy::No => false,
            RestartPolicy::OnFailure(None) => code != 0,
            RestartPolicy::OnFailure(Some(limit)) => code != 0 && self.state.restart_count < limit,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        }
    }

    fn plan_restart(&mut self, code: i32) {
        if self.started.elapsed() >= GOOD_RUN {
            self.delay = FIRST_DELAY;
        }
        self.restart_at = Some(Instant::now() + self.delay);
        self.delay = (self.delay * 2).min(LONGEST_DELAY);
        self.state.status = Status::Restarting;
        self.close_input = false;
        self.save();
        // An attached client has seen its run end.
        for client in self.clients.iter_mut().filter(|c| matches!(c.role, Role::Attached { .. })) {
            client.push_exit(code);
            client.flush();
        }
    }

    /// Does what is due. True: the shim ends.
    pub(super) fn on_time(&mut self) -> bool {
        self.on_check_time();
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            let _ = self.kill(libc::SIGKILL);
        }
        if self.tidy_at.is_some_and(|at| at <= now) {
            self.tidy_at = None;
            crate::sys::memory::forget_file_pages();
        }
        if self.restart_at.is_none() || (!self.stopping && self.restart_at.is_some_and(|at| at > now)) {
            return false;
        }
        self.restart_at = None;
        let last = self.state.exit_code.unwrap_or_default();
        if self.stopping {
            self.end(last);
            return true;
        }
        self.state.restart_count += 1;
        match self.launch() {
            Ok(()) => false,
            // A container that it joins may come back.
            Err(failure) if failure.other_gone && self.will_restart(last.max(1)) => {
                self.state.error = Some(failure.doing);
                self.plan_restart(last);
                false
            }
            Err(failure) => {
                self.state.error = Some(failure.doing);
                self.end(if failure.execute { 127 } else { 125 });
                true
            }
        }
    }

    /// The last steps: remove the cgroups, write the state or remove everything, then tell the clients.
    fn end(&mut self, code: i32) {
        // netd takes the network down while we remove the rest.
        self.netns = None;
        self.clients.retain(|client| !matches!(client.role, Role::Netns));
        let left = cleanup::remove_cgroups(&self.config.cgroup, cleanup::CGROUP_PATIENCE);
        timings::mark("has removed the cgroups");
        self.state.status = Status::Exited;
        self.state.exit_code = Some(code);
        self.state.shim = None;
        self.note_end();
        let aside = self.leave(left.is_empty());
        timings::mark("has set aside or saved the container");
        self.say_goodbye(code);
        // Nobody waits for this.
        if let Some(aside) = aside {
            aside.empty();
        }
    }

    /// Removes the container, as far as one rename does, or saves its state. `emptied`: no process of it is left.
    fn leave(&mut self, emptied: bool) -> Option<Aside> {
        let Some(paths) = &self.config.remove else {
            // The state first: a client that finds no socket must find the end in it.
            self.save();
            let _ = std::fs::remove_file(self.config.run_dir.join(SOCKET_NAME));
            return None;
        };
        let why = match emptied.then(|| cleanup::set_aside(paths)) {
            Some(Ok(aside)) => {
                self.note_removal();
                return Some(aside);
            }
            Some(Err(error)) => format!("remove the container: {error}"),
            // Who removes the container by hand finds it, waits longer, and says what is in the way.
            None => "a process in its cgroup does not end".into(),
        };
        self.state.error = Some(why);
        self.save();
        None
    }

    /// Tells every client of the end, and stays until each living one has read everything: a slow reader loses no byte
    /// and no exit code.
    fn say_goodbye(&mut self, code: i32) {
        self.clients.retain(|client| matches!(client.role, Role::Attached { .. } | Role::Waiting | Role::Done));
        let moments = timings::take();
        for client in &mut self.clients {
            if client.role != Role::Done {
                client.push_timings(&moments);
                client.push_exit(code);
            }
            client.flush();
        }
        self.clients.retain(|client| !client.is_finished());
        while !self.clients.is_empty() {
            let mut fds: Vec<PollFd> =
                self.clients.iter().map(|client| PollFd::from_borrowed_fd(client.fd(), PollFlags::OUT)).collect();
            let _ = poll(&mut fds, None);
            drop(fds);
            self.clients.iter_mut().for_each(Client::flush);
            self.clients.retain(|client| !client.is_finished());
        }
    }
}

/// How many processes of the cgroup the kernel has killed for its memory limit: `oom_kill` of `memory.events` (cgroup
/// v2) or of `memory.oom_control` (v1).
fn out_of_memory_kills(cgroup: &CgroupPaths) -> u64 {
    let files = cgroup.unified.iter().map(|folder| folder.join("memory.events"));
    let files = files.chain(cgroup.legacy.iter().map(|folder| folder.join("memory.oom_control")));
    let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
    let count = |text: String| text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
    texts.filter_map(count).sum()
}
