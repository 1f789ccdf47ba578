//! Opens, inspects and removes below a folder, by descriptor.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, XattrFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Marks folders of an unpacked layer opaque, in overlayfs's form (Documentation/filesystems/overlayfs.rst). A path
/// that is no longer a folder is skipped.
pub fn mark_opaque(root: &Path, folders: &[Vec<u8>]) -> io::Result<()> {
    let root = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for folder in folders {
        let path = if folder.is_empty() { b"." } else { folder.as_slice() };
        match open_in(root.as_fd(), path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(folder) => rustix::fs::fsetxattr(&folder, "trusted.overlay.opaque", b"y", XattrFlags::empty())?,
            Err(error)
                if [Errno::NOENT, Errno::NOTDIR].map(|e| Some(e.raw_os_error())).contains(&error.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&path[..0], path),
    }
}

/// Opens below the root: symlinks are resolved inside it, magic links are refused (openat2(2)).
pub(super) fn open_in(root: BorrowedFd, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    open_by(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

pub(super) fn open_by(root: BorrowedFd, path: &[u8], flags: OFlags, resolve: ResolveFlags) -> io::Result<OwnedFd> {
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => continue,
            other => return Ok(other?),
        }
    }
}

/// Removes a name, and everything below it if it is a folder.
pub(super) fn remove(folder: BorrowedFd, name: &CString, kind: FileType) -> io::Result<()> {
    if kind != FileType::Directory {
        return Ok(rustix::fs::unlinkat(folder, name.as_c_str(), AtFlags::empty())?);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inner = rustix::fs::openat(folder, name.as_c_str(), flags, Mode::empty())?;
    let entries = rustix::fs::Dir::read_from(&inner)?.collect::<Result<Vec<_>, _>>()?;
    for entry in entries.iter().filter(|e| ![&b"."[..], b".."].contains(&e.file_name().to_bytes())) {
        let stat = rustix::fs::statat(&inner, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
        remove(inner.as_fd(), &entry.file_name().to_owned(), FileType::from_raw_mode(stat.st_mode))?;
    }
    Ok(rustix::fs::unlinkat(folder, name.as_c_str(), AtFlags::REMOVEDIR)?)
}

pub(super) fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// overlayfs's whiteout: a character device 0:0.
pub(super) fn is_whiteout(folder: BorrowedFd, name: &[u8]) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0)
}
