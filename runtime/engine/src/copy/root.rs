//! A container's root, as a descriptor: that of a container that runs, with all its mounts; or that of one that is
//! stopped, mounted where nobody else sees it, so that no crash leaves a mount behind.

use crate::apart::{INSIDE, apart, by_number, mount_overlay, open_folder};
use crate::config::{Config, Mount, MountKind};
use crate::dirs::{Dirs, private_folder};
use crate::instance::Instance;
use crate::mountpoints;
use crate::snapshot;
use crate::store::Container;
use nix::errno::Errno;
use rcr_base::{Doing, Error, Kind, Outcome, errno};
use rcr_shim::sys::mount::{ATTR_RDONLY, set_attr};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Does something with the root of a container. `writable`: it may be changed.
pub fn with_root<T: Send>(
    instance: &Instance,
    name: &str,
    writable: bool,
    act: impl FnOnce(BorrowedFd, &Container) -> Outcome<T> + Send,
) -> Outcome<T> {
    let container = instance.containers().find(name)?;
    if container.state.status.is_alive() && container.state.init.is_some() {
        let root = running(&container)?;
        return act(root.as_fd(), &container);
    }
    // Held for as long as we have it mounted: a start meanwhile waits.
    let _lock = snapshot::lock(&instance.dirs, &container.config)?;
    let container = instance.containers().find(container.config.id.as_str())?;
    if container.state.status.is_alive() {
        let root = running(&container)?;
        return act(root.as_fd(), &container);
    }
    apart(|| {
        let root = stopped(instance, &container.config, writable)?;
        act(root.as_fd(), &container)
    })
}

/// `/proc/PID/root` leads into the container's mounts. The process is looked at again once it is open: a reused pid
/// would be another's.
fn running(container: &Container) -> Outcome<OwnedFd> {
    let gone = || Error::new(Kind::Conflict, format!("container `{}` has just ended", container.config.name));
    let init = container.state.init.ok_or_else(gone)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(format!("/proc/{}/root", init.pid), flags, Mode::empty());
    let root =
        opened.map_err(errno).doing(|| format!("cannot open the root of container `{}`", container.config.name))?;
    if init.is_alive() { Ok(root) } else { Err(gone()) }
}

/// Mounts the container's files, as this thread alone sees them.
fn stopped(instance: &Instance, config: &Config, writable: bool) -> Outcome<OwnedFd> {
    let on = instance.dirs.container_run(&config.id).join("rootfs");
    private_folder(&on).doing(|| format!("cannot create `{}`", on.display()))?;
    let root = mount_root(&on, &instance.dirs, config, config.read_only || !writable)
        .doing(|| format!("cannot mount the root of container `{}`", config.name))?;
    for mount in &config.mounts {
        let target = &mount.target;
        let content = content(mount).doing(|| format!("cannot open what is mounted on `{target}`"))?;
        if let Some(content) = content {
            bind(root.as_fd(), &content, target, mount.read_only || !writable)
                .doing(|| format!("cannot mount `{target}` of container `{}`", config.name))?;
        }
    }
    Ok(root)
}

/// What the user mounted there, as far as it outlives the container's processes: what is in memory does not, and a
/// server's file system is mounted only for them. Images are left out: they are read-only, and lie in the store. None:
/// it is gone.
fn content(mount: &Mount) -> Result<Option<OwnedFd>, Errno> {
    let (source, below) = match &mount.kind {
        MountKind::Volume { source, subpath, memory: None, file_system: None, .. } => (source, subpath.as_deref()),
        MountKind::Bind { source, .. } => (source, None),
        _ => return Ok(None),
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = rustix::fs::open(source, flags, Mode::empty());
    let found = match below {
        // Containers write there: no link leads out.
        Some(below) => found.and_then(|top| rustix::fs::openat2(top, below, flags, Mode::empty(), INSIDE)),
        None => found,
    };
    match found.map_err(errno) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        other => other.map(Some),
    }
}

/// What the container has written over its image's layers.
fn mount_root(on: &Path, dirs: &Dirs, config: &Config, read_only: bool) -> Outcome<OwnedFd> {
    let (upper, work) = snapshot::folders(dirs, config)?;
    // Left by a run on a volatile overlay (overlayfs.rst, "Volatile mount").
    let _ = fs::remove_dir_all(work.join("work/incompat"));
    mountpoints::ensure(dirs)?;
    let layers = mountpoints::layers(dirs, config);
    let open = |path: &Path| open_folder(path).doing(|| format!("cannot open `{}`", path.display()));
    let lower = layers.iter().rev().map(|layer| open(layer)).collect::<Outcome<Vec<_>>>()?;
    let (upper, work) = (open(&upper)?, open(&work)?);
    let written = format!(",upperdir={},workdir={}", by_number(&upper), by_number(&work));
    let mut flags = MountFlags::NODEV | MountFlags::NOSUID;
    flags.set(MountFlags::RDONLY, read_only);
    mount_overlay(on, &lower, &written, flags).doing(|| "mount overlay")
}

/// Mounts something where the container has it. A target that is gone is left out: what is below it then is not there, as
/// in a container that could not start.
fn bind(root: BorrowedFd, content: &OwnedFd, target: &str, read_only: bool) -> Outcome<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let on = match rustix::fs::openat2(root, target, flags, Mode::empty(), INSIDE).map_err(errno) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        other => other.doing(|| format!("open `{target}`"))?,
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(content, c"", flags).map_err(errno).doing(|| "copy the mount")?;
    if read_only {
        set_attr(tree.as_fd(), ATTR_RDONLY, 0, false).doing(|| "make it read-only")?;
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    match rustix::mount::move_mount(&tree, c"", &on, c"", flags).map_err(errno) {
        // A file on a folder, or the other way round.
        Err(Errno::ENOTDIR) => Ok(()),
        other => other.doing(|| "mount it"),
    }
}
