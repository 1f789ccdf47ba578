//! Carries file operations out below a folder, by descriptor.

use super::entry::{Checker, FileOp, Limits, Meta};
use crate::{Doing, Error};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Unpacks a tar stream into the folder `root`, which must be empty and of our own making. Reads to the end of the archive, not of the stream.
///
/// Returns the folders that are opaque: marking them (`trusted.overlay.opaque`) takes a power that unpacking should not have.
pub fn unpack(stream: impl Read, root: &Path, limits: Limits) -> Result<Vec<Vec<u8>>, Error> {
    let mut archive = tar::Archive::new(stream);
    let mut checker = Checker::new(limits);
    let mut tree = Tree::open(root)?;
    let broken = |error: io::Error| match error.raw_os_error() {
        None => Error::Hostile(error.to_string()),
        Some(_) => Error::Io { doing: "cannot read the layer".into(), source: error },
    };
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        if let Some(op) = checker.check(&mut entry)? {
            tree.apply(&op, &mut entry)?;
        }
    }
    tree.finish()
}

/// A tree that is being filled.
struct Tree {
    root: OwnedFd,
    /// The folder that the last entry lay in: the next one mostly does, too.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Folders get their times when nothing more is put in them.
    folders: Vec<(Vec<u8>, i64)>,
    opaque: Vec<Vec<u8>>,
    buffer: Vec<u8>,
}

impl Tree {
    fn open(root: &Path) -> Result<Self, Error> {
        let fd = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let root = fd.doing(|| format!("cannot open `{}`", root.display()))?;
        Ok(Self { root, last: None, folders: Vec::new(), opaque: Vec::new(), buffer: vec![0; 256 << 10] })
    }

    fn apply(&mut self, op: &FileOp, content: &mut dyn Read) -> Result<(), Error> {
        let path = match op {
            FileOp::Opaque { folder } => folder,
            FileOp::Folder { path, .. }
            | FileOp::File { path, .. }
            | FileOp::Symlink { path, .. }
            | FileOp::HardLink { path, .. }
            | FileOp::Device { path, .. }
            | FileOp::Fifo { path, .. }
            | FileOp::Whiteout { path } => path,
        };
        let shown = String::from_utf8_lossy(path).into_owned();
        self.try_apply(op, content).map_err(|error| match error.raw_os_error() {
            Some(_) => Error::Io { doing: format!("cannot unpack `{shown}`"), source: error },
            None => Error::Hostile(format!("`{shown}`: {error}")),
        })
    }

    fn try_apply(&mut self, op: &FileOp, content: &mut dyn Read) -> io::Result<()> {
        match op {
            FileOp::Folder { path, meta } if path.is_empty() => {
                let root = open_in(self.root.as_fd(), b".", OFlags::RDONLY | OFlags::DIRECTORY)?;
                set_meta(root.as_fd(), meta)
            }
            FileOp::Folder { path, meta } => self.folder(path, meta),
            FileOp::File { path, meta, size } => self.file(path, meta, *size, content),
            FileOp::Symlink { path, target, meta } => {
                let (parent, name) = self.place(path)?;
                rustix::fs::symlinkat(target.as_slice(), &parent, name.as_c_str())?;
                set_owner_and_time(parent.as_fd(), &name, meta)
            }
            FileOp::HardLink { path, target } => self.hard_link(path, target),
            FileOp::Device { path, meta, block, major, minor } => {
                let kind = if *block { FileType::BlockDevice } else { FileType::CharacterDevice };
                self.node(path, meta, kind, rustix::fs::makedev(*major, *minor))
            }
            FileOp::Fifo { path, meta } => self.node(path, meta, FileType::Fifo, 0),
            // overlayfs's own form of a whiteout (Documentation/filesystems/overlayfs.rst).
            FileOp::Whiteout { path } => {
                let (parent, name) = self.place(path)?;
                Ok(rustix::fs::mknodat(&parent, name.as_c_str(), FileType::CharacterDevice, Mode::empty(), 0)?)
            }
            FileOp::Opaque { folder } => {
                self.parents(folder)?;
                self.opaque.push(folder.clone());
                Ok(())
            }
        }
    }

    /// The folder a path lies in, and its last name, with whatever had that name removed.
    fn place(&mut self, path: &[u8]) -> io::Result<(OwnedFd, CString)> {
        let (parent, name) = split(path);
        let folder = self.parent(parent)?;
        let name = CString::new(name)?;
        match rustix::fs::statat(&folder, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
            Ok(stat) => {
                // What is replaced may be a folder that the cache or a later time setting knows by this path.
                self.last = None;
                remove(folder.as_fd(), &name, FileType::from_raw_mode(stat.st_mode))?;
                self.folders.retain(|(known, _)| {
                    !(known.starts_with(path) && matches!(known.get(path.len()), None | Some(b'/')))
                });
            }
        }
        Ok((folder, name))
    }

    fn parent(&mut self, parent: &[u8]) -> io::Result<OwnedFd> {
        if let Some((known, fd)) = &self.last
            && known == parent
        {
            return fd.try_clone();
        }
        self.parents(parent)?;
        let folder = open_in(
            self.root.as_fd(),
            if parent.is_empty() { b"." } else { parent },
            OFlags::PATH | OFlags::DIRECTORY,
        )?;
        self.last = Some((parent.to_vec(), folder.try_clone()?));
        Ok(folder)
    }

    /// Makes missing parents, as tar does.
    fn parents(&self, path: &[u8]) -> io::Result<()> {
        match open_in(self.root.as_fd(), if path.is_empty() { b"." } else { path }, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(_) => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc_enoent()) => {}
            Err(error) => return Err(error),
        }
        let (above, name) = split(path);
        self.parents(above)?;
        let folder =
            open_in(self.root.as_fd(), if above.is_empty() { b"." } else { above }, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755))?)
    }

    fn folder(&mut self, path: &[u8], meta: &Meta) -> io::Result<()> {
        let (parent, name) = split(path);
        let folder = self.parent(parent)?;
        let is_folder = |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        // A folder that is there stays, with what is in it; a symlink in its place is replaced, never followed.
        if !rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(is_folder) {
            let (folder, name) = self.place(path)?;
            rustix::fs::mkdirat(&folder, name.as_c_str(), Mode::from_raw_mode(0o700))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&folder, name, flags, Mode::empty())?;
        set_meta(opened.as_fd(), meta)?;
        self.folders.push((path.to_vec(), meta.mtime));
        Ok(())
    }

    fn file(&mut self, path: &[u8], meta: &Meta, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&parent, name.as_c_str(), flags, Mode::from_raw_mode(0o600))?);
        let mut left = size;
        while left > 0 {
            let want = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = content.read(&mut self.buffer[..want])?;
            if got == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within this file"));
            }
            io::Write::write_all(&mut &file, &self.buffer[..got])?;
            left -= got as u64;
        }
        set_meta(file.as_fd(), meta)
    }

    fn hard_link(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        let (above, name) = split(target);
        let source =
            open_in(self.root.as_fd(), if above.is_empty() { b"." } else { above }, OFlags::PATH | OFlags::DIRECTORY)?;
        let stat = rustix::fs::statat(&source, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a hard link to a folder"));
        }
        let name = CString::new(name)?;
        if path == target {
            return Ok(());
        }
        let (parent, new) = self.place(path)?;
        // Without AT_SYMLINK_FOLLOW: a symlink is linked itself.
        Ok(rustix::fs::linkat(&source, name.as_c_str(), &parent, new.as_c_str(), AtFlags::empty())?)
    }

    fn node(&mut self, path: &[u8], meta: &Meta, kind: FileType, device: u64) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        rustix::fs::mknodat(&parent, name.as_c_str(), kind, Mode::empty(), device)?;
        rustix::fs::chownat(
            &parent,
            name.as_c_str(),
            Some(Uid::from_raw(meta.uid)),
            Some(Gid::from_raw(meta.gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )?;
        // It was made just now under a name that nobody else can touch: it is no symlink.
        rustix::fs::chmodat(&parent, name.as_c_str(), Mode::from_raw_mode(meta.mode), AtFlags::empty())?;
        set_owner_and_time(parent.as_fd(), &name, meta)
    }

    fn finish(mut self) -> Result<Vec<Vec<u8>>, Error> {
        for (path, mtime) in std::mem::take(&mut self.folders).into_iter().rev() {
            let (parent, name) = split(&path);
            let folder =
                self.parent(parent).doing(|| format!("cannot find `{}` again", String::from_utf8_lossy(&path)))?;
            // A folder that was replaced by something else later has lost its claim.
            let _ = rustix::fs::utimensat(&folder, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW);
        }
        Ok(self.opaque)
    }
}

/// Marks folders of an unpacked layer opaque, in overlayfs's form (Documentation/filesystems/overlayfs.rst). A path that leads to
/// no folder any more has lost its mark.
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

fn libc_enoent() -> i32 {
    Errno::NOENT.raw_os_error()
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&path[..0], path),
    }
}

/// Opens below the root: symlinks are resolved inside it, magic links are refused (openat2(2)).
fn open_in(root: BorrowedFd, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => continue,
            other => return Ok(other?),
        }
    }
}

/// Removes what has a name, with all below it if it is a folder.
fn remove(folder: BorrowedFd, name: &CString, kind: FileType) -> io::Result<()> {
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

/// Owner first: chown(2) clears set-id bits and file capabilities.
fn set_meta(fd: BorrowedFd, meta: &Meta) -> io::Result<()> {
    rustix::fs::fchown(fd, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(meta.mode))?;
    for (name, value) in &meta.xattrs {
        rustix::fs::fsetxattr(fd, name.as_slice(), value, XattrFlags::empty())?;
    }
    Ok(rustix::fs::futimens(fd, &times(meta.mtime))?)
}

fn set_owner_and_time(parent: BorrowedFd, name: &CString, meta: &Meta) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
    rustix::fs::chownat(parent, name.as_c_str(), Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(rustix::fs::utimensat(parent, name.as_c_str(), &times(meta.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
