//! All containers at once: at boot and at shutdown.

use crate::boot;
use crate::instance::Instance;
use crate::remove::{empty_removed, remove};
use crate::start::{Started, start_named};
use crate::stop::{Stop, stop_one};
use rcr_base::{Doing, Error, Kind, Outcome};
use std::fs;

/// Once after each boot: removes containers with `--rm` that were running when the machine went down.
pub fn sweep(instance: &Instance) -> Outcome<()> {
    let mark = instance.dirs.run.join("swept");
    if mark.exists() {
        return Ok(());
    }
    for container in instance.containers().list()? {
        if boot::left_over(&instance.dirs, &container) {
            remove(instance, &container, true)?;
        }
    }
    empty_removed(&instance.dirs);
    fs::write(&mark, []).doing(|| format!("cannot write `{}`", mark.display()))
}

/// The result for each of several containers, by name.
pub type Ends = Vec<(String, Outcome<()>)>;

/// Stops all containers at once: each has its own stop timeout. They start again at boot.
pub fn halt(instance: &Instance) -> Outcome<Ends> {
    let running: Vec<_> = instance.containers().list()?.into_iter().filter(|c| c.state.status.is_alive()).collect();
    let ends: Vec<Outcome<()>> = std::thread::scope(|scope| {
        let stop = |container| scope.spawn(move || stop_one(instance, container, Stop::default()));
        let stops: Vec<_> = running.iter().map(stop).collect();
        let lost =
            || Err(Error::new(Kind::System, "cannot stop a container").caused_by("the thread that did it ended"));
        stops.into_iter().map(|stop| stop.join().unwrap_or_else(|_| lost())).collect()
    });
    Ok(running.into_iter().map(|container| container.config.name).zip(ends).collect())
}

/// Starts the containers that start at boot, oldest first. Those that fail are tried again as long as any succeeds: a
/// container that joins another's network needs that one up. `started` is called for each; the failures are returned.
pub fn boot(instance: &Instance, mut started: impl FnMut(&str, Started)) -> Outcome<Ends> {
    instance.dirs.ensure()?;
    sweep(instance)?;
    let mut left: Vec<String> = Vec::new();
    for container in instance.containers().list()? {
        if boot::wanted(&instance.dirs, &container.config) && !container.state.status.is_alive() {
            left.push(container.config.name);
        }
    }
    loop {
        let mut failed: Ends = Vec::new();
        for name in &left {
            match start_named(instance, name) {
                Ok(now) => started(name, now),
                Err(failure) => failed.push((name.clone(), Err(failure))),
            }
        }
        if failed.is_empty() || failed.len() == left.len() {
            return Ok(failed);
        }
        left = failed.into_iter().map(|(name, _)| name).collect();
    }
}
