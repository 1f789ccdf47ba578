//! netd's command line, and its way from a process to a daemon.

use super::log::Log;
use super::server;
use super::state::{Daemon, Input};
use crate::dns::Dns;
use crate::kernel::{Failpoint, Kernel, Netns, Ready, daemonize, lock_pid_file, watch};
use crate::store::Embedded;
use netd_api::{ApiError, ErrorKind};
use nix::errno::Errno;
use nix::fcntl::Flock;
use rcr_base::Config;
use std::error::Error;
use std::fs::{DirBuilder, File};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::Duration;

const USAGE: &str = "\
Usage: netd [--daemon] [--root DIR] [--run DIR] [--config FILE]

The network daemon of rcr; rcr starts it when it is needed.

  --daemon       go to the background once the socket answers
  --root DIR     state that outlives a reboot [RCR_ROOT, /var/lib/rcr]
  --run DIR      socket, pid file and log [RCR_RUN, /run/rcr]
  --store URL    etcd://HOST:PORT[,HOST:PORT...]: share overlay networks with other hosts (cluster.store)
  --config FILE  [RCR_CONFIG, /etc/rcr/config.toml, which may be missing]
  --errors=json  why it could not start, as one JSON object on stderr
  --version      print the version

Example: netd --root /tmp/a/lib --run /tmp/a/run
";

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(500);
/// How long another netd may take to answer, or to end.
const TRIES: usize = 200;
const BETWEEN_TRIES: Duration = Duration::from_millis(25);

/// What netd was started with.
#[derive(Debug, Clone)]
pub struct Options {
    pub root: PathBuf,
    pub run: PathBuf,
    pub config: Config,
    pub daemon: bool,
}

enum Parsed {
    Run(Box<Options>),
    Print(String),
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Parsed, ApiError> {
    let refused = |why: String| ApiError::new(ErrorKind::Invalid, why);
    let env = |name: &str, fallback: &str| PathBuf::from(std::env::var_os(name).unwrap_or_else(|| fallback.into()));
    let (mut root, mut run) = (env("RCR_ROOT", "/var/lib/rcr"), env("RCR_RUN", "/run/rcr"));
    let mut config: Option<PathBuf> = std::env::var_os("RCR_CONFIG").map(Into::into);
    let (mut daemon, mut store) = (false, None);
    while let Some(arg) = args.next() {
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        let mut value =
            || inline.clone().or_else(|| args.next()).ok_or_else(|| refused(format!("`{name}` needs a value")));
        match name.as_str() {
            "--root" => root = value()?.into(),
            "--run" => run = value()?.into(),
            "--config" => config = Some(value()?.into()),
            "--store" => store = Some(value()?),
            "--daemon" => daemon = true,
            "--errors" if value()? == "json" => {}
            "--help" | "-h" => return Ok(Parsed::Print(USAGE.to_owned())),
            "--version" | "-V" => {
                return Ok(Parsed::Print(format!("netd {}\n", env!("CARGO_PKG_VERSION"))));
            }
            other => {
                return Err(refused(format!("unknown option `{other}`")).hint("`netd --help` lists all options"));
            }
        }
    }
    let mut config = read_config(config.as_deref())?;
    if store.is_some() {
        config.cluster.store = store;
        config.cluster.endpoints().map_err(refused)?;
    }
    let absolute =
        |path: PathBuf| std::path::absolute(&path).map_err(|error| refused(format!("`{}`: {error}", path.display())));
    Ok(Parsed::Run(Box::new(Options { root: absolute(root)?, run: absolute(run)?, config, daemon })))
}

fn read_config(path: Option<&Path>) -> Result<Config, ApiError> {
    let default = Path::new("/etc/rcr/config.toml");
    if path.is_none() && !default.exists() {
        return Ok(Config::default());
    }
    Config::read(path.unwrap_or(default))
}

/// Why netd could not start: for people, or (`--errors=json`) for who started it.
fn told(error: &ApiError) -> String {
    if std::env::args().any(|arg| arg == "--errors=json") {
        return serde_json::to_string(error).unwrap_or_default();
    }
    let causes: String = error.causes.iter().map(|cause| format!("  caused by: {cause}\n")).collect();
    let hint = error.hint.as_ref().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
    format!("error: {}\n{causes}{hint}", error.message)
}

/// The last line of `why` may be the way out.
fn cannot_start(why: &str) -> ApiError {
    let (why, hint) = why.split_once("\nhint: ").map_or((why, None), |(why, hint)| (why, Some(hint.to_owned())));
    ApiError { hint, ..ApiError::new(ErrorKind::System, "cannot start netd").caused_by(why) }
}

/// netd's `main`.
pub fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Parsed::Run(options)) => *options,
        Ok(Parsed::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprint!("{}", told(&error));
            return ExitCode::from(125);
        }
    };
    // Before any thread exists.
    let ready = match options.daemon.then(daemonize).transpose() {
        Ok(ready) => ready.unwrap_or_else(Ready::nobody),
        Err(errno) => {
            eprintln!("error: cannot go to the background: {} ({errno:?})", errno.desc().to_lowercase());
            return ExitCode::from(125);
        }
    };
    serve(options, ready)
}

fn serve(options: Options, ready: Ready) -> ExitCode {
    let log = match open_folders(&options) {
        Ok(log) => log,
        Err(why) => {
            ready.fail(&told(&cannot_start(&why)));
            return ExitCode::from(125);
        }
    };
    let witness = log.clone();
    std::panic::set_hook(Box::new(move |panic| witness.line(format!("bug: {panic}"))));
    match run(&options, &log, ready) {
        Ok(()) => ExitCode::SUCCESS,
        Err((ready, why)) => {
            log.line(format!("cannot start: {why}"));
            if let Some(ready) = ready {
                ready.fail(&told(&cannot_start(&why)));
            }
            ExitCode::from(125)
        }
    }
}

fn open_folders(options: &Options) -> Result<Log, String> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    for dir in [&options.run, &options.root.join("netd")] {
        builder.create(dir).map_err(|error| format!("create folder `{}`: {}", dir.display(), why(&error)))?;
    }
    let path = options.run.join(netd_api::LOG_NAME);
    Log::open(&path).map_err(|error| format!("open log `{}`: {}", path.display(), why(&error)))
}

/// `permission denied (EACCES)`.
pub(crate) fn why(error: &std::io::Error) -> String {
    error
        .raw_os_error()
        .map(Errno::from_raw)
        .map_or_else(|| error.to_string(), |errno| format!("{} ({errno:?})", errno.desc().to_lowercase()))
}

type Failed = (Option<Ready>, String);

fn run(options: &Options, log: &Log, ready: Ready) -> Result<(), Failed> {
    let lock = match lock_or_find(options) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            // Somebody else was faster; what was wanted is there.
            ready.say();
            return Ok(());
        }
        Err(why) => return Err((Some(ready), why)),
    };
    let claim = match super::claim::claim() {
        Ok(claim) => claim,
        Err(why) => return Err((Some(ready), why)),
    };
    let (sender, inbox) = channel();
    let started = start(options, log, sender.clone());
    let mut daemon = match started {
        Ok(daemon) => daemon,
        Err(error) => return Err((Some(ready), chain(&*error))),
    };
    let listener = match server::bind(&options.run) {
        Ok(listener) => listener,
        Err(why) => return Err((Some(ready), why)),
    };
    log.line(format!("netd {} ready, pid {}", env!("CARGO_PKG_VERSION"), std::process::id()));
    if options.daemon
        && let Err(error) = ready.detach()
    {
        return Err((Some(ready), format!("leave the terminal: {}", why(&error))));
    }
    server::accept_forever(listener, sender, daemon.cluster(), log.clone());
    ready.say();
    daemon.work(&inbox, TICK);
    server::unbind(&options.run);
    drop(daemon);
    drop((claim, lock));
    Ok(())
}

/// Locks the pid file; nothing, if another netd has it and answers. One that is just ending, or just starting, gets time.
fn lock_or_find(options: &Options) -> Result<Option<Flock<File>>, String> {
    let path = options.run.join(netd_api::PID_NAME);
    for _ in 0..TRIES {
        match lock_pid_file(&path) {
            Ok(Some(lock)) => return Ok(Some(lock)),
            Ok(None) if server::answers(&options.run) => return Ok(None),
            Ok(None) => std::thread::sleep(BETWEEN_TRIES),
            Err(error) => return Err(format!("lock `{}`: {}", path.display(), why(&error))),
        }
    }
    Err(format!("another netd has locked `{}`, but does not answer", path.display()))
}

fn start(options: &Options, log: &Log, sender: std::sync::mpsc::Sender<Input>) -> Result<Daemon, Box<dyn Error>> {
    let stock = Netns::stock()?;
    let store = Embedded::open(&options.root.join("netd/netd.redb"))?;
    let plain = std::env::var_os("NETD_PLAIN_TABLES").is_some();
    let kernel = Kernel::open(plain, Failpoint::from_env())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(512 << 10)
        .thread_name("netd-async")
        .enable_all()
        .build()?;
    let upstreams = options.config.dns.servers.iter().map(|ip| SocketAddr::new(*ip, 53)).collect();
    let events = sender.clone();
    watch(&runtime, move |event| events.send(Input::Kernel(event)).is_ok())?;
    let dns = {
        let _inside = runtime.enter();
        Dns::new(crate::dns::DnsConfig { upstreams, resolv_conf: "/etc/resolv.conf".into() })
    };
    let mut daemon =
        Daemon::new(options.config.clone(), Box::new(store), kernel, stock, dns, runtime, sender, log.clone());
    daemon.adopt()?;
    daemon.join_cluster();
    Ok(daemon)
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text.push_str(&format!(": {cause}"));
        at = cause.source();
    }
    text
}
