//! `run`, `create`, `start`, `attach`.

use super::attach::{self, Attachment};
use super::{create as config, signal, stop, terminal};
use crate::cli::container::{AttachArgs, CreateArgs, RunArgs, StartArgs};
use crate::cli::value;
use crate::report::{self, warn};
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::config::{Config, NetworkMode};
use rcr_engine::instance::Instance;
use rcr_engine::start::network;
use rcr_engine::start::{self, Attach};
use rcr_engine::store::Container;
use rcr_shim::state::State;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// `rcr create`: everything but the start.
pub fn create(instance: &Instance, args: CreateArgs) -> Outcome<i32> {
    instance.dirs.ensure()?;
    let config = make(instance, &args, false)?;
    println!("{}", config.id);
    Ok(0)
}

/// Makes the container and writes it down; nothing is left of one that could not be made.
fn make(instance: &Instance, args: &CreateArgs, attached: bool) -> Outcome<Config> {
    if let Some(path) = args.cidfile.as_deref().filter(|path| path.exists()) {
        return Err(Error::new(Kind::Invalid, format!("cannot write the container's id to `{}`", path.display()))
            .caused_by("the file exists; another container may still use it")
            .hint("remove it, or name another"));
    }
    warn_of(args);
    rcr_engine::system::sweep(instance)?;
    // Nothing is collected from the store between finding the image and writing down who uses it.
    let _busy = super::image::store(instance)?.begin()?;
    let config = config::config(instance, args, attached)?;
    let containers = instance.containers();
    let written = containers
        .save(&config)
        .and_then(|()| containers.save_state(&config.id, &State::created()))
        .and_then(|()| args.cidfile.as_deref().map_or(Ok(()), |path| write_cidfile(path, &config)));
    match written {
        Ok(()) => Ok(config),
        Err(failure) => Err(undo(instance, &config, failure)),
    }
}

/// What is legal but probably not what was meant.
fn warn_of(args: &CreateArgs) {
    if args.network.network.iter().any(|n| n == "host")
        && (!args.network.publish.is_empty() || args.network.publish_all)
    {
        warn("published ports are discarded with `--network host`: the container's ports are the host's own");
    }
    if args.security.privileged {
        warn("a privileged container is root on this host");
    }
}

/// Another firewall on this host drops what the container's networks send: said once, with the way out.
fn warn_obstacles(started: &start::Started) {
    let Some(first) = started.obstacles.first() else { return };
    let netd_api::Obstacle { network, family, table, chain, command } = first;
    warn(format!(
        "the firewall table `{family} {table}` (chain `{chain}`) drops what network `{network}` sends or gets"
    ));
    report::to_stderr(&report::printable(&format!("hint: let it through: {command}\n")));
    if started.obstacles.len() > 1 {
        report::to_stderr(&format!("hint: `rcr info` names {} more\n", started.obstacles.len() - 1));
    }
}

fn write_cidfile(path: &Path, config: &Config) -> Outcome<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(config.id.as_str().as_bytes()))
        .doing(|| format!("cannot write the container's id to `{}`", path.display()))
}

/// Removes a container whose making failed, or whose first start did.
fn undo(instance: &Instance, config: &Config, failure: Error) -> Error {
    let container = Container { config: config.clone(), state: State::created() };
    match rcr_engine::remove::remove(instance, &container, true) {
        Ok(()) => failure,
        Err(left) => failure.leaving([format!("container `{0}` ({1}): `rcr rm -f {0}`", config.name, left.message)]),
    }
}

/// `rcr run`.
pub fn run(instance: &Instance, args: RunArgs) -> Outcome<i32> {
    instance.dirs.ensure()?;
    let keys = detach_keys(&args.detach_keys)?;
    let config = make(instance, &args.create, !args.detach)?;
    let failed = |failure: Error| {
        if let Some(path) = &args.create.cidfile {
            let _ = std::fs::remove_file(path);
        }
        undo(instance, &config, failure)
    };
    // From here on a signal ends the container, not rcr alone; blocked before the shim exists, so that none is lost.
    let signals = if args.detach { None } else { Some(signal::Signals::block().map_err(&failed)?) };
    let started = start::start(instance, &config, here(!args.detach)).map_err(&failed)?;
    warn_obstacles(&started);
    let (Some(stream), Some(signals)) = (started.attached, signals) else {
        println!("{}", config.id);
        return Ok(0);
    };
    let code = attach::relay(Attachment {
        stream,
        signals,
        stdin: config.process.stdin,
        terminal: config.process.terminal,
        detach_keys: keys,
        sig_proxy: args.sig_proxy && !config.process.terminal,
    })?;
    if let (attach::End::Exited(_), true) = (&code, config.network.mode != NetworkMode::Host) {
        // The end of the shim tells netd; asking makes sure that ports and addresses are free when we return.
        network::release_own(instance, &config)?;
    }
    Ok(code.code())
}

/// Connected to this terminal, if at all.
fn here(wanted: bool) -> Attach {
    Attach { wanted, terminal_size: if wanted { terminal::size() } else { None } }
}

fn detach_keys(text: &str) -> Outcome<Vec<u8>> {
    value::detach_keys(text)
        .map_err(|why| Error::new(Kind::Invalid, format!("cannot understand `--detach-keys {text}`")).caused_by(why))
}

/// `rcr start`.
pub fn start(instance: &Instance, args: &StartArgs) -> Outcome<i32> {
    if !args.attach && !args.interactive {
        return Ok(super::each(&args.names, |name| start_one(instance, name)));
    }
    let [name] = args.names.as_slice() else {
        return Err(Error::new(Kind::Invalid, "only one container can be started attached"));
    };
    let keys = detach_keys(&args.detach_keys)?;
    let mut container = instance.containers().find(name)?;
    refuse_running(&container)?;
    container.config.process.stdin_once &= args.interactive;
    let signals = signal::Signals::block()?;
    let started = start::start(instance, &container.config, here(true))?;
    warn_obstacles(&started);
    let Some(stream) = started.attached else { return Ok(0) };
    let end = attach::relay(Attachment {
        stream,
        signals,
        stdin: args.interactive && container.config.process.stdin,
        terminal: container.config.process.terminal,
        detach_keys: keys,
        sig_proxy: !container.config.process.terminal,
    })?;
    if let attach::End::Exited(_) = end {
        network::release_own(instance, &container.config)?;
    }
    Ok(end.code())
}

/// Starts one container, detached. One that runs already is fine, as with Docker.
pub fn start_one(instance: &Instance, name: &str) -> Outcome<()> {
    let container = instance.containers().find(name)?;
    if container.state.status.is_alive() {
        return Ok(());
    }
    stop::settle(instance, &container)?;
    start::start(instance, &container.config, Attach::default()).map(|started| warn_obstacles(&started))
}

fn refuse_running(container: &Container) -> Outcome<()> {
    if container.state.status.is_alive() {
        return Err(Error::new(Kind::Invalid, format!("container `{}` runs already", container.config.name))
            .hint(format!("connect to it with `rcr attach {}`", container.config.name)));
    }
    Ok(())
}

/// `rcr attach`.
pub fn attach(instance: &Instance, args: &AttachArgs) -> Outcome<i32> {
    let keys = detach_keys(&args.detach_keys)?;
    let container = instance.containers().find(&args.name)?;
    let process = &container.config.process;
    let stdin = process.stdin && !args.no_stdin;
    let signals = signal::Signals::block()?;
    let stream = attach::connect(instance, &container, stdin)?;
    let end = attach::relay(Attachment {
        stream,
        signals,
        stdin,
        terminal: process.terminal,
        detach_keys: keys,
        sig_proxy: args.sig_proxy && !process.terminal,
    })?;
    Ok(end.code())
}
