//! Runs the plan's mount steps below the container's root, by descriptor only: a target is opened first, then mounted
//! on, so that nothing can be swapped in between. Allocates nothing.

use super::compiled::{CompiledImage, CompiledOp, IMAGE_FOLDER, Target};
use super::open::{PROC_MAGIC, in_parent, open_in};
use super::plan::BindOn;
use super::resolve::{self, Last};
use crate::sys::{fd, mount as attr};
use nix::errno::Errno;
use rcr_base::errno;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Runs one step. `memory`: the other container's `/dev/shm`, if one is joined.
pub fn run(root: BorrowedFd, op: &CompiledOp, memory: Option<BorrowedFd>) -> Result<(), Errno> {
    match op {
        CompiledOp::Mount { fstype, target, options, attrs, system } => {
            let on = match system {
                true => ensure_folder(root, target)?,
                false => resolve::make(root, target.full(), Last::Folder)?,
            };
            let mount = new_mount(fstype, options, *attrs)?;
            attach(mount.as_fd(), on.as_fd())
        }
        CompiledOp::Bind { source, below, target, recursive, writable_below, attrs, propagation, on, early } => {
            let cloned = match early {
                Some(_) => None,
                None => Some(clone_source(source, below.as_deref(), *recursive)?),
            };
            let tree = cloned.as_ref().or(early.as_ref()).ok_or(Errno::EBADF)?;
            if *writable_below {
                attr::set_attr(tree.as_fd(), *attrs & !attr::ATTR_RDONLY, *propagation, *recursive)?;
                attr::set_attr(tree.as_fd(), attr::ATTR_RDONLY, 0, false)?;
            } else {
                attr::set_attr(tree.as_fd(), *attrs, *propagation, *recursive)?;
            }
            let on = match on {
                BindOn::Alike => alike(root, target, tree.as_fd())?,
                BindOn::OwnFile => ensure_file(root, target)?,
            };
            attach(tree.as_fd(), on.as_fd())
        }
        CompiledOp::FileSystem { target, early, .. } => {
            let on = resolve::make(root, target.full(), Last::Folder)?;
            attach(early.as_ref().ok_or(Errno::EBADF)?.as_fd(), on.as_fd())
        }
        CompiledOp::Image(image) => mount_image(root, image),
        CompiledOp::Node { path, block, device, mode, uid, gid } => {
            let kind = if *block { FileType::BlockDevice } else { FileType::CharacterDevice };
            in_parent(root, path, |dir, name| {
                rustix::fs::mknodat(dir, name, kind, Mode::from_raw_mode(*mode), *device)?;
                let owner = (Some(Uid::from_raw(*uid)), Some(Gid::from_raw(*gid)));
                rustix::fs::chownat(dir, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
                // mknod(2) applies the umask.
                rustix::fs::chmodat(dir, name, Mode::from_raw_mode(*mode), AtFlags::empty())
            })
        }
        CompiledOp::SharedMemory { target } => {
            attach(memory.ok_or(Errno::EBADF)?, ensure_folder(root, target)?.as_fd())
        }
        CompiledOp::Symlink { path, to } => {
            in_parent(root, path, |dir, name| rustix::fs::symlinkat(to.as_c_str(), dir, name))
        }
        CompiledOp::Directory { path, mode } => {
            in_parent(root, path, |dir, name| match rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(*mode)) {
                Err(rustix::io::Errno::EXIST) => Ok(()),
                other => other,
            })
        }
        CompiledOp::Sysctl { path, value } => write_sysctl(root, path, value),
        CompiledOp::Mask { path } => mask(root, path),
        CompiledOp::ReadOnly { path } => read_only(root, path),
    }
}

/// Copies the source of a bind that is to share later mounts with the host: while it still does.
pub fn clone_shared(op: &mut CompiledOp) -> Result<(), Errno> {
    if let CompiledOp::Bind { source, below, recursive, propagation: libc::MS_SHARED, early, .. } = op {
        *early = Some(clone_source(source, below.as_deref(), *recursive)?);
    }
    Ok(())
}

/// Mounts, without a place yet, what the host reaches and the container may not: by the shim, which is in the host's
/// network, and which no device rule of the container concerns.
pub fn mount_of_host(op: &mut CompiledOp) -> Result<(), Errno> {
    if let CompiledOp::FileSystem { fstype, options, attrs, early, .. } = op {
        *early = Some(new_mount(fstype, options, *attrs)?);
    }
    Ok(())
}

fn clone_source(source: &CStr, below: Option<&CStr>, recursive: bool) -> Result<OwnedFd, Errno> {
    match below {
        None => clone_tree(rustix::fs::CWD, source, recursive),
        Some(below) => clone_below(open_folder(source)?.as_fd(), below, recursive),
    }
}

/// What to mount on: a folder for a folder, a file for all else.
fn alike(root: BorrowedFd, target: &Target, tree: BorrowedFd) -> Result<OwnedFd, Errno> {
    let mode = rustix::fs::fstat(tree).map_err(errno)?.st_mode;
    let last = if FileType::from_raw_mode(mode) == FileType::Directory { Last::Folder } else { Last::File };
    resolve::make(root, target.full(), last)
}

fn open_folder(path: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(errno)
}

/// A copy of what is below a folder: others may change that while we look, so no link leads out.
fn clone_below(folder: BorrowedFd, below: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    let found = open_in(folder, below, OFlags::PATH, ResolveFlags::empty())?;
    clone_tree(found.as_fd(), c"", recursive)
}

/// Mounts an image's layers: first over a folder of ours, then, as a copy, where they belong.
fn mount_image(root: BorrowedFd, image: &CompiledImage) -> Result<(), Errno> {
    let tree = match &image.data {
        None => {
            let only = open_folder(image.folders.first().ok_or(Errno::ENOENT)?)?;
            clone_below(only.as_fd(), image.below.as_deref().unwrap_or(c"."), false)?
        }
        Some(data) => {
            for (number, folder) in (IMAGE_FOLDER..).zip(&image.folders) {
                fd::dup_onto(open_folder(folder)?.as_fd(), number)?;
            }
            let on = image.scratch.as_c_str();
            rustix::mount::mount(c"overlay", on, c"overlay", MountFlags::RDONLY, data.as_c_str()).map_err(errno)?;
            let found = open_folder(on);
            let tree = found.and_then(|all| clone_below(all.as_fd(), image.below.as_deref().unwrap_or(c"."), false));
            rustix::mount::unmount(on, UnmountFlags::DETACH).map_err(errno)?;
            tree?
        }
    };
    let attrs = attr::ATTR_RDONLY | attr::ATTR_NOSUID | attr::ATTR_NODEV;
    attr::set_attr(tree.as_fd(), attrs, libc::MS_PRIVATE, false)?;
    attach(tree.as_fd(), alike(root, &image.target, tree.as_fd())?.as_fd())
}

/// The folder to mount a kernel file system on, made with its parents if missing. No symlink may lead there.
fn ensure_folder(root: BorrowedFd, target: &Target) -> Result<OwnedFd, Errno> {
    let open = |path: &CStr| open_in(root, path, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS);
    // From the end: mostly it is there, or only its last part is missing.
    let mut there = target.prefixes.len();
    while let Some(prefix) = there.checked_sub(1).and_then(|last| target.prefixes.get(last)) {
        match open(prefix) {
            Err(Errno::ENOENT) => there -= 1,
            Ok(folder) if there == target.prefixes.len() => return Ok(folder),
            Ok(_) => break,
            Err(other) => return Err(other),
        }
    }
    for prefix in &target.prefixes[there..] {
        in_parent(root, prefix, |dir, name| rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)))?;
    }
    open(target.full())
}

/// The file to mount one of our files on, made empty if missing. A symlink in its place (an image may ship
/// `/etc/resolv.conf` as one) is removed from the container's own layer: its target is not ours to cover.
fn ensure_file(root: BorrowedFd, target: &Target) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::empty();
    let opened = open_in(root, target.full(), OFlags::PATH | OFlags::NOFOLLOW, resolve);
    match opened {
        Ok(fd) => match FileType::from_raw_mode(rustix::fs::fstat(&fd).map_err(errno)?.st_mode) {
            FileType::Symlink => {
                in_parent(root, target.full(), |dir, name| rustix::fs::unlinkat(dir, name, AtFlags::empty()))?;
            }
            FileType::Directory => return Err(Errno::EISDIR),
            _ => return Ok(fd),
        },
        Err(Errno::ENOENT) => {
            if let [.., parent, _] = target.prefixes.as_slice() {
                let upto = target.prefixes.iter().take_while(|prefix| *prefix != parent).chain([parent]);
                for prefix in upto {
                    match in_parent(root, prefix, |dir, name| {
                        rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755))
                    }) {
                        Ok(()) | Err(Errno::EEXIST) => {}
                        Err(other) => return Err(other),
                    }
                }
            }
        }
        Err(other) => return Err(other),
    }
    in_parent(root, target.full(), |dir, name| {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644)).map(drop)
    })?;
    open_in(root, target.full(), OFlags::PATH | OFlags::NOFOLLOW, resolve)
}

/// A new, not yet attached mount.
fn new_mount(
    fstype: &CStr,
    options: &[(std::ffi::CString, Option<std::ffi::CString>)],
    attrs: u64,
) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).map_err(errno)?;
    for (key, value) in options {
        match value {
            Some(value) => rustix::mount::fsconfig_set_string(context.as_fd(), key.as_c_str(), value.as_c_str()),
            None => rustix::mount::fsconfig_set_flag(context.as_fd(), key.as_c_str()),
        }
        .map_err(errno)?;
    }
    rustix::mount::fsconfig_create(context.as_fd()).map_err(errno)?;
    let attrs = MountAttrFlags::from_bits_retain(attrs as u32);
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attrs).map_err(errno)
}

fn clone_tree(dir: BorrowedFd, path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    rustix::mount::open_tree(dir, path, flags).map_err(errno)
}

fn attach(mount: BorrowedFd, on: BorrowedFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", on, c"", flags).map_err(errno)
}

/// Binds what is behind a descriptor over a path in the container.
pub fn bind_fd(root: BorrowedFd, source: BorrowedFd, target: &Target) -> Result<(), Errno> {
    let tree = clone_tree(source, c"", false)?;
    attach(tree.as_fd(), ensure_file(root, target)?.as_fd())
}

/// Writes a sysctl, after checking that the file lies on procfs.
fn write_sysctl(root: BorrowedFd, path: &CStr, value: &[u8]) -> Result<(), Errno> {
    let file = open_in(root, path, OFlags::WRONLY, ResolveFlags::NO_SYMLINKS)?;
    if rustix::fs::fstatfs(&file).map_err(errno)?.f_type != PROC_MAGIC {
        return Err(Errno::EXDEV);
    }
    match rustix::io::write(&file, value).map_err(errno)? {
        written if written == value.len() => Ok(()),
        _ => Err(Errno::EIO),
    }
}

fn mask(root: BorrowedFd, path: &CStr) -> Result<(), Errno> {
    let on = match open_in(root, path, OFlags::PATH, ResolveFlags::NO_SYMLINKS) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        other => other?,
    };
    let stat = rustix::fs::fstat(&on).map_err(errno)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let attrs = attr::ATTR_RDONLY | attr::ATTR_NOSUID | attr::ATTR_NODEV | attr::ATTR_NOEXEC;
        return attach(new_mount(c"tmpfs", &[], attrs)?.as_fd(), on.as_fd());
    }
    let null = open_in(root, c"dev/null", OFlags::PATH, ResolveFlags::NO_SYMLINKS)?;
    let stat = rustix::fs::fstat(&null).map_err(errno)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice || stat.st_rdev != rustix::fs::makedev(1, 3) {
        return Err(Errno::ENXIO);
    }
    attach(clone_tree(null.as_fd(), c"", false)?.as_fd(), on.as_fd())
}

fn read_only(root: BorrowedFd, path: &CStr) -> Result<(), Errno> {
    let on = match open_in(root, path, OFlags::PATH, ResolveFlags::NO_SYMLINKS) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        other => other?,
    };
    let tree = clone_tree(on.as_fd(), c"", true)?;
    attr::set_attr(tree.as_fd(), attr::ATTR_RDONLY, 0, true)?;
    attach(tree.as_fd(), on.as_fd())
}
