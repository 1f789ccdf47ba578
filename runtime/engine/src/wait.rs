//! Waiting for a container to be in some state.

use crate::instance::Instance;
use crate::monitor::request;
pub use crate::parse::condition::Condition;
use crate::stop::{await_end, read_state};
use crate::store::{Container, Status};
use crate::watch::Watch;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_shim::health::HealthStatus;
use rcr_shim::protocol::{Request, Response};
use rcr_shim::state::State;
use std::time::Duration;

/// A shim that is killed writes nothing: the state is looked at now and then in any case.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Waits for a condition. With one that is about an end, the exit code.
pub fn wait(instance: &Instance, name: &str, condition: Condition) -> Outcome<Option<i32>> {
    let container = instance.containers().find(name)?;
    match condition {
        Condition::NotRunning => for_end(instance, &container).map(Some),
        Condition::NextExit | Condition::Removed => watch(instance, &container, condition),
        Condition::Healthy | Condition::Unhealthy if container.config.health.is_none() => {
            Err(refused(&container, "it has no health check").hint("`--health-cmd` gives one to a new container"))
        }
        _ => watch(instance, &container, condition),
    }
}

fn refused(container: &Container, why: impl Into<String>) -> Error {
    Error::new(Kind::Conflict, format!("cannot wait for container `{}`", container.config.name)).caused_by(why)
}

/// Its shim tells when it has ended for good.
fn for_end(instance: &Instance, container: &Container) -> Outcome<i32> {
    if container.state.status.is_alive() {
        match request(instance, container, &Request::Wait, None) {
            Ok(Response::Exit(code)) => return Ok(code),
            Ok(Response::Error(why)) => return Err(refused(container, why).kind(Kind::System)),
            // It ended just now: its state says how.
            Ok(Response::Ok) | Err(_) => await_end(instance, container)?,
        }
    }
    let state = read_state(instance, container).unwrap_or_else(|| container.state.clone());
    Ok(state.exit_code.unwrap_or(0))
}

/// Looks at the state each time that it is written.
fn watch(instance: &Instance, container: &Container, condition: Condition) -> Outcome<Option<i32>> {
    let dirs = &instance.dirs;
    let (id, first) = (&container.config.id, &container.state);
    let run = dirs.container_run(id);
    let mut exit_code = first.exit_code.unwrap_or(0);
    loop {
        // Before the look, so that what changes after it is seen; anew each time, since a start may make a folder.
        let doing = || format!("cannot watch container `{}`", container.config.name);
        let watch = Watch::folders(&[&run, &dirs.container(id), &dirs.containers()]).doing(doing)?;
        let state = match instance.containers().load(id) {
            Ok(now) => now.state,
            Err(_) if !dirs.container(id).exists() => return gone(container, condition, exit_code),
            Err(failure) => return Err(failure),
        };
        exit_code = state.exit_code.unwrap_or(exit_code);
        if let Some(code) = met(container, &state, condition)? {
            return Ok(code);
        }
        watch.wait(Some(LOOK_AGAIN), None).doing(doing)?;
    }
}

/// The container was removed while we waited.
fn gone(container: &Container, condition: Condition, exit_code: i32) -> Outcome<Option<i32>> {
    match condition {
        Condition::NotRunning | Condition::NextExit | Condition::Removed => Ok(Some(exit_code)),
        _ => Err(refused(container, "it was removed")),
    }
}

/// The answer, if the condition holds; an error, if it can't come to hold any more.
fn met(container: &Container, state: &State, condition: Condition) -> Outcome<Option<Option<i32>>> {
    let ended = || refused(container, format!("it has ended with exit code {}", state.exit_code.unwrap_or(0)));
    let runs = state.status.is_alive();
    let holds = match condition {
        Condition::Removed => false,
        Condition::NotRunning => return Ok((!runs).then_some(Some(state.exit_code.unwrap_or(0)))),
        Condition::NextExit => {
            let first = &container.state;
            let ended = state.finished_at.is_some() && state.finished_at != first.finished_at;
            // A run that has begun again already has cleared the time of the end before.
            let again = first.status.is_alive() && state.started_at != first.started_at;
            return Ok((ended || again).then_some(Some(state.exit_code.unwrap_or(0))));
        }
        Condition::Running => state.status == Status::Running,
        Condition::Paused => state.status == Status::Paused,
        Condition::Healthy if state.health == Some(HealthStatus::Unhealthy) => {
            return Err(refused(container, "it is unhealthy"));
        }
        Condition::Healthy | Condition::Unhealthy if state.status == Status::Exited => return Err(ended()),
        Condition::Healthy => state.health == Some(HealthStatus::Healthy),
        Condition::Unhealthy => state.health == Some(HealthStatus::Unhealthy),
    };
    Ok(holds.then_some(None))
}
