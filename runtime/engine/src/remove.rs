//! Removing containers, and ending by force what does not answer.

use crate::bundle::CgroupKind;
use crate::cgroup;
use crate::config::{Config, MountKind};
use crate::dirs::{Dirs, private_folder};
use crate::events::subjects;
use crate::force::kill_by_force;
use crate::instance::Instance;
use crate::net::release;
use crate::parse::filter::PruneFilter;
use crate::size;
use crate::stop::{Stop, end_one, read_state};
use crate::store::Container;
use jiff::Timestamp;
use netd_api::ContainerId;
use rcr_base::events::Object;
use rcr_base::{Doing, Error, Kind, Outcome, command};
use rcr_shim::cleanup;
use rcr_shim::config::{CgroupPaths, RemovePaths};
use rcr_shim::state::State;
use std::path::PathBuf;
use std::time::Duration;

/// How long the last process of a container being removed may take to die: in the middle of a system call it first
/// finishes that call.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// What `--rm` removes: the name comes first.
pub fn removal(dirs: &Dirs, config: &Config) -> RemovePaths {
    let folders = anonymous_volumes(dirs, config).into_iter().chain(folders(dirs, config)).collect();
    RemovePaths { files: vec![dirs.names().join(&config.name)], folders, aside: Some(dirs.removed()) }
}

fn folders(dirs: &Dirs, config: &Config) -> Vec<PathBuf> {
    vec![dirs.container(&config.id), dirs.container_run(&config.id)]
}

fn anonymous_volumes(dirs: &Dirs, config: &Config) -> Vec<PathBuf> {
    let names = config.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { name, anonymous: true, .. } => Some(dirs.volumes().join(name)),
        _ => None,
    });
    names.collect()
}

/// How a container is to be removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Remove {
    /// Kill it first if it runs.
    pub force: bool,
    /// Remove its anonymous volumes, too.
    pub volumes: bool,
}

/// Removes a container by name.
pub fn remove_named(instance: &Instance, name: &str, how: Remove) -> Outcome<()> {
    let mut container = instance.containers().find(name)?;
    if how.force && container.state.status.is_alive() {
        let config = &container.config;
        let remove = by_shim(&instance.dirs, config, how);
        let stopped = end_one(instance, &container, Stop { signal: Some(libc::SIGKILL), timeout: Some(0) }, remove);
        if stopped.is_err() && !kill_by_force(&container.state) {
            stopped?;
        }
        if !instance.dirs.container(&config.id).exists() {
            return Ok(());
        }
        container.state = read_state(instance, &container).unwrap_or_else(State::created);
    }
    remove(instance, &container, how.volumes)
}

/// What the shim is told to remove with the end: its room is given back when we are gone. One with `--rm` knows;
/// volumes are ours to look at.
fn by_shim(dirs: &Dirs, config: &Config, how: Remove) -> Option<RemovePaths> {
    let ours = config.auto_remove || how.volumes;
    let ready = !ours && private_folder(&dirs.removed()).is_ok();
    ready.then(|| RemovePaths { folders: folders(dirs, config), ..removal(dirs, config) })
}

/// Removes all stopped containers that the filters let go; `removed` is called for each with the bytes that it took.
pub fn prune(instance: &Instance, filters: &[PruneFilter], mut removed: impl FnMut(&ContainerId, u64)) -> Outcome<()> {
    empty_removed(&instance.dirs);
    let mut reclaimed = 0;
    for container in instance.containers().list()? {
        let config = &container.config;
        let created = config.created.parse::<Timestamp>().map_or(0, Timestamp::as_second);
        if !container.state.status.is_alive() && PruneFilter::all_fit(filters, created, &config.labels) {
            let size = size::folder(&instance.dirs.container(&config.id).join("snapshot/upper"));
            remove(instance, &container, false)?;
            removed(&config.id, size);
            reclaimed += size;
        }
    }
    subjects::pruned(&instance.dirs, Object::Container, reclaimed);
    Ok(())
}

/// Removes what a killed shim has set aside and not removed. One that is at it minds nobody's help.
pub(crate) fn empty_removed(dirs: &Dirs) {
    for entry in std::fs::read_dir(dirs.removed()).into_iter().flatten().flatten() {
        let _ = cleanup::remove_folder(&entry.path());
    }
}

/// Removes a container that does not run, with its network's leftovers, cgroup and files. `volumes`: the anonymous
/// ones, too.
pub fn remove(instance: &Instance, container: &Container, volumes: bool) -> Outcome<()> {
    let Container { config, state } = container;
    if state.status.is_alive() {
        return Err(Error::new(
            Kind::Conflict,
            format!("cannot remove container `{}`: it is {}", config.name, state.status.name()),
        )
        .hint(format!(
            "stop it with {}, or remove it with {}",
            command::stop(&config.name),
            command::rm_force(&config.name)
        )));
    }
    release(&instance.dirs, &config.id)?;
    cleanup_cgroup(config)?;
    if volumes {
        forget_anonymous_volumes(&instance.dirs, config)?;
    }
    instance.containers().remove(config)?;
    subjects::container(&instance.dirs, config).note("destroy");
    Ok(())
}

/// Removes the volumes without a name.
pub fn forget_anonymous_volumes(dirs: &Dirs, config: &Config) -> Outcome<()> {
    let own = anonymous_volumes(dirs, config).into_iter().filter(|folder| !folder.join(cleanup::KEPT).exists());
    own.into_iter().try_for_each(|folder| {
        let there = folder.exists();
        cleanup::remove_folder(&folder).doing(|| format!("cannot remove the volume `{}`", folder.display()))?;
        if let Some(name) = folder.file_name().and_then(|name| name.to_str()).filter(|_| there) {
            subjects::volume(dirs, name).note("destroy");
        }
        Ok(())
    })
}

/// The cgroup of a container whose shim could not remove it.
fn cleanup_cgroup(config: &Config) -> Outcome<()> {
    let paths: CgroupPaths = cgroup::paths(&cgroup::kind().unwrap_or(CgroupKind::Unified), config);
    if !paths.legacy.iter().chain(&paths.unified).any(|folder| folder.exists()) {
        return Ok(());
    }
    let left = cleanup::remove_cgroups(&paths, LAST_PATIENCE);
    if left.is_empty() {
        return Ok(());
    }
    let mut error = Error::new(Kind::System, format!("cannot remove the cgroups of container `{}`", config.id.short()))
        .caused_by("a process in them does not end: device or resource busy (EBUSY)");
    error.left_behind =
        left.iter().map(|folder| format!("cgroup `{0}` (remove it with `rmdir {0}`)", folder.display())).collect();
    Err(error)
}
