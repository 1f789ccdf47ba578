//! How a container starts, as named steps with an undo stack.

pub mod facts;
mod joins;
pub mod log;
pub mod network;

use crate::boot;
use crate::bundle::{self, Facts};
use crate::cdi;
use crate::config::{Config, HealthCheck};
use crate::dirs::{Dirs, private_folder, shared_folder};
use crate::events::subjects;
use crate::instance::Instance;
use crate::monitor::{Attached, refuse_paused};
use crate::mountpoints;
use crate::net::release;
use crate::program::{self, Program};
use crate::remove::removal;
use crate::snapshot;
use crate::spawn;
use crate::undo::Undo;
use crate::volumes;
use crate::{cgroup, files};
use joins::joins;
use netd_api::{Call, SandboxInfo};
use network::{Ground, Pending, release_own};
use oci_spec::runtime::LinuxResources;
use rcr_base::{Doing, Error, Kind, Outcome, command, timings};
use rcr_base::{recv_frame, send_frame};
use rcr_shim::cleanup;
use rcr_shim::config::{Answer, CgroupPaths, ShimConfig, StartFailure};
use rcr_shim::health::HealthPlan;
use rcr_shim::init::plan::InitPlan;
use rcr_shim::protocol::SOCKET_NAME;
use std::fs;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Whether the caller stays connected.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attach {
    /// The caller gets the container's streams.
    pub wanted: bool,
    /// Rows and columns of the user's terminal, for a container that has one.
    pub terminal_size: Option<(u16, u16)>,
}

/// A started container.
#[derive(Default)]
pub struct Started {
    /// The attached connection, if one was asked for.
    pub attached: Option<Attached>,
    /// Firewalls of others that cut its networks off.
    pub obstacles: Vec<netd_api::Obstacle>,
}

/// Starts a container: state folder, plan, cgroup, network, files, shim. A failure leaves nothing behind.
pub fn start(instance: &Instance, config: &Config, attach: Attach) -> Outcome<Started> {
    let mut undo = Undo::default();
    let doing = || format!("cannot start container `{}`", config.name);
    if attach.wanted {
        subjects::container(&instance.dirs, config).note("attach");
    }
    match start_steps(instance, config, attach, &mut undo) {
        Ok(started) => Ok(started),
        Err(failure) => Err(undo.run(failure.during(doing()))),
    }
}

/// Starts a container by name, detached. A running one is left alone, as with Docker.
pub fn start_named(instance: &Instance, name: &str) -> Outcome<Started> {
    let container = instance.containers().find(name)?;
    refuse_paused(&container, "start")?;
    if container.state.status.is_alive() {
        return Ok(Started::default());
    }
    // What a killed shim has left of its network, and of its processes if it shared another's.
    release(&instance.dirs, &container.config.id)?;
    cleanup::kill_all(&cgroup::paths(&cgroup::kind()?, &container.config));
    start(instance, &container.config, Attach::default())
}

/// The same for a container that was just stopped to be started again (`stop::stop_to_restart`).
pub fn start_again(instance: &Instance, name: &str) -> Outcome<Started> {
    let started = start_named(instance, name)?;
    let container = instance.containers().find(name)?;
    subjects::container(&instance.dirs, &container.config).note("restart");
    Ok(started)
}

/// Starts a container by name and connects with it: one that runs is refused. `stdin`: its input is ours. The config is
/// for [`network::release_own`] at its end.
pub fn start_attached(
    instance: &Instance,
    name: &str,
    size: Option<(u16, u16)>,
    stdin: bool,
) -> Outcome<(Config, Started)> {
    let mut container = instance.containers().find(name)?;
    if container.state.status.is_alive() {
        let name = &container.config.name;
        return Err(Error::new(Kind::Conflict, format!("container `{name}` runs already"))
            .hint(format!("connect to it with {}", command::attach(name))));
    }
    container.config.process.stdin_once &= stdin;
    let attach = Attach { wanted: true, terminal_size: size };
    let mut started = start(instance, &container.config, attach)?;
    if let Some(attached) = &mut started.attached {
        attached.stdin &= stdin;
    }
    Ok((container.config, started))
}

/// What the child does, and its limits.
fn planned(instance: &Instance, config: &Config, mut facts: Facts) -> Outcome<(InitPlan, LinuxResources)> {
    let (mut equipped, nodes) = cdi::applied(&instance.config.devices.specs, config)?;
    volumes::find_servers(&mut equipped)?;
    facts.devices.extend(nodes);
    let spec = bundle::spec::spec(&equipped, &facts).map_err(refused)?;
    let plan = bundle::plan::init_plan(&spec, &equipped, &facts).map_err(refused)?;
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().clone()).unwrap_or_default();
    Ok((plan, resources))
}

fn start_steps<'a>(
    instance: &'a Instance,
    config: &'a Config,
    attach: Attach,
    undo: &mut Undo<'a>,
) -> Outcome<Started> {
    let dirs = &instance.dirs;
    let run_dir = dirs.container_run(&config.id);
    let ground = Ground::find(instance, config)?;
    // Until the state says that it runs: a copy uses its files while it is stopped.
    let _lock = snapshot::lock(dirs, config)?;
    // netd works on the network while we do all that it need not wait for.
    let shared = matches!(ground, Ground::Joined { .. });
    let (files_dir, host_network) = (ground.files_dir(dirs, config), ground.is_host(config));
    let request = Pending::request(instance, config, ground)?;
    undo.push(|| release_own(instance, config));
    timings::mark("has asked netd");
    mountpoints::ensure(dirs)?;
    prepare_folders(dirs, config)?;
    boot::started(dirs, config)?;
    timings::mark("has the container's folders");
    undo.push(|| {
        // The state stays; the files of this start go.
        for name in ["hosts", "resolv.conf", "hostname", SOCKET_NAME] {
            let _ = fs::remove_file(dirs.container_run(&config.id).join(name));
        }
        Ok(())
    });
    let facts = facts::facts(dirs, config, files_dir, host_network)?;
    let cgroups = facts.cgroup.clone();
    let (mut plan, resources) = planned(instance, config, facts)?;
    plan.process.terminal_size = attach.terminal_size;
    timings::mark("has the plan");
    let paths = cgroup::create(&cgroups, config, &resources)?;
    timings::mark("has made the cgroups");
    let copy = paths.clone();
    undo.push(move || {
        cleanup::remove_cgroups(&copy, cleanup::CGROUP_PATIENCE);
        Ok(())
    });
    let (control, shim) = spawn::shim("container")?;
    timings::mark("has started the shim's program");
    let mut network = request.finish(config)?;
    timings::mark("has netd's answer");
    if !shared {
        let links = links(instance, config, network.sandbox.as_ref())?;
        files::write(config, network.sandbox.as_ref(), &links, &run_dir)?;
    }
    let shim_config = shim_config(instance, config, plan, paths)?;
    await_start(&control, &shim_config, network.netns.take())?;
    let silent =
        |e: rcr_base::FrameError| Error::new(Kind::Unavailable, "the shim does not answer").caused_by(e.to_string());
    let held = network.hold(dirs, config).and_then(|()| send_frame(&control, &attach.wanted, &[]).map_err(silent));
    if let Err(failure) = held {
        // Without our word the container ends; only then may its network and cgroup be undone.
        drop(control);
        await_shim(shim);
        return Err(failure);
    }
    timings::mark("has handed the network over");
    let obstacles = network.sandbox.take().map(|sandbox| sandbox.obstacles).unwrap_or_default();
    let attached = attach.wanted.then(|| Attached::new(control, &config.process, true));
    Ok(Started { attached, obstacles })
}

/// The shim's orders.
fn shim_config(instance: &Instance, config: &Config, plan: InitPlan, cgroup: CgroupPaths) -> Outcome<ShimConfig> {
    let dirs = &instance.dirs;
    Ok(ShimConfig {
        health: config.health.as_ref().map(|check| health(config, check)).transpose()?,
        plan,
        run_dir: dirs.container_run(&config.id),
        // What goes with its end need not outlive a reboot.
        keep_dir: (!config.auto_remove).then(|| dirs.container(&config.id)),
        stdin: config.process.stdin,
        stdin_once: config.process.stdin_once,
        log: log::orders(instance, config)?,
        restart: config.restart,
        cgroup,
        remove: config.auto_remove.then(|| removal(dirs, config)),
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        joins: joins(instance, config)?,
        noted: Some(subjects::noted(dirs, config)),
        timings: timings::are_kept(),
    })
}

/// The shim's orders about the health check.
fn health(config: &Config, check: &HealthCheck) -> Outcome<HealthPlan> {
    let program = Program { command: check.command(), ..Program::default() };
    Ok(HealthPlan { process: program::plan(config, &program, config.process.env.clone())?, schedule: check.schedule })
}

/// Waits for our shim to end, and kills it after a while.
fn await_shim(pid: i32) {
    const PATIENCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let Some(pidfd) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return };
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    if !rustix::event::poll(&mut fds, Some(&PATIENCE)).is_ok_and(|ready| ready == 1) {
        // Its child dies with it (PR_SET_PDEATHSIG).
        let _ = rcr_shim::sys::signal::send(pidfd.as_fd(), libc::SIGKILL);
        let _ = rustix::event::poll(&mut fds, Some(&PATIENCE));
    }
}

/// `--link`: the addresses of other containers on networks that this one is on, too.
fn links(instance: &Instance, config: &Config, own: Option<&SandboxInfo>) -> Outcome<Vec<(IpAddr, String)>> {
    let mut all = Vec::new();
    for (id, name) in &config.links {
        let other = instance.containers().find(id)?.config;
        let doing = || format!("cannot link to container `{}`", other.name);
        let call = Call::SandboxInspect { id: other.id.clone() };
        let (sandbox, _) = instance
            .netd()?
            .sandbox(call)
            .map_err(|failure| failure.during(doing()).hint(format!("it must run: {}", command::start(&other.name))))?;
        let mine: Vec<_> = own.iter().flat_map(|s| &s.attachments).map(|a| &a.network_id).collect();
        let shared = sandbox.attachments.iter().filter(|a| mine.contains(&&a.network_id));
        let before = all.len();
        for address in shared.flat_map(|a| &a.addresses) {
            all.push((address.addr(), name.clone()));
            all.extend((other.name != *name).then(|| (address.addr(), other.name.clone())));
        }
        if all.len() == before {
            return Err(Error::new(Kind::Invalid, doing()).caused_by("they share no network"));
        }
    }
    Ok(all)
}

fn refused(error: bundle::BundleError) -> Error {
    Error::new(Kind::Invalid, error.to_string())
}

/// The container's folders. Those of its snapshot outlive stops; each start makes the others again.
fn prepare_folders(dirs: &Dirs, config: &Config) -> Outcome<()> {
    let (root, run) = (dirs.container(&config.id), dirs.container_run(&config.id));
    let making = |folder: &Path| format!("cannot create `{}`", folder.display());
    for folder in [&root, &run] {
        shared_folder(folder).doing(|| making(folder))?;
    }
    let rootfs = run.join("rootfs");
    private_folder(&rootfs).doing(|| making(&rootfs))?;
    if config.auto_remove {
        private_folder(&dirs.removed()).doing(|| making(&dirs.removed()))?;
    }
    snapshot::folders(dirs, config).map(drop)
}

fn await_start(control: &UnixStream, config: &ShimConfig, netns: Option<OwnedFd>) -> Outcome<()> {
    let fds: Vec<_> = netns.iter().map(|fd| fd.as_fd()).collect();
    let silent =
        |e: rcr_base::FrameError| Error::new(Kind::Unavailable, "the shim does not answer").caused_by(e.to_string());
    send_frame(control, config, &fds).map_err(silent)?;
    match recv_frame::<Answer>(control).map_err(silent)?.0 {
        Answer::Started { timings, .. } => {
            timings::add(timings);
            timings::mark("hears that the program runs");
            Ok(())
        }
        Answer::Failed(failure) => Err(start_failure(failure)),
        Answer::Exited { code } => Err(Error::new(Kind::System, format!("the shim ended with {code}"))),
    }
}

/// A failed start in words, with Docker's exit codes.
pub fn start_failure(failure: StartFailure) -> Error {
    let StartFailure { doing, errno, execute, lookup, other_gone } = failure;
    let error = Error::errno(doing, errno);
    if other_gone {
        return error.kind(Kind::Conflict);
    }
    if lookup {
        return error.kind(Kind::Invalid).hint("name a user and a group that the image has, or use numbers");
    }
    if !execute {
        return match errno {
            libc::ENODEV => {
                error.hint("the kernel has no such file system: load its module, or install a kernel that has it")
            }
            _ => error,
        };
    }
    match errno {
        libc::ENOENT => error
            .kind(Kind::CommandNotFound)
            .hint("the command, or the interpreter or loader it names, is not in the image"),
        libc::EACCES => error.kind(Kind::CannotExecute).hint("the command is not an executable file in the image"),
        libc::ENOEXEC => error
            .kind(Kind::CannotExecute)
            .hint("the command is not a program for this machine, or a script without `#!`"),
        _ => error.kind(Kind::CannotExecute),
    }
}
