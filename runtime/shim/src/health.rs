//! What a container's health check is, and what it has found. The shim runs it (`server::health`).

use crate::init::plan::ProcessPlan;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::time::Duration;

/// The file of the last results, in the container's run folder, in Docker's shape.
pub const HEALTH_NAME: &str = "health.json";
/// How many results are kept.
const KEPT: usize = 5;

/// What is run, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HealthPlan {
    /// The program; it gets no terminal.
    pub process: ProcessPlan,
    /// When it is run, and what its failures mean.
    pub schedule: Schedule,
}

/// When a check is run, and what its failures mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// From the end of one run to the beginning of the next.
    pub interval: Duration,
    /// A run that takes longer is killed, and has failed.
    pub timeout: Duration,
    /// From the container's start: failures don't count yet.
    pub start_period: Duration,
    /// The interval meanwhile.
    pub start_interval: Duration,
    /// So many failures in a row make it unhealthy.
    pub retries: u32,
    /// What happens then.
    pub on_failure: OnFailure,
}

/// What is done with a container that has become unhealthy (Podman's `--health-on-failure`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Nothing.
    #[default]
    None,
    /// It is killed; its restart policy goes on.
    Kill,
    /// It is stopped and started again, whatever its policy.
    Restart,
    /// It is stopped, and stays down.
    Stop,
}

/// What the check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It has neither succeeded nor failed often enough.
    Starting,
    /// The last run succeeded.
    Healthy,
    /// It failed too often in a row.
    Unhealthy,
}

impl HealthStatus {
    /// As listings show it.
    pub fn name(self) -> &'static str {
        match self {
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        }
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthResult {
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    /// -1: it could not be run, or took too long.
    pub exit_code: i32,
    /// The beginning of what it wrote.
    pub output: String,
}

/// What is known of a container's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// What the check says.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last runs, oldest first.
    pub log: Vec<HealthResult>,
}

impl Health {
    /// Of a container that has just been started.
    pub fn starting() -> Self {
        Self { status: HealthStatus::Starting, failing_streak: 0, log: Vec::new() }
    }

    /// Takes a result in. `lenient`: within the start period, where a container that was not healthy yet may fail.
    pub fn take(&mut self, result: HealthResult, retries: u32, lenient: bool) {
        if result.exit_code == 0 {
            (self.status, self.failing_streak) = (HealthStatus::Healthy, 0);
        } else if !(lenient && self.status == HealthStatus::Starting) {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        self.log.push(result);
        self.log.drain(..self.log.len().saturating_sub(KEPT));
    }

    /// Reads what the shim wrote last; absent: nothing.
    pub fn read(run_dir: &Path) -> Option<Self> {
        std::fs::read(run_dir.join(HEALTH_NAME)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
    }

    /// Writes it, whole or not at all.
    pub fn write(&self, run_dir: &Path) -> io::Result<()> {
        let temporary = run_dir.join(format!(".{HEALTH_NAME}"));
        std::fs::write(&temporary, serde_json::to_vec(self)?)?;
        std::fs::rename(temporary, run_dir.join(HEALTH_NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(exit_code: i32) -> HealthResult {
        HealthResult { start: String::new(), end: String::new(), exit_code, output: String::new() }
    }

    #[test]
    fn failures_count_in_a_row_and_not_while_it_starts() {
        let mut health = Health::starting();
        health.take(result(1), 2, true);
        assert_eq!((health.status, health.failing_streak), (HealthStatus::Starting, 0));
        health.take(result(1), 2, false);
        health.take(result(0), 2, false);
        health.take(result(1), 2, true);
        assert_eq!((health.status, health.failing_streak), (HealthStatus::Healthy, 1));
        health.take(result(-1), 2, false);
        assert_eq!(health.status, HealthStatus::Unhealthy);
        for _ in 0..9 {
            health.take(result(0), 2, false);
        }
        assert_eq!((health.status, health.log.len()), (HealthStatus::Healthy, KEPT));
    }
}
