//! Carries file operations out below a folder, by descriptor.

use super::entry::{Checker, FileOp, LINKS_OF_AUFS, Limits, Meta};
use super::headers::Headers;
use super::place::{is, is_whiteout, open_by, open_in, remove, split};
use crate::{Doing, Error};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

/// Unpacks a tar stream into the folder `root`, which must be empty and our own. Reads to the end of the archive, not
/// of the stream.
///
/// Returns the opaque folders: marking them (`trusted.overlay.opaque`) takes a capability that unpacking must not have.
pub fn unpack(stream: impl Read, root: &Path, limits: Limits) -> Result<Vec<Vec<u8>>, Error> {
    let mut tree = Tree::open(root, &limits)?;
    walk(stream, limits, &mut |op, content| tree.apply(op, content))?;
    tree.finish()
}

/// The pure half: from bytes to checked file operations, each passed on with its content.
pub fn walk(
    stream: impl Read,
    limits: Limits,
    act: &mut dyn FnMut(&FileOp, &mut dyn Read) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut checker = Checker::new(limits);
    let (mut archive, mut begun) = (tar::Archive::new(Headers::new(stream)), false);
    let broken = |begun: bool, error: io::Error| match error.raw_os_error() {
        // A header that has to be read as a whole.
        None if error.kind() == io::ErrorKind::OutOfMemory => {
            Error::limit("memory", format!("it takes more than {} bytes of memory to unpack", limits.memory))
        }
        None if begun => Error::Hostile(format!("the archive is damaged: {error}")),
        None => Error::Hostile(format!("it is not a tar archive, or a damaged one: {error}")),
        Some(_) => Error::Io { doing: "cannot read the layer".into(), source: error },
    };
    for entry in archive.entries().map_err(|error| broken(false, error))? {
        let mut entry = entry.map_err(|error| broken(begun, error))?;
        begun = true;
        match checker.check(&mut entry)? {
            None => {}
            Some((op, None)) => act(&op, &mut entry)?,
            Some((op, Some(map))) => act(&op, &mut map.expand(&mut entry))?,
        }
    }
    Ok(())
}

/// A folder that gets entries.
struct Parent {
    fd: OwnedFd,
    /// New files in it get its group, not ours (inode(7)).
    setgid: bool,
}

impl AsFd for Parent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A tree that is being filled.
struct Tree {
    root: OwnedFd,
    /// The folder of the last entry: the next one is mostly in it, too.
    last: Option<(Vec<u8>, Rc<Parent>)>,
    /// Folders get their times after their last entry. Sorted, so that replacing a folder costs what it contained,
    /// however many others there are.
    folders: BTreeMap<Vec<u8>, Timestamps>,
    opaque: BTreeSet<Vec<u8>>,
    /// How many parent folders may be made for other entries, and how deep a folder may be.
    made: u64,
    entries: u64,
    depth: usize,
    buffer: Vec<u8>,
}

impl Tree {
    fn open(root: &Path, limits: &Limits) -> Result<Self, Error> {
        let fd = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let root = fd.doing(|| format!("cannot open `{}`", root.display()))?;
        let (entries, depth) = (limits.entries, limits.depth);
        let buffer = vec![0; 256 << 10];
        Ok(Self {
            root,
            last: None,
            folders: BTreeMap::new(),
            opaque: BTreeSet::new(),
            made: 0,
            entries,
            depth,
            buffer,
        })
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
        let shown = shorten(path);
        self.try_apply(op, content).map_err(|error| match error.raw_os_error() {
            Some(_) => Error::Io { doing: format!("cannot unpack `{shown}`"), source: error },
            None => Error::Hostile(format!("`{shown}`: {error}")),
        })
    }

    fn try_apply(&mut self, op: &FileOp, content: &mut dyn Read) -> io::Result<()> {
        match op {
            FileOp::Folder { path, meta } if path.is_empty() => {
                let root = open_in(self.root.as_fd(), b".", OFlags::RDONLY | OFlags::DIRECTORY)?;
                self.folders.insert(b".".to_vec(), times(meta));
                set_meta(root.as_fd(), meta, true)
            }
            FileOp::Folder { path, meta } => self.folder(path, meta),
            FileOp::File { path, meta, size, sparse } => self.file(path, meta, (*size, *sparse), content),
            FileOp::Symlink { path, target, meta } => {
                let (parent, name, ()) =
                    self.make(path, |parent, name| rustix::fs::symlinkat(target.as_slice(), parent, name))?;
                set_owner_and_time(&parent, &name, meta)
            }
            FileOp::HardLink { path, target } => self.hard_link(path, target),
            FileOp::Device { path, meta, block, major, minor } => {
                let kind = if *block { FileType::BlockDevice } else { FileType::CharacterDevice };
                self.node(path, meta, kind, rustix::fs::makedev(*major, *minor))
            }
            FileOp::Fifo { path, meta } => self.node(path, meta, FileType::Fifo, 0),
            // overlayfs's own form of a whiteout (Documentation/filesystems/overlayfs.rst).
            FileOp::Whiteout { path } => self.whiteout(path),
            FileOp::Opaque { folder } => {
                self.parent(folder)?;
                self.opaque.insert(folder.clone());
                Ok(())
            }
        }
    }

    /// Makes something new under a path's last name, in its folder. What had that name is removed first; mostly there
    /// is nothing, so we just try.
    fn make<T>(
        &mut self,
        path: &[u8],
        make: impl Fn(&Parent, &CStr) -> rustix::io::Result<T>,
    ) -> io::Result<(Rc<Parent>, CString, T)> {
        let (parent, name) = split(path);
        let folder = self.parent(parent)?;
        let name = CString::new(name)?;
        match make(&folder, &name) {
            Err(Errno::EXIST) => {}
            other => return other.map(|made| (folder, name, made)).map_err(Into::into),
        }
        let stat = rustix::fs::statat(&*folder, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        // A replaced folder may be in the cache, or in the list of times.
        self.last = None;
        remove(folder.as_fd(), &name, FileType::from_raw_mode(stat.st_mode))?;
        self.forget(path);
        let made = make(&folder, &name)?;
        Ok((folder, name, made))
    }

    /// A removed folder, and everything in it, needs no times.
    fn forget(&mut self, path: &[u8]) {
        self.folders.remove(path);
        // All that begins with `path/`: `0` is the byte after the slash.
        let (first, last) = ([path, b"/"].concat(), [path, b"0"].concat());
        let gone: Vec<Vec<u8>> = self.folders.range(first..last).map(|(known, _)| known.clone()).collect();
        for known in gone {
            self.folders.remove(&known);
        }
    }

    fn parent(&mut self, parent: &[u8]) -> io::Result<Rc<Parent>> {
        if let Some((known, folder)) = &self.last
            && known == parent
        {
            return Ok(folder.clone());
        }
        let fd = match self.open_folder(parent) {
            Err(error) if [Errno::NOENT, Errno::NOTDIR].iter().any(|e| is(&error, *e)) => {
                self.parents(parent)?;
                self.open_folder(parent)?
            }
            other => other?,
        };
        let setgid = rustix::fs::fstat(&fd)?.st_mode & 0o2000 != 0;
        let folder = Rc::new(Parent { fd, setgid });
        self.last = Some((parent.to_vec(), folder.clone()));
        Ok(folder)
    }

    /// Opens a folder, following symlinks inside the root. Through symlinks a layer could build a tree deeper than any
    /// path is long, which nobody could remove: so the depth is counted.
    fn open_folder(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let straight = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        let folder = match open_by(self.root.as_fd(), path, flags, straight) {
            Err(error) if is(&error, Errno::LOOP) => open_in(self.root.as_fd(), path, flags)?,
            other => return other,
        };
        let root = rustix::fs::fstat(&self.root)?;
        let mut above = folder.try_clone()?;
        for _ in 0..=self.depth {
            let stat = rustix::fs::fstat(&above)?;
            if (stat.st_dev, stat.st_ino) == (root.st_dev, root.st_ino) {
                return Ok(folder);
            }
            above = rustix::fs::openat(&above, "..", flags | OFlags::CLOEXEC, Mode::empty())?;
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is nested deeper than {} folders", self.depth)))
    }

    /// Makes missing parents, as tar does. A parent that this layer's whiteout hides is made again, and hides what lies
    /// below it.
    fn parents(&mut self, path: &[u8]) -> io::Result<()> {
        match self.open_folder(path) {
            Ok(_) => return Ok(()),
            Err(error) if is(&error, Errno::NOENT) => {}
            Err(error) if is(&error, Errno::NOTDIR) => {}
            Err(error) => return Err(error),
        }
        let (above, name) = split(path);
        self.parents(above)?;
        self.made += 1;
        if self.made > self.entries {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it implies too many parent folders"));
        }
        let folder = self.open_folder(above)?;
        match rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) if is_whiteout(folder.as_fd(), name) => {
                rustix::fs::unlinkat(&folder, name, AtFlags::empty())?;
                self.opaque.insert(path.to_vec());
                Ok(rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755))?)
            }
            Err(Errno::EXIST) => Err(Errno::NOTDIR.into()),
            other => Ok(other?),
        }
    }

    /// Whiteouts affect only the layers below (OCI image-spec, layer.md): this layer's entry of the same name stays. A
    /// folder then hides its content in the layers below.
    fn whiteout(&mut self, path: &[u8]) -> io::Result<()> {
        let (parent, name) = split(path);
        let folder = self.parent(parent)?;
        match rustix::fs::mknodat(&*folder, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(&*folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    self.opaque.insert(path.to_vec());
                }
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn folder(&mut self, path: &[u8], meta: &Meta) -> io::Result<()> {
        let (parent, name) = split(path);
        let folder = self.parent(parent)?;
        let is_folder = |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        // An existing folder stays, with its content; a symlink in its place is replaced, never followed.
        if !rustix::fs::statat(&*folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(is_folder) {
            if is_whiteout(folder.as_fd(), name) {
                self.opaque.insert(path.to_vec());
            }
            self.make(path, |parent, name| rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&*folder, name, flags, Mode::empty())?;
        set_meta(opened.as_fd(), meta, true)?;
        // The cached mode of this folder may be wrong now.
        self.last = None;
        self.folders.insert(path.to_vec(), times(meta));
        Ok(())
    }

    fn file(
        &mut self,
        path: &[u8],
        meta: &Meta,
        (size, sparse): (u64, bool),
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Created with its permissions: the umask is empty. Set-id bits come last, since writing and chown(2) clear
        // them.
        let mode = Mode::from_raw_mode(meta.mode & 0o777);
        let (parent, _, fd) = self.make(path, |parent, name| rustix::fs::openat(parent, name, flags, mode))?;
        let file = File::from(fd);
        let mut left = size;
        while left > 0 {
            let want = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = content.read(&mut self.buffer[..want])?;
            if got == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within this file"));
            }
            // A run of zeros in a sparse file is a hole, or may become one.
            if sparse && self.buffer[..got].iter().all(|b| *b == 0) {
                io::Seek::seek_relative(&mut &file, got as i64)?;
            } else {
                io::Write::write_all(&mut &file, &self.buffer[..got])?;
            }
            left -= got as u64;
        }
        if sparse {
            file.set_len(size)?;
        }
        set_meta(file.as_fd(), meta, parent.setgid || meta.mode & 0o7000 != 0)
    }

    fn hard_link(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        let (above, name) = split(target);
        let source = self.open_folder(above)?;
        let stat = rustix::fs::statat(&source, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a hard link to a folder"));
        }
        let name = CString::new(name)?;
        if path == target {
            return Ok(());
        }
        // Without AT_SYMLINK_FOLLOW: a symlink is linked itself.
        self.make(path, |parent, new| rustix::fs::linkat(&source, name.as_c_str(), parent, new, AtFlags::empty()))
            .map(drop)
    }

    fn node(&mut self, path: &[u8], meta: &Meta, kind: FileType, device: u64) -> io::Result<()> {
        let (parent, name, ()) =
            self.make(path, |parent, name| rustix::fs::mknodat(parent, name, kind, Mode::empty(), device))?;
        set_owner_and_time(&parent, &name, meta)?;
        // It was just made under a name that nobody else can touch: it is no symlink.
        Ok(rustix::fs::chmodat(&*parent, name.as_c_str(), Mode::from_raw_mode(meta.mode), AtFlags::empty())?)
    }

    fn finish(self) -> Result<Vec<Vec<u8>>, Error> {
        self.drop_marks().doing(|| "cannot remove the marks of an old file system".into())?;
        for (path, time) in self.folders.iter().rev() {
            let (parent, name) = split(path);
            // A folder that was replaced later has no mark.
            let Ok(folder) = self.open_folder(parent) else { continue };
            let _ = rustix::fs::utimensat(&folder, name, time, AtFlags::SYMLINK_NOFOLLOW);
        }
        Ok(self.opaque.into_iter().collect())
    }
}

impl Tree {
    /// Removes the files that identified aufs's hard links: the links themselves exist now.
    fn drop_marks(&self) -> io::Result<()> {
        let name = CString::new(LINKS_OF_AUFS)?;
        match rustix::fs::statat(&self.root, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => remove(self.root.as_fd(), &name, FileType::from_raw_mode(stat.st_mode)),
            Err(_) => Ok(()),
        }
    }
}

/// A path for people: of a long one, its end.
fn shorten(path: &[u8]) -> String {
    const MOST: usize = 120;
    match path.len().checked_sub(MOST) {
        Some(cut @ 1..) => format!("…{}", String::from_utf8_lossy(&path[cut..])),
        _ => String::from_utf8_lossy(path).into_owned(),
    }
}

/// Owner first: chown(2) clears set-id bits and file capabilities. `all`: set owner and mode in any case; else only an
/// owner other than root needs to be set.
fn set_meta(fd: BorrowedFd, meta: &Meta, all: bool) -> io::Result<()> {
    if all || (meta.uid, meta.gid) != (0, 0) {
        rustix::fs::fchown(fd, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))?;
    }
    if all {
        rustix::fs::fchmod(fd, Mode::from_raw_mode(meta.mode))?;
    }
    for (name, value) in &meta.xattrs {
        match rustix::fs::fsetxattr(fd, name.as_slice(), value, XattrFlags::empty()) {
            // Some file systems lack them for users; no layer depends on them.
            Err(Errno::OPNOTSUPP) if name.starts_with(b"user.") => {}
            other => other?,
        }
    }
    Ok(rustix::fs::futimens(fd, &times(meta))?)
}

fn set_owner_and_time(parent: &Parent, name: &CStr, meta: &Meta) -> io::Result<()> {
    if parent.setgid || (meta.uid, meta.gid) != (0, 0) {
        let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
        rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(rustix::fs::utimensat(parent, name, &times(meta), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn times(meta: &Meta) -> Timestamps {
    let time = Timespec { tv_sec: meta.mtime, tv_nsec: meta.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}
