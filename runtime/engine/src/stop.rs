//! Stopping, killing, waiting: what ends a container, and what remains to do after its end.

use crate::boot;
use crate::events::subjects;
use crate::force::kill_by_force;
use crate::freeze;
use crate::instance::Instance;
use crate::monitor::request;
use crate::net::release;
use crate::store::Container;
use netd_api::Call;
use rcr_base::{Error, Kind, Outcome, command};
use rcr_shim::config::RemovePaths;
use rcr_shim::protocol::{Request, Response};
use rcr_shim::state::State;
use std::time::{Duration, Instant};

/// How long the shim may take between a container's end and its own.
const GRACE: Duration = Duration::from_secs(5);

/// How to stop a container; absent fields are as it was created with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stop {
    /// The number of the signal that asks it to end.
    pub signal: Option<i32>,
    /// Seconds until SIGKILL; -1: never.
    pub timeout: Option<i64>,
}

/// Stops a container, if it runs. With `unless-stopped` it no longer starts at boot.
pub fn stop(instance: &Instance, name: &str, how: Stop) -> Outcome<()> {
    let container = instance.containers().find(name)?;
    boot::stopped(&instance.dirs, &container.config)?;
    stop_one(instance, &container, how)
}

/// Stops a container to start it again: it is not removed at its end, even with `--rm`.
pub fn stop_to_restart(instance: &Instance, name: &str, how: Stop) -> Outcome<()> {
    let container = instance.containers().find(name)?;
    if container.config.auto_remove && container.state.status.is_alive() {
        request(instance, &container, &Request::Forget, Some(GRACE))?;
    }
    stop_one(instance, &container, how)
}

/// Sends a signal to a container's init. SIGKILL and its own stop signal end its restart policy, too.
pub fn kill(instance: &Instance, name: &str, signal: i32) -> Outcome<()> {
    let container = instance.containers().find(name)?;
    let doing = || format!("cannot kill container `{}`", container.config.name);
    if !container.state.status.is_alive() {
        let how = container.state.status.name();
        return Err(Error::new(Kind::Conflict, doing()).caused_by(format!("it is {how}")));
    }
    match request(instance, &container, &Request::Kill { signal }, Some(GRACE))? {
        Response::Error(why) => Err(Error::new(Kind::Conflict, doing()).caused_by(why)),
        Response::Ok | Response::Exit(_) if [libc::SIGKILL, container.config.stop_signal].contains(&signal) => {
            boot::stopped(&instance.dirs, &container.config)
        }
        Response::Ok | Response::Exit(_) => Ok(()),
    }
}

/// Stops one container, if it runs; it keeps its addresses.
pub fn stop_one(instance: &Instance, container: &Container, how: Stop) -> Outcome<()> {
    if !container.state.status.is_alive() {
        return end_one(instance, container, how, None);
    }
    // Only while it runs does netd know them.
    remember_addresses(instance, container);
    end_one(instance, container, how, None)?;
    subjects::container(&instance.dirs, &container.config).note("stop");
    Ok(())
}

/// The same without keeping its addresses: it is about to be removed. `remove`: what the shim is to remove with it. A
/// shim of an older rcr, or one that does not answer, leaves it to the caller.
pub(crate) fn end_one(
    instance: &Instance,
    container: &Container,
    how: Stop,
    remove: Option<RemovePaths>,
) -> Outcome<()> {
    let config = &container.config;
    if !container.state.status.is_alive() {
        // A shim that was killed has left its network.
        return release(&instance.dirs, &config.id);
    }
    let signal = how.signal.unwrap_or(config.stop_signal);
    let timeout = how.timeout.unwrap_or(config.stop_timeout);
    let patience = u64::try_from(timeout).ok().map(|seconds| Duration::from_secs(seconds) + GRACE);
    let answer = request(instance, container, &Request::Stop { signal, timeout, remove }, patience);
    match answer {
        Ok(Response::Exit(_)) if !instance.dirs.container(&config.id).exists() => {
            return release(&instance.dirs, &config.id);
        }
        Ok(Response::Exit(_)) => {}
        Ok(Response::Ok) => {}
        Ok(Response::Error(why)) => {
            return Err(Error::new(Kind::System, format!("cannot stop container `{}`", config.name)).caused_by(why));
        }
        // A shim that does not answer can't stop its container, but we can kill it, and its container with it.
        Err(failure) if still_alive(instance, container) => {
            // On v1 no signal reaches a process that is frozen.
            freeze::thaw(config);
            if !kill_by_force(&container.state) {
                return Err(failure);
            }
        }
        // It ended, by us or by itself.
        Err(_) => {}
    }
    await_end(instance, container)?;
    release(&instance.dirs, &config.id)
}

fn still_alive(instance: &Instance, container: &Container) -> bool {
    read_state(instance, container).is_some_and(|state| state.status.is_alive())
}

pub(crate) fn read_state(instance: &Instance, container: &Container) -> Option<State> {
    State::read(&instance.dirs.container_run(&container.config.id)).ok().flatten()
}

/// Waits until the end is recorded, and a moment for the shim to go: a shim that stays has a client that reads slowly,
/// and holds nothing else.
pub(crate) fn await_end(instance: &Instance, container: &Container) -> Outcome<()> {
    const MOMENT: Duration = Duration::from_millis(300);
    let until = Instant::now() + GRACE;
    let mut ended = None;
    loop {
        let shim_gone = container.state.shim.is_none_or(|shim| !shim.is_alive());
        if !still_alive(instance, container) {
            let since = *ended.get_or_insert_with(Instant::now);
            if shim_gone || since.elapsed() > MOMENT {
                return Ok(());
            }
        }
        if Instant::now() > until {
            return Err(Error::new(Kind::Unavailable, format!("container `{}` does not end", container.config.name))
                .hint(format!("{} kills and removes it", command::rm_force(&container.config.name))));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A container keeps its addresses over a stop unless somebody takes them meanwhile.
fn remember_addresses(instance: &Instance, container: &Container) {
    let Ok(mut netd) = instance.netd() else { return };
    let Ok((sandbox, _)) = netd.sandbox(Call::SandboxInspect { id: container.config.id.clone() }) else { return };
    let mut config = container.config.clone();
    for attachment in sandbox.attachments {
        let addresses = attachment.addresses.iter().map(ipnet::IpNet::addr).collect();
        config.last_addresses.insert(attachment.network.to_string(), addresses);
    }
    // Only a wish: if the config can't be written, the old one stays.
    let _ = instance.containers().save(&config);
}
