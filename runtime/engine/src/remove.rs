//! Removing containers, and ending by force what does not answer.

use crate::bundle::CgroupKind;
use crate::cgroup;
use crate::config::{Config, MountKind};
use crate::dirs::Dirs;
use crate::instance::Instance;
use crate::net::release;
use crate::store::Container;
use netd_api::ContainerId;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_shim::cleanup;
use rcr_shim::config::{CgroupPaths, RemovePaths};
use rcr_shim::process::ProcessId;
use rcr_shim::state::State;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// What `--rm` removes: the name first.
pub fn removal(dirs: &Dirs, config: &Config) -> RemovePaths {
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
        return Err(Error::new(
            Kind::Conflict,
            format!("cannot remove container `{}`: it is {}", config.name, state.status.name()),
        )
        .hint(format!("stop it with `rcr stop {0}`, or remove it with `rcr rm -f {0}`", config.name)));
    }
    release(&instance.dirs, &config.id)?;
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
