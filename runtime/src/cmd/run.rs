//! `run`, `create`, `start`, `attach`.

use crate::cli::container::{AttachArgs, StartArgs};
use crate::cli::run::{CreateArgs, RunArgs};
use crate::cli::value;
use crate::flags::container as flags;
use crate::report::{self, warn};
use crate::term::progress::Progress;
use crate::term::relay::{self, Attachment};
use crate::term::signal;
use crate::term::terminal;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::config::{Config, NetworkMode};
use rcr_engine::create;
use rcr_engine::instance::Instance;
use rcr_engine::monitor;
use rcr_engine::start::network;
use rcr_engine::start::{self, Attach};
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

/// Makes the container; nothing is left of one that could not be made.
fn make(instance: &Instance, args: &CreateArgs, attached: bool) -> Outcome<Config> {
    if let Some(path) = args.cidfile.as_deref().filter(|path| path.exists()) {
        let doing = format!("cannot write the container's id to `{}`", path.display());
        return Err(Error::new(Kind::InUse, doing)
            .caused_by("the file exists; another container may still use it")
            .hint("remove it, or name another"));
    }
    warn_of(args);
    let request = flags::request(instance, args, attached)?;
    let config = create::create(instance, request, &Progress::new(false, "pulled"))?;
    match args.cidfile.as_deref().map_or(Ok(()), |path| write_cidfile(path, &config)) {
        Ok(()) => Ok(config),
        Err(failure) => Err(create::undo(instance, &config, failure)),
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
pub fn warn_obstacles(started: &start::Started) {
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

/// `rcr run`.
pub fn run(instance: &Instance, args: RunArgs) -> Outcome<i32> {
    instance.dirs.ensure()?;
    let keys = detach_keys(&args.detach_keys)?;
    let config = make(instance, &args.create, !args.detach)?;
    let failed = |failure: Error| {
        if let Some(path) = &args.create.cidfile {
            let _ = std::fs::remove_file(path);
        }
        create::undo(instance, &config, failure)
    };
    // From here on a signal ends the container, not rcr alone; blocked before the shim exists, so that none is lost.
    let signals = if args.detach { None } else { Some(signal::Signals::block().map_err(&failed)?) };
    let started = start::start(instance, &config, here(!args.detach)).map_err(&failed)?;
    warn_obstacles(&started);
    let (Some(stream), Some(signals)) = (started.attached, signals) else {
        println!("{}", config.id);
        return Ok(0);
    };
    let code = relay::relay(Attachment {
        stream,
        signals,
        stdin: config.process.stdin,
        terminal: config.process.terminal,
        detach_keys: keys,
        sig_proxy: args.sig_proxy && !config.process.terminal,
    })?;
    if let (relay::End::Exited(_), true) = (&code, config.network.mode != NetworkMode::Host) {
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
        return Ok(super::each::each(&args.names, |name| start_one(instance, name)));
    }
    let [name] = args.names.as_slice() else {
        return Err(Error::new(Kind::Invalid, "only one container can be started attached"));
    };
    let keys = detach_keys(&args.detach_keys)?;
    let mut container = instance.containers().find(name)?;
    let signals = signal::Signals::block()?;
    let started = start::start_attached(instance, &mut container, here(true), args.interactive)?;
    warn_obstacles(&started);
    let Some(stream) = started.attached else { return Ok(0) };
    let end = relay::relay(Attachment {
        stream,
        signals,
        stdin: args.interactive && container.config.process.stdin,
        terminal: container.config.process.terminal,
        detach_keys: keys,
        sig_proxy: !container.config.process.terminal,
    })?;
    if let relay::End::Exited(_) = end {
        network::release_own(instance, &container.config)?;
    }
    Ok(end.code())
}

/// Starts one container, detached.
pub fn start_one(instance: &Instance, name: &str) -> Outcome<()> {
    start::start_named(instance, name).map(|started| warn_obstacles(&started))
}

/// `rcr attach`.
pub fn attach(instance: &Instance, args: &AttachArgs) -> Outcome<i32> {
    let keys = detach_keys(&args.detach_keys)?;
    let container = instance.containers().find(&args.name)?;
    let process = &container.config.process;
    let stdin = process.stdin && !args.no_stdin;
    let signals = signal::Signals::block()?;
    let stream = monitor::attach(instance, &container, stdin)?;
    let end = relay::relay(Attachment {
        stream,
        signals,
        stdin,
        terminal: process.terminal,
        detach_keys: keys,
        sig_proxy: args.sig_proxy && !process.terminal,
    })?;
    Ok(end.code())
}
