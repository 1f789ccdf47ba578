//! How a container starts, as named steps with an undo stack, and how it ends.

use super::boot;
use super::config::{Config, MountKind};
use super::network::{Ground, Pending, release_own};
use super::spawn;
use super::store::{Container, Containers, Dirs, private_folder, shared_folder};
use crate::bundle::{self, CgroupKind, Device, Facts};
use crate::net::Netd;
use crate::report::{Doing, EXIT_CANNOT_EXECUTE, EXIT_NOT_FOUND, Failure, Outcome, errno_text};
use crate::{cgroup, files};
use netd_api::{Call, ContainerId, SandboxInfo};
use rcr_base::{recv_frame, send_frame};
use rcr_shim::cleanup;
use rcr_shim::config::{Answer, CgroupPaths, LogConfig, RemovePaths, ShimConfig, StartFailure};
use rcr_shim::process::ProcessId;
use rcr_shim::protocol::SOCKET_NAME;
use rcr_shim::state::State;
use std::fs;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What the lifecycle needs to know of this instance.
#[derive(Debug, Clone)]
pub struct Instance {
    pub dirs: Dirs,
    /// The config file given on the command line.
    pub config_file: Option<PathBuf>,
    pub config: rcr_base::Config,
}

impl Instance {
    pub fn containers(&self) -> Containers<'_> {
        Containers { dirs: &self.dirs }
    }

    /// netd, started if need be.
    pub fn netd(&self) -> Outcome<Netd> {
        Netd::connect(&self.dirs, self.config_file.as_deref())
    }
}

/// Who wants to be connected with the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attach {
    pub wanted: bool,
    /// Rows and columns of the user's terminal, for a container that has one.
    pub terminal_size: Option<(u16, u16)>,
}

/// A started container.
pub struct Started {
    /// The attached connection, if one was asked for.
    pub attached: Option<UnixStream>,
    /// Firewalls of others that cut its networks off.
    pub obstacles: Vec<netd_api::Obstacle>,
}

/// What is undone, last first, when a later step fails.
#[derive(Default)]
struct Undo<'a> {
    steps: Vec<Box<dyn FnOnce() -> Outcome<()> + 'a>>,
}

impl<'a> Undo<'a> {
    fn push(&mut self, step: impl FnOnce() -> Outcome<()> + 'a) {
        self.steps.push(Box::new(step));
    }

    /// Runs all steps; what fails is told with the failure that brought us here.
    fn run(self, failure: Failure) -> Failure {
        let left: Vec<String> = self
            .steps
            .into_iter()
            .rev()
            .filter_map(|step| step().err())
            .map(|e| e.text().trim_end().to_owned())
            .collect();
        failure.leaving(left)
    }
}

/// Starts a container: state folder, plan, cgroup, network, files, shim. Nothing is left behind by a failure.
pub fn start(instance: &Instance, config: &Config, attach: Attach) -> Outcome<Started> {
    let mut undo = Undo::default();
    let doing = || format!("cannot start container `{}`", config.name);
    match start_steps(instance, config, attach, &mut undo) {
        Ok(started) => Ok(started),
        Err(failure) => Err(undo.run(failure.during(doing()))),
    }
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
    prepare_folders(dirs, config)?;
    boot::started(dirs, config)?;
    undo.push(|| {
        // The state stays; what was made for this start goes.
        for name in ["hosts", "resolv.conf", "hostname", SOCKET_NAME] {
            let _ = fs::remove_file(dirs.container_run(&config.id).join(name));
        }
        Ok(())
    });
    let facts = facts(dirs, config, &ground)?;
    let spec = bundle::spec::spec(config, &facts).map_err(refused)?;
    let mut plan = bundle::plan::init_plan(&spec, config, &facts).map_err(refused)?;
    plan.process.terminal_size = attach.terminal_size;
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().clone()).unwrap_or_default();
    // netd works on the network while we make the cgroup and start the shim's program.
    let shared = matches!(ground, Ground::Joined { .. });
    let request = Pending::request(instance, config, ground)?;
    undo.push(|| release_own(instance, config));
    let paths = cgroup::create(&facts.cgroup, &config.id, &resources)?;
    let copy = paths.clone();
    undo.push(move || {
        cleanup::remove_cgroups(&copy);
        Ok(())
    });
    let (control, shim) = spawn::shim("container")?;
    let mut network = request.finish(config)?;
    if !shared {
        let links = links(instance, config, network.sandbox.as_ref())?;
        files::write(config, network.sandbox.as_ref(), &links, &run_dir)?;
    }
    let shim_config = ShimConfig {
        plan,
        run_dir: run_dir.clone(),
        keep_dir: dirs.container(&config.id),
        stdin: config.process.stdin,
        stdin_once: config.process.stdin_once,
        log: LogConfig {
            path: dirs.log(&config.id),
            max_size: instance.config.log.max_size,
            max_files: instance.config.log.max_files,
        },
        restart: config.restart,
        cgroup: paths,
        remove: config.auto_remove.then(|| removal(dirs, config)),
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
    };
    await_start(&control, &shim_config, network.netns.take())?;
    let silent = |e: rcr_base::FrameError| Failure::new("the shim does not answer").because(e.to_string());
    let held = network.hold(dirs, config).and_then(|()| send_frame(&control, &attach.wanted, &[]).map_err(silent));
    if let Err(failure) = held {
        // Without our word the container ends; only then may what it stands on be undone.
        drop(control);
        await_shim(shim);
        return Err(failure);
    }
    let obstacles = network.sandbox.take().map(|sandbox| sandbox.obstacles).unwrap_or_default();
    Ok(Started { attached: attach.wanted.then_some(control), obstacles })
}

/// Waits for a shim of ours to end, and makes it after a while.
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
            .map_err(|failure| failure.during(doing()).hint(format!("it must run: `rcr start {}`", other.name)))?;
        let mine: Vec<_> = own.iter().flat_map(|s| &s.attachments).map(|a| &a.network_id).collect();
        let shared = sandbox.attachments.iter().filter(|a| mine.contains(&&a.network_id));
        let before = all.len();
        for address in shared.flat_map(|a| &a.addresses) {
            all.push((address.addr(), name.clone()));
            all.extend((other.name != *name).then(|| (address.addr(), other.name.clone())));
        }
        if all.len() == before {
            return Err(Failure::new(doing()).because("the two are on no network together"));
        }
    }
    Ok(all)
}

fn refused(error: bundle::BundleError) -> Failure {
    Failure::new(error.to_string())
}

/// The container's folders. Those that a snapshot needs outlive stops; the others are made anew by every start.
fn prepare_folders(dirs: &Dirs, config: &Config) -> Outcome<()> {
    let (root, run) = (dirs.container(&config.id), dirs.container_run(&config.id));
    let making = |folder: &Path| format!("cannot create `{}`", folder.display());
    for folder in [root.join("log"), run.clone()] {
        shared_folder(&folder).doing(|| making(&folder))?;
    }
    // Below a folder of root's own: what a container's root makes setuid is nobody's to find.
    let all = [root.join("snapshot/upper"), root.join("snapshot/work"), run.join("rootfs")];
    for folder in &all {
        private_folder(folder).doing(|| making(folder))?;
    }
    // The upper folder's mode is the container's own root's: everybody in it must be able to look.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&all[0], mode).doing(|| format!("cannot open up `{}`", all[0].display()))
}

fn facts(dirs: &Dirs, config: &Config, ground: &Ground) -> Outcome<Facts> {
    let bound_files = config.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Bind { source, .. } => Some(source),
        _ => None,
    });
    let privileged = config.security.privileged;
    Ok(Facts {
        container_dir: dirs.container(&config.id),
        run_dir: dirs.container_run(&config.id),
        cgroup: cgroup::kind()?,
        capabilities: own_capabilities()?,
        devices: if privileged { host_devices(Path::new("/dev")) } else { given_devices(config)? },
        bound_files: bound_files.filter(|source| !source.is_dir()).cloned().collect(),
        init_program: spawn::shim_program(),
        files_dir: ground.files_dir(dirs, config),
        host_network: ground.is_host(config),
    })
}

fn own_capabilities() -> Outcome<u64> {
    let set = caps::read(None, caps::CapSet::Bounding)
        .map_err(|e| Failure::new("cannot read this process's capabilities").because(e.to_string()))?;
    Ok(set.into_iter().map(bundle::caps::bit).sum())
}

/// The host's device nodes, for `--privileged`; those of terminals are the container's own.
fn host_devices(folder: &Path) -> Vec<Device> {
    const OWN: [&str; 4] = ["pts", "shm", "mqueue", "console"];
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if OWN.iter().any(|name| path.as_path() == Path::new("/dev").join(name)) {
            continue;
        }
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            all.extend(host_devices(&path));
        } else {
            all.extend(device(&path, &meta, "rwm"));
        }
    }
    all
}

/// A device node of the host as `inside` in the container, if `meta` is one's.
fn device(inside: &Path, meta: &fs::Metadata, access: &str) -> Option<Device> {
    let kind = meta.file_type();
    let is_device = kind.is_char_device() || kind.is_block_device();
    is_device.then(|| Device {
        block: kind.is_block_device(),
        major: rustix::fs::major(meta.rdev()),
        minor: rustix::fs::minor(meta.rdev()),
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        path: inside.to_owned(),
        access: access.to_owned(),
    })
}

/// What `--device` gives: numbers are looked up at every start, since a host may give others after a boot.
fn given_devices(config: &Config) -> Outcome<Vec<Device>> {
    let mut all = Vec::new();
    for wanted in &config.devices {
        let host = &wanted.host;
        let doing = || format!("cannot give the device `{}`", host.display());
        let meta = fs::metadata(host).doing(doing)?;
        if !meta.is_dir() {
            let found = device(&wanted.container, &meta, &wanted.access);
            all.push(found.ok_or_else(|| {
                Failure::new(doing()).because("it is not a device").hint("`-v` binds files and folders")
            })?);
            continue;
        }
        let below = host_devices(host);
        if below.is_empty() {
            return Err(Failure::new(doing()).because("no device lies in this folder"));
        }
        for mut device in below {
            let inside = device.path.strip_prefix(host).map(|rest| wanted.container.join(rest));
            device.path = inside.unwrap_or_else(|_| device.path.clone());
            device.access.clone_from(&wanted.access);
            all.push(device);
        }
    }
    Ok(all)
}

/// Releases a container's network; no netd, nothing to release.
pub fn release(instance: &Instance, id: &ContainerId) -> Outcome<()> {
    match Netd::connect_running(&instance.dirs) {
        Some(mut netd) => netd.call(Call::SandboxRelease { id: id.clone() }).map(drop),
        None => Ok(()),
    }
}

fn await_start(control: &UnixStream, config: &ShimConfig, netns: Option<OwnedFd>) -> Outcome<i32> {
    let fds: Vec<_> = netns.iter().map(|fd| fd.as_fd()).collect();
    let silent = |e: rcr_base::FrameError| Failure::new("the shim does not answer").because(e.to_string());
    send_frame(control, config, &fds).map_err(silent)?;
    match recv_frame::<Answer>(control).map_err(silent)?.0 {
        Answer::Started { pid } => Ok(pid),
        Answer::Failed(failure) => Err(start_failure(failure)),
        Answer::Exited { code } => Err(Failure::new(format!("the shim ended with {code}"))),
    }
}

/// A failed start in words, with Docker's exit codes.
pub fn start_failure(failure: StartFailure) -> Failure {
    let StartFailure { doing, errno, execute, lookup } = failure;
    let error = Failure::new(doing).because(errno_text(errno));
    if lookup {
        return error.hint("name a user and a group that the image has, or use numbers");
    }
    if !execute {
        return error;
    }
    match errno {
        libc::ENOENT => {
            error.code(EXIT_NOT_FOUND).hint("the command, or the interpreter or loader it names, is not in the image")
        }
        libc::EACCES => error.code(EXIT_CANNOT_EXECUTE).hint("the command is not an executable file in the image"),
        libc::ENOEXEC => error
            .code(EXIT_CANNOT_EXECUTE)
            .hint("the command is not a program for this machine, or a script without `#!`"),
        _ => error.code(EXIT_CANNOT_EXECUTE),
    }
}

/// What `--rm` removes: the name first.
fn removal(dirs: &Dirs, config: &Config) -> RemovePaths {
    let mut folders = anonymous_volumes(dirs, config);
    folders.extend([dirs.container(&config.id), dirs.container_run(&config.id)]);
    RemovePaths { files: vec![dirs.names().join(&config.name)], folders }
}

fn anonymous_volumes(dirs: &Dirs, config: &Config) -> Vec<PathBuf> {
    let names = config.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { name, anonymous: true, .. } => Some(dirs.volumes().join(name)),
        _ => None,
    });
    names.collect()
}

/// Removes a container that does not run, with its network's leftovers, cgroup and files. `volumes`: the anonymous ones, too.
pub fn remove(instance: &Instance, container: &Container, volumes: bool) -> Outcome<()> {
    let Container { config, state } = container;
    if state.status.is_alive() {
        return Err(Failure::new(format!("cannot remove container `{}`: it is {}", config.name, state.status.name()))
            .hint(format!("stop it with `rcr stop {0}`, or remove it with `rcr rm -f {0}`", config.name)));
    }
    release(instance, &config.id)?;
    cleanup_cgroup(&config.id)?;
    if volumes {
        forget_anonymous_volumes(&instance.dirs, config)?;
    }
    instance.containers().remove(config)
}

/// Removes the volumes that nobody gave a name.
pub fn forget_anonymous_volumes(dirs: &Dirs, config: &Config) -> Outcome<()> {
    anonymous_volumes(dirs, config).iter().try_for_each(|folder| {
        cleanup::remove_folder(folder).doing(|| format!("cannot remove the volume `{}`", folder.display()))
    })
}

/// The cgroup of a container whose shim could not remove it.
fn cleanup_cgroup(id: &ContainerId) -> Outcome<()> {
    let paths: CgroupPaths = cgroup::paths(&cgroup::kind().unwrap_or(CgroupKind::Unified), id);
    if paths.legacy.iter().chain(&paths.unified).any(|folder| folder.exists()) {
        cleanup::remove_cgroups(&paths);
    }
    Ok(())
}

/// Kills a running container's init and its shim, and waits for both: the last resort, for a shim that does not answer.
pub fn kill_by_force(state: &State) -> bool {
    let mut gone = true;
    for process in [state.init, state.shim].into_iter().flatten() {
        gone &= kill_and_wait(&process);
    }
    gone
}

fn kill_and_wait(process: &ProcessId) -> bool {
    let Some(pidfd) = process.open() else { return true };
    if rcr_shim::sys::signal::send(pidfd.as_fd(), libc::SIGKILL) == Err(nix::errno::Errno::EPERM) {
        return false;
    }
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready == 1)
}
