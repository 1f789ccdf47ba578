//! `run`, `create`, `start`, `attach`.

use crate::cli::container::{AttachArgs, StartArgs};
use crate::cli::run::{CreateArgs, RunArgs};
use crate::flags::container as flags;
use crate::report::{self, warn};
use crate::term::progress::Progress;
use crate::term::relay::{self, Relayed};
use crate::term::signal;
use crate::term::terminal;
use rcr_base::{Doing, Error, Kind, Outcome, timings};
use rcr_engine::config::{Config, NetworkMode};
use rcr_engine::create;
use rcr_engine::instance::Instance;
use rcr_engine::monitor;
use rcr_engine::parse::words::Stream;
use rcr_engine::start::network;
use rcr_engine::start::{self, Attach};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// `rcr create`: everything but the start.
pub fn create(instance: &Instance, args: CreateArgs) -> Outcome<i32> {
    if args.dry_run {
        return plan(instance, &args);
    }
    let config = make(instance, &args, false)?;
    println!("{}", config.id);
    Ok(0)
}

/// `--dry-run`: what would be made.
fn plan(instance: &Instance, args: &CreateArgs) -> Outcome<i32> {
    let request = flags::request(args, false)?;
    let plan = create::plan(instance, request, &Progress::new(args.quiet, "pulled"))?;
    print!("{}", report::printable(&plan.text(args.verbose)));
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
    let request = flags::request(args, attached)?;
    let config = create::create(instance, request, &Progress::new(args.quiet, "pulled"))?;
    match args.cidfile.as_deref().map_or(Ok(()), |path| write_cidfile(path, &config)) {
        Ok(()) => Ok(config),
        Err(failure) => Err(create::undo(instance, &config, failure)),
    }
}

/// Another firewall on this host drops what the container's networks send: says so once, with the way out.
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

/// stdout and stderr are shown.
const BOTH: [bool; 2] = [true, true];

/// `rcr run`. `began`: when the program did.
pub fn run(instance: &Instance, args: RunArgs, began: u64) -> Outcome<i32> {
    if !args.timings {
        return run_once(instance, args);
    }
    timings::keep("rcr");
    timings::mark_at(began, "begins");
    timings::mark("has read the command line");
    let result = run_once(instance, args);
    timings::mark("ends");
    report::to_stderr(&moments(&timings::take()));
    result
}

/// One line a moment, in milliseconds since the first, with what has passed since the one before.
fn moments(all: &[timings::Moment]) -> String {
    let first = all.first().map_or(0, |moment| moment.at);
    let mut before = first;
    let mut text = String::from("        at       took\n");
    for timings::Moment { at, program, what } in all {
        let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        let (since, took) = (milliseconds(at - first), milliseconds(at - std::mem::replace(&mut before, *at)));
        text += &format!("{since:7.2} ms {took:7.2} ms  {program} {what}\n");
    }
    report::printable(&text)
}

fn run_once(instance: &Instance, args: RunArgs) -> Outcome<i32> {
    if args.detach && !args.create.attach.is_empty() {
        return Err(
            Error::new(Kind::Invalid, "`--detach` can't be combined with `--attach`").hint("leave one of them out")
        );
    }
    if args.create.dry_run {
        return plan(instance, &args.create);
    }
    let config = make(instance, &args.create, !args.detach)?;
    let failed = |failure: Error| {
        if let Some(path) = &args.create.cidfile {
            let _ = std::fs::remove_file(path);
        }
        create::undo(instance, &config, failure)
    };
    // From here on signals go to the container, not to rcr alone; they are blocked before the shim exists, so that none
    // is lost.
    let signals = if args.detach { None } else { Some(signal::Signals::block().map_err(&failed)?) };
    let started = start::start(instance, &config, here(!args.detach)).map_err(&failed)?;
    warn_obstacles(&started);
    let (Some(mut container), Some(signals)) = (started.attached, signals) else {
        println!("{}", config.id);
        return Ok(0);
    };
    let streams = &args.create.attach;
    container.stdin &= streams.is_empty() || streams.contains(&Stream::Stdin);
    // A terminal's output is one stream.
    let wants = |stream| streams.is_empty() || streams.contains(&stream);
    let shown = [wants(Stream::Stdout) || (container.terminal && wants(Stream::Stderr)), wants(Stream::Stderr)];
    let end =
        relay::relay(Relayed { container, signals, detach_keys: args.detach_keys, sig_proxy: args.sig_proxy, shown })?;
    if let (relay::End::Exited(_), true) = (&end, config.network.mode != NetworkMode::Host) {
        // The end of the shim tells netd; asking makes sure that ports and addresses are free when we return.
        timings::mark("hears of the end");
        network::release_own(instance, &config)?;
        timings::mark("knows that the network is released");
    }
    Ok(code_of(&end, instance, config.id.as_str()))
}

/// The exit code of a relay. A user who left is recorded.
fn code_of(end: &relay::End, instance: &Instance, container: &str) -> i32 {
    if let relay::End::Detached = end {
        monitor::detached(instance, container);
    }
    end.code()
}

/// Connected to this terminal, if at all.
fn here(wanted: bool) -> Attach {
    Attach { wanted, terminal_size: if wanted { terminal::size() } else { None } }
}

/// `rcr start`.
pub fn start(instance: &Instance, args: &StartArgs) -> Outcome<i32> {
    if !args.attach && !args.interactive {
        return Ok(super::each::each(&args.names, |name| start_one(instance, name)));
    }
    let [name] = args.names.as_slice() else {
        return Err(Error::new(Kind::Invalid, "only one container can be started attached"));
    };
    let signals = signal::Signals::block()?;
    let (config, started) = start::start_attached(instance, name, terminal::size(), args.interactive)?;
    warn_obstacles(&started);
    let Some(container) = started.attached else { return Ok(0) };
    let end = relay::relay(Relayed {
        container,
        signals,
        detach_keys: args.detach_keys.clone(),
        sig_proxy: true,
        shown: BOTH,
    })?;
    if let relay::End::Exited(_) = end {
        network::release_own(instance, &config)?;
    }
    Ok(code_of(&end, instance, config.id.as_str()))
}

/// Starts one container, detached.
pub fn start_one(instance: &Instance, name: &str) -> Outcome<()> {
    start::start_named(instance, name).map(|started| warn_obstacles(&started))
}

/// `rcr attach`.
pub fn attach(instance: &Instance, args: &AttachArgs) -> Outcome<i32> {
    let signals = signal::Signals::block()?;
    let container = monitor::attach(instance, &args.name, !args.no_stdin)?;
    let detach_keys = args.detach_keys.clone();
    relay::relay(Relayed { container, signals, detach_keys, sig_proxy: args.sig_proxy, shown: BOTH })
        .map(|end| code_of(&end, instance, &args.name))
}
