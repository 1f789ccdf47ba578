//! The container's health check in the loop: when it is run, and what its results mean. Between two runs it costs
//! nothing but a deadline of poll(2).

use super::{Shim, now};
use crate::check::{Run, TOO_LONG};
use crate::health::{HealthResult, HealthStatus, OnFailure};
use crate::state::Status;
use std::time::{Duration, Instant};

impl Shim {
    /// A run of the container begins.
    pub(super) fn restart_checks(&mut self) {
        let Some(checks) = &mut self.checks else { return };
        checks.restart();
        self.state.health = Some(HealthStatus::Starting);
        let _ = checks.known.write(&self.config.run_dir);
    }

    /// The program has written something.
    pub(super) fn on_check_output(&mut self) {
        if let Some(run) = self.checks.as_mut().and_then(|checks| checks.current.as_mut()) {
            run.read_output();
        }
    }

    /// The program's parent says something: that it runs, or how it ended.
    pub(super) fn on_check_answer(&mut self) {
        let run = self.checks.as_mut().and_then(|checks| checks.current.as_mut());
        if let Some((code, why)) = run.and_then(Run::answer) {
            self.end_check(code, &why);
        }
    }

    /// What is due: a run, or its end. A container that is frozen, or about to end, is left alone.
    pub(super) fn on_check_time(&mut self) {
        let now = Instant::now();
        let runs = self.running.is_some() && self.state.status == Status::Running && !self.stopping;
        let Some(checks) = &mut self.checks else { return };
        if let Some(run) = &mut checks.current {
            if run.deadline <= now && run.overdue() {
                self.end_check(TOO_LONG.0, TOO_LONG.1);
            }
            return;
        }
        if checks.next_at.is_none_or(|at| at > now) {
            return;
        }
        checks.next_at = runs.then(|| now + checks.plan.schedule.interval);
        let Some(init) = self.state.init.filter(|_| runs) else { return };
        let begun = super::now();
        match Run::begin(&checks.plan, init, &self.config.cgroup, begun.clone()) {
            Ok(run) => checks.current = Some(run),
            Err(errno) => self.note_check(-1, errno.desc().to_owned(), begun),
        }
    }

    fn end_check(&mut self, code: i32, why: &str) {
        let Some(run) = self.checks.as_mut().and_then(|checks| checks.current.take()) else { return };
        let begun = run.begun.clone();
        self.note_check(code, run.text(why), begun);
        self.tidy_soon();
    }

    /// Takes a result in, says so on the disk, and does what is to be done with an unhealthy container.
    fn note_check(&mut self, exit_code: i32, output: String, start: String) {
        let age = self.started.elapsed();
        let Some(checks) = &mut self.checks else { return };
        let lenient = age < checks.plan.schedule.start_period;
        let before = checks.known.status;
        checks.known.take(HealthResult { start, end: now(), exit_code, output }, checks.plan.schedule.retries, lenient);
        let _ = checks.known.write(&self.config.run_dir);
        let (status, on_failure) = (checks.known.status, checks.plan.schedule.on_failure);
        let starting = lenient && status == HealthStatus::Starting;
        checks.next_at = Some(
            Instant::now() + if starting { checks.plan.schedule.start_interval } else { checks.plan.schedule.interval },
        );
        if status == before {
            return;
        }
        self.state.health = Some(status);
        self.save();
        self.note_health(status);
        if status == HealthStatus::Unhealthy {
            self.on_unhealthy(on_failure);
        }
    }

    /// Tells who keeps the network namespace, if the container's health has changed: names may depend on it.
    pub(super) fn tell_health(&mut self) {
        let healthy = self.state.health == Some(HealthStatus::Healthy);
        if std::mem::replace(&mut self.told_healthy, healthy) != healthy {
            self.clients.iter_mut().for_each(|client| client.push_health(healthy));
        }
    }

    fn on_unhealthy(&mut self, action: OnFailure) {
        match action {
            OnFailure::None => {}
            OnFailure::Kill => drop(self.kill(libc::SIGKILL)),
            OnFailure::Stop => self.stop(self.config.stop_signal, self.config.stop_timeout),
            OnFailure::Restart => {
                self.restart_wanted = true;
                let _ = self.kill(self.config.stop_signal);
                if let Ok(seconds) = u64::try_from(self.config.stop_timeout) {
                    self.kill_at = Some(Instant::now() + Duration::from_secs(seconds));
                }
            }
        }
    }
}
