//! A container's root, as a descriptor: that of a container that runs, with all its mounts; or that of one that is
//! stopped, mounted where nobody else sees it, so that no crash leaves a mount behind.

use crate::config::{Config, MountKind};
use crate::dirs::private_folder;
use crate::instance::Instance;
use crate::snapshot;
use crate::store::Container;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use rcr_base::{Doing, Error, Kind, Outcome, errno};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

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
    let work = || -> Outcome<T> {
        let root = stopped(instance, &container.config, writable)?;
        act(root.as_fd(), &container)
    };
    let thread = std::thread::scope(|scope| scope.spawn(work).join());
    thread.unwrap_or_else(|_| Err(Error::new(Kind::System, "the copying thread ended without an answer")))
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

/// In a thread of its own: mounts the container's files, as this thread alone sees them.
fn stopped(instance: &Instance, config: &Config, writable: bool) -> Outcome<OwnedFd> {
    private_mounts()?;
    let on = instance.dirs.container_run(&config.id).join("rootfs");
    private_folder(&on).doing(|| format!("cannot create `{}`", on.display()))?;
    let snapshot = instance.dirs.container(&config.id).join("snapshot");
    let read_only = config.read_only || !writable;
    let root = mount_root(&on, &config.image.layers, &snapshot, read_only)
        .doing(|| format!("cannot mount the root of container `{}`", config.name))?;
    for mount in &config.mounts {
        let (source, target) = match &mount.kind {
            MountKind::Volume { source, .. } | MountKind::Bind { source, .. } => (source, &mount.target),
            _ => continue,
        };
        bind(root.as_fd(), source, target, mount.read_only || !writable)
            .doing(|| format!("cannot mount `{target}` of container `{}`", config.name))?;
    }
    Ok(root)
}

/// From here on nobody else sees what this thread mounts.
pub(super) fn private_mounts() -> Outcome<()> {
    unshare(CloneFlags::CLONE_NEWNS).doing(|| "make a mount namespace")?;
    rustix::mount::mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .map_err(errno)
        .doing(|| "make its mounts private")
}

/// Folders over each other, the topmost first, read-only.
pub(super) fn mount_overlay(on: &Path, folders: &[PathBuf]) -> Result<OwnedFd, Errno> {
    let folders = folders.iter().map(|folder| open_folder(folder)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = folders.iter().map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd())).collect();
    let data = CString::new(format!("lowerdir={}", names.join(":"))).map_err(|_| Errno::EINVAL)?;
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount(c"overlay", on, c"overlay", flags, data.as_c_str()).map_err(errno)?;
    open_folder(on)
}

/// What the container has written over its image's layers.
fn mount_root(on: &Path, layers: &[PathBuf], snapshot: &Path, read_only: bool) -> Outcome<OwnedFd> {
    let (upper, work) = (snapshot.join("upper"), snapshot.join("work"));
    for folder in [&upper, &work] {
        if !folder.is_dir() {
            private_folder(folder).doing(|| format!("cannot create `{}`", folder.display()))?;
            if folder == &upper {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                fs::set_permissions(folder, mode).doing(|| format!("cannot open up `{}`", folder.display()))?;
            }
        }
    }
    // Left by a run on a volatile overlay (overlayfs.rst, "Volatile mount").
    let _ = fs::remove_dir_all(work.join("work/incompat"));
    let open = |path: &Path| open_folder(path).doing(|| format!("cannot open `{}`", path.display()));
    let mut folders = layers.iter().rev().map(|layer| open(layer)).collect::<Outcome<Vec<_>>>()?;
    if folders.is_empty() {
        // overlayfs takes no fewer than one lower folder; the work folder's parent holds an empty one.
        let empty = snapshot.join("empty");
        private_folder(&empty).doing(|| format!("cannot create `{}`", empty.display()))?;
        folders.push(open(&empty)?);
    }
    let (upper, work) = (open(&upper)?, open(&work)?);
    let path = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lower = folders.iter().map(path).collect::<Vec<_>>().join(":");
    let data = format!("lowerdir={lower},upperdir={},workdir={}", path(&upper), path(&work));
    let data = CString::new(data).doing_null()?;
    let mut flags = MountFlags::NODEV | MountFlags::NOSUID;
    flags.set(MountFlags::RDONLY, read_only);
    rustix::mount::mount(c"overlay", on, c"overlay", flags, data.as_c_str())
        .map_err(errno)
        .doing(|| "mount overlay")?;
    open(on)
}

/// A path with a null byte in it.
trait DoingNull<T> {
    fn doing_null(self) -> Outcome<T>;
}

impl<T> DoingNull<T> for Result<T, std::ffi::NulError> {
    fn doing_null(self) -> Outcome<T> {
        self.map_err(|_| Error::new(Kind::Invalid, "a path holds a null byte"))
    }
}

/// A volume or a folder of the host, where the container has it. One whose source or target is gone is left out: what
/// is below it then is not there, as in a container that could not start.
fn bind(root: BorrowedFd, source: &Path, target: &str, read_only: bool) -> Outcome<()> {
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let on = match rustix::fs::openat2(root, target, flags, Mode::empty(), inside).map_err(errno) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        other => other.doing(|| format!("open `{target}`"))?,
    };
    let tree = rustix::mount::open_tree(
        rustix::fs::CWD,
        source,
        rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE | rustix::mount::OpenTreeFlags::OPEN_TREE_CLOEXEC,
    );
    let tree = match tree.map_err(errno) {
        Err(Errno::ENOENT) => return Ok(()),
        other => other.doing(|| format!("open `{}`", source.display()))?,
    };
    if read_only {
        rcr_shim::sys::mount::set_attr(tree.as_fd(), rcr_shim::sys::mount::ATTR_RDONLY, 0, false)
            .doing(|| "make it read-only")?;
    }
    let flags =
        rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | rustix::mount::MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    match rustix::mount::move_mount(&tree, c"", &on, c"", flags).map_err(errno) {
        // A file on a folder, or the other way round.
        Err(Errno::ENOTDIR) => Ok(()),
        other => other.doing(|| "mount it"),
    }
}

/// A folder, for reading.
pub(super) fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(errno)
}
