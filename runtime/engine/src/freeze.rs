//! A container's processes at a halt: until somebody lets them go on (`pause`), or for a moment (`hold`).

use crate::cgroup;
use crate::config::Config;
use crate::instance::Instance;
use crate::monitor::request;
use crate::store::{Container, Status};
use rcr_base::{Error, Kind, Outcome};
use rcr_shim::freezer::Freezer;
use rcr_shim::protocol::{Request, Response};
use std::io;
use std::time::Duration;

/// How long the shim may take: a little more than the kernel is given.
const PATIENCE: Duration = Duration::from_secs(15);

/// Freezes a container until [`unpause`]; its shim keeps that in mind.
pub fn pause(instance: &Instance, name: &str) -> Outcome<()> {
    let container = instance.containers().find(name)?;
    let name = &container.config.name;
    let refused = |why: &str| Error::new(Kind::Conflict, format!("cannot pause container `{name}`")).caused_by(why);
    match container.state.status {
        Status::Paused => Err(refused("it is paused already")),
        Status::Running => told(instance, &container, &Request::Pause, "pause"),
        Status::Created | Status::Exited | Status::Restarting => Err(refused("it is not running")),
    }
}

/// Lets a container go on that [`pause`] froze.
pub fn unpause(instance: &Instance, name: &str) -> Outcome<()> {
    let container = instance.containers().find(name)?;
    if container.state.status != Status::Paused {
        return Err(Error::new(Kind::Conflict, format!("cannot unpause container `{}`", container.config.name))
            .caused_by("it is not paused"));
    }
    told(instance, &container, &Request::Unpause, "unpause")
}

fn told(instance: &Instance, container: &Container, what: &Request, verb: &str) -> Outcome<()> {
    let refused = || Error::new(Kind::Conflict, format!("cannot {verb} container `{}`", container.config.name));
    match request(instance, container, what, Some(PATIENCE))? {
        Response::Ok => Ok(()),
        Response::Exit(_) => Err(refused().caused_by("it has ended")),
        Response::Error(why) => Err(refused().caused_by(why)),
    }
}

/// Frozen for as long as it lives.
pub struct Held(Option<Freezer>);

/// Freezes a container until what it returns is dropped. One that is paused stays as it is.
pub fn hold(container: &Container) -> Outcome<Held> {
    if container.state.status == Status::Paused {
        return Ok(Held(None));
    }
    let freezer = freezer(&container.config)?;
    let doing = || format!("cannot freeze container `{}`", container.config.name);
    freezer.freeze().map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => {
            Error::new(Kind::Unavailable, doing()).caused_by("a process of it does not come to a halt")
        }
        _ => Error::new(Kind::System, doing()).caused_by(rcr_base::io_text(&error)),
    })?;
    Ok(Held(Some(freezer)))
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(freezer) = &self.0 {
            let _ = freezer.thaw();
        }
    }
}

/// Lets all processes go on, whoever has frozen them.
pub(crate) fn thaw(config: &Config) {
    if let Ok(freezer) = freezer(config) {
        let _ = freezer.thaw();
    }
}

fn freezer(config: &Config) -> Outcome<Freezer> {
    let paths = cgroup::paths(&cgroup::kind()?, config);
    Freezer::of(&paths).ok_or_else(|| {
        Error::new(Kind::Unavailable, format!("cannot freeze container `{}`", config.name))
            .caused_by("its cgroup has no freezer")
            .hint("the kernel needs cgroup v2, or the controller `freezer` of v1")
    })
}
