//! From a process to a daemon that serves.

use super::host::Host;
use super::input::{Inbox, Input, queue};
use super::metrics::Scrapes;
use super::names::Names;
use super::parts::{Encryption, Membership};
use super::records::Networks;
use super::server;
use super::silence::Silence;
use super::state::Daemon;
use crate::dns::Dns;
use crate::errors::{chain, why};
use crate::kernel::{Failpoint, Kernel, Netns, Ready, lock_pid_file, watch};
use crate::ledger::Ledger;
use crate::log::Log;
use crate::metrics::{Metrics, serve as metrics};
use crate::store::{Embedded, Timed};
use netd_api::{ApiError, ErrorKind};
use netd_core::model::Facts;
use netd_core::ports::Registry;
use nix::fcntl::Flock;
use rcr_base::Config;
use std::error::Error;
use std::fs::{DirBuilder, File};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often the writer looks for what is due.
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

/// The last line of `why` may be the way out.
fn cannot_start(why: &str) -> ApiError {
    let (why, hint) = why.split_once("\nhint: ").map_or((why, None), |(why, hint)| (why, Some(hint.to_owned())));
    ApiError { hint, ..ApiError::new(ErrorKind::System, "cannot start netd").caused_by(why) }
}

/// Serves until it is told to end. `told` puts an error into words for the process that waits for the start; if none
/// waits, the words are returned.
pub fn serve(options: &Options, ready: Ready, told: impl Fn(&ApiError) -> String) -> Result<(), Option<String>> {
    let (ready, error) = match open_folders(options) {
        Err(error) => (Some(ready), error),
        Ok(log) => {
            let witness = log.clone();
            std::panic::set_hook(Box::new(move |panic| witness.line(format!("bug: {panic}"))));
            match run(options, &log, ready) {
                Ok(()) => return Ok(()),
                Err((ready, why)) => {
                    log.line(format!("cannot start: {why}"));
                    (ready, cannot_start(&why))
                }
            }
        }
    };
    let text = told(&error);
    Err(match ready {
        Some(ready) => ready.fail(&text),
        None => Some(text),
    })
}

fn open_folders(options: &Options) -> Result<Log, ApiError> {
    let failed = |what: String, error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::PermissionDenied => ErrorKind::Permission,
            _ => ErrorKind::System,
        };
        ApiError::new(kind, "cannot start netd").caused_by(format!("{what}: {}", why(&error)))
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    for dir in [&options.run, &options.root.join("netd")] {
        builder.create(dir).map_err(|error| failed(format!("create folder `{}`", dir.display()), error))?;
    }
    let path = options.run.join(netd_api::LOG_NAME);
    Log::open(&path).map_err(|error| failed(format!("open log `{}`", path.display()), error))
}

type Failed = (Option<Ready>, String);

fn run(options: &Options, log: &Log, ready: Ready) -> Result<(), Failed> {
    let lock = match lock_or_find(options) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            // Another netd was faster, and serves.
            ready.say();
            return Ok(());
        }
        Err(why) => return Err((Some(ready), why)),
    };
    let lock_of_netns = match super::netns_lock::lock_netns() {
        Ok(held) => held,
        Err(why) => return Err((Some(ready), why)),
    };
    let counted = Arc::new(Metrics::default());
    let (sender, inbox) = queue(counted.clone());
    let started = start(options, log, sender.clone(), counted.clone());
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
    let address = options.config.metrics.address().ok().flatten();
    if let Some(address) = &address {
        let scrapes = Scrapes::new(sender.clone(), counted.clone(), daemon.host.membership.identity.is_some());
        metrics::serve(address.clone(), log.clone(), move |form| scrapes.text(form));
    }
    server::accept_forever(listener, sender, daemon.host.cluster(), log.clone(), counted);
    ready.say();
    daemon.work(&inbox, TICK);
    server::unbind(&options.run);
    address.iter().for_each(metrics::unbind);
    drop(daemon);
    drop((lock_of_netns, lock));
    Ok(())
}

/// Locks the pid file; returns nothing if another netd has it and answers. One that is just starting or ending gets
/// some time.
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

fn start(options: &Options, log: &Log, sender: Inbox, metrics: Arc<Metrics>) -> Result<Daemon, Box<dyn Error>> {
    let stock = Netns::stock()?;
    let store = Timed::new(Embedded::open(&options.root.join("netd/netd.redb"))?, metrics.clone());
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
        Dns::new(crate::dns::DnsConfig { upstreams, resolv_conf: "/etc/resolv.conf".into() }, metrics.clone())?
    };
    end_on_signals(&runtime, sender.clone())?;
    let host = Host {
        config: options.config.clone(),
        root: options.root.clone(),
        ledger: Ledger::new(Box::new(store), kernel, log.clone()),
        names: Names::new(dns, runtime.handle().clone(), log.clone()),
        runtime,
        sender,
        log: log.clone(),
        metrics,
        networks: Networks::default(),
        ports: Registry::default(),
        base: None,
        facts: Facts::default(),
        host_bits: 0,
        membership: Membership::default(),
        encryption: Encryption::default(),
        silence: Silence::default(),
    };
    let mut daemon = Daemon::new(host, stock);
    daemon.adopt()?;
    daemon.join_cluster();
    Ok(daemon)
}

/// SIGTERM and SIGINT end netd after the input that it works on; a second signal ends it at once.
fn end_on_signals(runtime: &tokio::runtime::Runtime, sender: Inbox) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let _inside = runtime.enter();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    runtime.spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        // The writer may have ended by itself.
        let _ = sender.send(Input::End);
        // A second signal means now. The journals hold what is under way.
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        std::process::exit(128 + nix::sys::signal::Signal::SIGTERM as i32);
    });
    Ok(())
}
