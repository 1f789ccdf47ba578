//! What a container has changed of its image's files; and all its files as a stream.

use crate::copy::pack::{Options, pack};
use crate::copy::view::{View, with_view};
use crate::events::subjects;
use crate::instance::Instance;
use nix::errno::Errno;
use rcr_base::{Doing, Error, Kind, Outcome, errno};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use std::ffi::{CStr, OsStr};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Folders below folders.
const MAX_DEPTH: usize = 1000;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The image does not have it.
    Added,
    /// The image has another.
    Changed,
    /// The image has it, the container does not.
    Deleted,
}

impl ChangeKind {
    /// As Docker writes it.
    pub fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Changed => 'C',
            Self::Deleted => 'D',
        }
    }
}

/// One changed file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What became of it.
    pub kind: ChangeKind,
    /// In the container.
    pub path: PathBuf,
}

/// All changes, by path. A folder is changed if something below it is.
pub fn diff(instance: &Instance, name: &str) -> Outcome<Vec<Change>> {
    with_view(instance, name, |view, _| {
        let mut all = Vec::new();
        let upper = view.upper.try_clone().doing(|| "look at what was written")?;
        below(view, upper, Path::new(""), 0, &mut all)?;
        all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    })
}

/// Writes all files of a container as a tar stream, without what is mounted in it.
pub fn export(instance: &Instance, name: &str, to: impl Write + Send) -> Outcome<()> {
    with_view(instance, name, |view, container| {
        let root = view.merged.try_clone().doing(|| "open the root")?;
        let options = Options { content_only: true, ..Options::default() };
        pack(root, Path::new(""), to, options)?;
        subjects::container(&instance.dirs, &container.config).note("export");
        Ok(())
    })
    .doing(|| format!("cannot export container `{name}`"))
}

/// overlayfs's mark of a file that is gone (overlayfs.rst, "whiteouts and opaque directories").
pub(crate) fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether a folder of the upper one hides all that the image has there.
pub(crate) fn is_opaque(folder: &OwnedFd) -> bool {
    let has = |name: &CStr| {
        let mut value = [0; 256];
        rustix::fs::fgetxattr(folder, name, &mut value).ok().map(|length| value[..length].to_vec())
    };
    // A folder that was moved here brings its content from elsewhere.
    has(c"trusted.overlay.opaque").is_some_and(|value| value == b"y") || has(c"trusted.overlay.redirect").is_some()
}

/// A folder, for reading; no link is followed.
pub(crate) fn open_below(folder: BorrowedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty()).map_err(errno)
}

fn below(view: &View, upper: OwnedFd, path: &Path, depth: usize, all: &mut Vec<Change>) -> Outcome<()> {
    let doing = || format!("cannot read the folder `/{}`", path.display());
    if depth > MAX_DEPTH {
        return Err(Error::new(Kind::Invalid, doing()).caused_by("it is too deep"));
    }
    if is_opaque(&upper) && depth > 0 {
        hidden(view, path, all)?;
    }
    for entry in Dir::read_from(&upper).map_err(errno).doing(doing)? {
        let entry = entry.map_err(errno).doing(doing)?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let inner = path.join(OsStr::from_bytes(name.to_bytes()));
        let stat = match rustix::fs::statat(&upper, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => continue,
            other => other.map_err(errno).doing(doing)?,
        };
        let kind = match (is_whiteout(&stat), in_image(view, &inner)) {
            (true, true) => ChangeKind::Deleted,
            (true, false) => continue,
            (false, true) => ChangeKind::Changed,
            (false, false) => ChangeKind::Added,
        };
        all.push(Change { kind, path: Path::new("/").join(&inner) });
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let folder = open_below(upper.as_fd(), name).doing(doing)?;
            below(view, folder, &inner, depth + 1, all)?;
        }
    }
    Ok(())
}

fn open_in(root: BorrowedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), inside).map_err(errno)
}

fn in_image(view: &View, path: &Path) -> bool {
    open_in(view.image.as_fd(), path, OFlags::PATH | OFlags::NOFOLLOW).is_ok()
}

/// What the image has in a folder that was made anew, and the container does not have.
fn hidden(view: &View, path: &Path, all: &mut Vec<Change>) -> Outcome<()> {
    let doing = || format!("cannot read the folder `/{}` of the image", path.display());
    let folder = match open_in(view.image.as_fd(), path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
        other => other.doing(doing)?,
    };
    for entry in Dir::read_from(&folder).map_err(errno).doing(doing)? {
        let entry = entry.map_err(errno).doing(doing)?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let inner = path.join(OsStr::from_bytes(name.to_bytes()));
        if open_in(view.merged.as_fd(), &inner, OFlags::PATH | OFlags::NOFOLLOW).is_err() {
            all.push(Change { kind: ChangeKind::Deleted, path: Path::new("/").join(&inner) });
        }
    }
    Ok(())
}
