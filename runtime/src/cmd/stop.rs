//! `stop`, `restart`, `kill`, `rm`, `wait`, `rename`, `container prune`.

use super::attach::ask;
use super::{each, run};
use crate::cli::container::{KillArgs, NamesArgs, PruneArgs, RenameArgs, RmArgs, StopArgs};
use crate::cli::value;
use netd_api::{Call, NetworkName};
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::boot;
use rcr_engine::instance::Instance;
use rcr_engine::store::Container;
use rcr_shim::protocol::{Request, Response};
use rcr_shim::state::State;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

/// How long the shim may take between a container's end and its own.
const SETTLE: Duration = Duration::from_secs(5);

/// Sends a request and reads the answering line; `None` waits for it as long as it takes.
fn request(
    instance: &Instance,
    container: &Container,
    request: &Request,
    patience: Option<Duration>,
) -> Outcome<Response> {
    let stream = ask(instance, container, request)?;
    let mut line = String::new();
    let name = &container.config.name;
    let silent = || format!("the shim of container `{name}` does not answer");
    stream.set_read_timeout(patience).doing(silent)?;
    BufReader::new(stream).read_line(&mut line).doing(silent)?;
    serde_json::from_str(&line).map_err(|e| Error::new(Kind::Invalid, silent()).caused_by(e.to_string()))
}

fn signal_of(text: &str) -> Outcome<i32> {
    value::signal(text)
        .map_err(|why| Error::new(Kind::Invalid, format!("cannot understand `--signal {text}`")).caused_by(why))
}

/// How many containers are worked on at once: each spends its time waiting.
const AT_ONCE: usize = 16;

/// Does something to each of several containers, many at a time; what came of each, in their order.
fn at_once<T: Send>(names: &[String], act: impl Fn(&str) -> Outcome<T> + Sync) -> Vec<Outcome<T>> {
    let mut all = Vec::with_capacity(names.len());
    for some in names.chunks(AT_ONCE) {
        if let [one] = some {
            all.push(act(one));
            continue;
        }
        let lost = || Err(Error::new(Kind::Invalid, "a thread of rcr ended without an answer"));
        std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|name| scope.spawn(|| act(name))).collect();
            all.extend(threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())));
        });
    }
    all
}

/// [`at_once`] with each name printed that something was done to (`true`), and each failure reported.
fn side_by_side(names: &[String], act: impl Fn(&str) -> Outcome<bool> + Sync) -> i32 {
    let mut code = 0;
    for (name, done) in names.iter().zip(at_once(names, act)) {
        match done {
            Ok(true) => println!("{name}"),
            Ok(false) => {}
            Err(failure) => {
                crate::report::print(&failure);
                code = 1;
            }
        }
    }
    code
}

/// `rcr stop`.
pub fn stop(instance: &Instance, args: &StopArgs) -> Outcome<i32> {
    let signal = args.signal.as_deref().map(signal_of).transpose()?;
    Ok(side_by_side(&args.names, |name| {
        let container = instance.containers().find(name)?;
        boot::stopped(&instance.dirs, &container.config)?;
        stop_one(instance, &container, signal, args.time).map(|()| true)
    }))
}

/// Stops one container, which keeps its addresses; one that does not run is fine.
pub fn stop_one(instance: &Instance, container: &Container, signal: Option<i32>, time: Option<i64>) -> Outcome<()> {
    if container.state.status.is_alive() {
        // While it runs netd knows; a moment after its end nobody does.
        remember_addresses(instance, container);
    }
    end_one(instance, container, signal, time)
}

fn end_one(instance: &Instance, container: &Container, signal: Option<i32>, time: Option<i64>) -> Outcome<()> {
    let config = &container.config;
    if !container.state.status.is_alive() {
        return settle(instance, container);
    }
    let signal = signal.unwrap_or(config.stop_signal);
    let timeout = time.unwrap_or(config.stop_timeout);
    let patience = u64::try_from(timeout).ok().map(|seconds| Duration::from_secs(seconds) + SETTLE);
    let answer = request(instance, container, &Request::Stop { signal, timeout }, patience);
    match answer {
        Ok(Response::Exit(_)) => {}
        Ok(Response::Ok) => {}
        Ok(Response::Error(why)) => {
            return Err(Error::new(Kind::Invalid, format!("cannot stop container `{}`", config.name)).caused_by(why));
        }
        // A shim that does not answer can't be asked to stop its container, but it can be ended, and its container with it.
        Err(failure) if still_alive(instance, container) && !rcr_engine::remove::kill_by_force(&container.state) => {
            return Err(failure);
        }
        // It ended, now or by itself.
        Err(_) => {}
    }
    await_end(instance, container)?;
    rcr_engine::net::release(&instance.dirs, &config.id)
}

fn still_alive(instance: &Instance, container: &Container) -> bool {
    read_state(instance, container).is_some_and(|state| state.status.is_alive())
}

fn read_state(instance: &Instance, container: &Container) -> Option<State> {
    State::read(&instance.dirs.container_run(&container.config.id)).ok().flatten()
}

/// Waits until the end is written down, and a moment for the shim to go: one that stays has a client that reads slowly, and holds
/// nothing any more.
fn await_end(instance: &Instance, container: &Container) -> Outcome<()> {
    const MOMENT: Duration = Duration::from_millis(300);
    let until = Instant::now() + SETTLE;
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
            return Err(Error::new(Kind::Invalid, format!("container `{}` does not end", container.config.name))
                .hint(format!("`rcr rm -f {}` ends and removes it by force", container.config.name)));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a shim that died by force has left: its network and its cgroup.
pub fn settle(instance: &Instance, container: &Container) -> Outcome<()> {
    rcr_engine::net::release(&instance.dirs, &container.config.id)
}

/// A container keeps its addresses over a stop if nobody takes them meanwhile.
fn remember_addresses(instance: &Instance, container: &Container) {
    let Ok(mut netd) = instance.netd() else { return };
    let Ok((sandbox, _)) = netd.sandbox(Call::SandboxInspect { id: container.config.id.clone() }) else { return };
    let mut config = container.config.clone();
    for attachment in sandbox.attachments {
        let addresses = attachment.addresses.iter().map(ipnet::IpNet::addr).collect();
        config.last_addresses.insert(attachment.network.to_string(), addresses);
    }
    // A wish only: a container whose config can't be written keeps the old one.
    let _ = instance.containers().save(&config);
}

/// `rcr restart`.
pub fn restart(instance: &Instance, args: &StopArgs) -> Outcome<i32> {
    let signal = args.signal.as_deref().map(signal_of).transpose()?;
    let stopped = at_once(&args.names, |name| {
        let container = instance.containers().find(name)?;
        if container.config.auto_remove && container.state.status.is_alive() {
            request(instance, &container, &Request::Forget, Some(SETTLE))?;
        }
        stop_one(instance, &container, signal, args.time)
    });
    // Starting forks, which takes a process of one thread.
    let mut stopped = stopped.into_iter();
    Ok(each(&args.names, |name| {
        stopped.next().unwrap_or(Ok(()))?;
        run::start_one(instance, name)
    }))
}

/// `rcr kill`.
pub fn kill(instance: &Instance, args: &KillArgs) -> Outcome<i32> {
    let signal = signal_of(&args.signal)?;
    Ok(each(&args.names, |name| {
        let container = instance.containers().find(name)?;
        let doing = || format!("cannot kill container `{}`", container.config.name);
        if !container.state.status.is_alive() {
            return Err(
                Error::new(Kind::Invalid, doing()).caused_by(format!("it is {}", container.state.status.name()))
            );
        }
        match request(instance, &container, &Request::Kill { signal }, Some(SETTLE))? {
            Response::Error(why) => Err(Error::new(Kind::Invalid, doing()).caused_by(why)),
            Response::Ok | Response::Exit(_) if [libc::SIGKILL, container.config.stop_signal].contains(&signal) => {
                boot::stopped(&instance.dirs, &container.config)
            }
            Response::Ok | Response::Exit(_) => Ok(()),
        }
    }))
}

/// `rcr rm`.
pub fn rm(instance: &Instance, args: &RmArgs) -> Outcome<i32> {
    Ok(side_by_side(&args.names, |name| {
        let container = match instance.containers().find(name) {
            // As with Docker, `-f` is content when there is nothing to remove, and says so.
            Err(failure) if args.force && failure.kind == Kind::NotFound => {
                crate::report::print(&failure);
                return Ok(false);
            }
            other => other?,
        };
        remove_one(instance, container, args.force, args.volumes).map(|()| true)
    }))
}

fn remove_one(instance: &Instance, mut container: Container, force: bool, volumes: bool) -> Outcome<()> {
    if force && container.state.status.is_alive() {
        let stopped = end_one(instance, &container, Some(libc::SIGKILL), Some(0));
        if stopped.is_err() && !rcr_engine::remove::kill_by_force(&container.state) {
            stopped?;
        }
        if container.config.auto_remove && !instance.dirs.container(&container.config.id).exists() {
            return Ok(());
        }
        container.state = read_state(instance, &container).unwrap_or_else(State::created);
    }
    rcr_engine::remove::remove(instance, &container, volumes)
}

/// `rcr wait`.
pub fn wait(instance: &Instance, args: &NamesArgs) -> Outcome<i32> {
    let mut code = 0;
    for name in &args.names {
        match wait_one(instance, name) {
            Ok(exit) => println!("{exit}"),
            Err(failure) => {
                crate::report::print(&failure);
                code = 1;
            }
        }
    }
    Ok(code)
}

fn wait_one(instance: &Instance, name: &str) -> Outcome<i32> {
    let container = instance.containers().find(name)?;
    if container.state.status.is_alive() {
        match request(instance, &container, &Request::Wait, None) {
            Ok(Response::Exit(code)) => return Ok(code),
            Ok(Response::Error(why)) => {
                return Err(Error::new(Kind::Invalid, format!("cannot wait for `{name}`")).caused_by(why));
            }
            // It ended just now: its state says how.
            Ok(Response::Ok) | Err(_) => await_end(instance, &container)?,
        }
    }
    let state = read_state(instance, &container).unwrap_or(container.state);
    Ok(state.exit_code.unwrap_or(0))
}

/// `rcr rename`.
pub fn rename(instance: &Instance, args: &RenameArgs) -> Outcome<i32> {
    let containers = instance.containers();
    let mut config = containers.find(&args.name)?.config;
    let new = &args.new_name;
    new.parse::<NetworkName>().map_err(|e| {
        Error::new(Kind::Invalid, format!("cannot use `{new}` as a container name")).caused_by(format!("it {}", e.why))
    })?;
    containers.claim_name(new, &config.id, !config.auto_remove)?;
    let old = std::mem::replace(&mut config.name, new.clone());
    if let Err(failure) = containers.save(&config) {
        let _ = containers.release_name(new);
        return Err(failure);
    }
    containers.release_name(&old).doing(|| format!("cannot give the name `{old}` back"))?;
    if let Some(mut netd) = rcr_engine::net::Netd::connect_running(&instance.dirs) {
        // A container that does not run has no sandbox to rename.
        let _ = netd.call(Call::SandboxRename { id: config.id.clone(), name: new.clone() });
    }
    println!("{new}");
    Ok(0)
}

/// `rcr container prune`.
pub fn prune(instance: &Instance, args: &PruneArgs) -> Outcome<i32> {
    if !args.force && !super::confirm("this will remove all containers that do not run")? {
        return Ok(0);
    }
    for container in instance.containers().list()? {
        if !container.state.status.is_alive() {
            let id = container.config.id.clone();
            rcr_engine::remove::remove(instance, &container, false)?;
            println!("{id}");
        }
    }
    Ok(0)
}
