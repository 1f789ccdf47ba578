//! A new volume is filled once from the image: content, owners, modes, links, extended attributes.
//!
//! The image's layers are mounted in the mount namespace of a thread that then ends, so that no crash leaves a mount. A
//! mark in the volume's folder says how far it got: [`NEW`] until its first use, `seeding` while it is filled, so
//! that an interrupted copy is started again.

use super::copy::copy_tree;
use crate::apart::{INSIDE, apart, open_folder, over_each_other};
use rcr_base::{Doing, Outcome};
use rcr_shim::cleanup::remove_folder;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Marks a volume that was never used.
pub const NEW: &str = "new";
const SEEDING: &str = "seeding";
/// The volume's content.
pub const DATA: &str = "_data";

/// Fills the volume in `folder` from `target` of the image if it is new. `layers`: unpacked, lowest first. `copy`:
/// false leaves it empty (`nocopy`), and no longer new.
pub fn first_use(folder: &Path, layers: &[PathBuf], target: &str, copy: bool) -> Outcome<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let doing = || format!("cannot fill the new volume `{name}` from `{target}` of the image");
    let (new, seeding) = (folder.join(NEW), folder.join(SEEDING));
    if !new.exists() && !seeding.exists() {
        return Ok(());
    }
    // Two containers may be made with one new volume at the same time.
    let lock = File::open(folder).doing(doing)?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(io::Error::from).doing(doing)?;
    let data = folder.join(DATA);
    if seeding.exists() {
        empty(&data).doing(doing)?;
    } else if !new.exists() {
        return Ok(());
    } else if !copy || !is_empty(&data).doing(doing)? {
        return fs::remove_file(&new).doing(doing);
    } else {
        fs::rename(&new, &seeding).doing(doing)?;
    }
    if copy {
        apart(|| fill(folder, layers, target)).doing(doing)?;
    }
    fs::remove_file(&seeding).doing(doing)
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}

/// Removes what an interrupted copy left.
fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if fs::symlink_metadata(&path)?.is_dir() { remove_folder(&path)? } else { fs::remove_file(&path)? }
    }
    Ok(())
}

/// Mounts the layers over the volume's folder, as this thread alone sees it, and copies.
fn fill(folder: &Path, layers: &[PathBuf], target: &str) -> Outcome<()> {
    // An image without a layer has nothing anywhere.
    if layers.is_empty() {
        return Ok(());
    }
    let data = open_folder(&folder.join(DATA)).doing(|| "open the volume")?;
    let topmost_first: Vec<PathBuf> = layers.iter().rev().cloned().collect();
    let root = over_each_other(folder, &topmost_first).doing(|| "mount the image's layers")?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat2(&root, target.trim_start_matches('/'), flags, Mode::empty(), INSIDE) {
        Ok(source) => copy_tree(source, data),
        // The image has nothing there, or a file: the volume stays as it is.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => Ok(()),
        Err(error) => Err(error).doing(|| format!("open `{target}` of the image")),
    }
}
