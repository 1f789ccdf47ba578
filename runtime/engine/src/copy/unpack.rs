//! A tar stream → files below a folder. The stream may be hostile, and the folder may belong to a container that changes
//! it all the time: parents are opened below a root that nothing leads out of, the last part of a path is made new,
//! never followed, and what is a device stays in the stream.

use crate::apart::INSIDE;
use nix::errno::Errno;
use rcr_base::{Doing, Error, Kind, Outcome, errno};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};

/// Whose the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// As the stream says, with setuid bits and file capabilities.
    Kept,
    /// This user's and this group's; programs in them give nobody power.
    Fixed(u32, u32),
}

/// Where the files go.
pub struct Target<'a> {
    /// Nothing leads out of it.
    pub root: BorrowedFd<'a>,
    /// The folder below the root.
    pub folder: &'a Path,
    /// Links in the folder's own tree are followed, as far as they stay below the root (a container's); else they are
    /// errors (the host's: the stream could have put them there).
    pub follow: bool,
    /// Whose the files are.
    pub owner: Owner,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Devices that stayed in the stream.
    pub left_out: Vec<PathBuf>,
}

/// Reads the stream to its end.
pub fn unpack(from: impl Read, target: &Target) -> Outcome<Unpacked> {
    let mut archive = Archive::new(from);
    let mut unpacked = Unpacked::default();
    // A folder gets its mode and times once everything is in it.
    let mut folders: Vec<(PathBuf, Meta)> = Vec::new();
    for entry in archive.entries().doing(|| "cannot read the archive")? {
        let mut entry = entry.doing(|| "cannot read the archive")?;
        let written = PathBuf::from(OsStr::from_bytes(&entry.path_bytes()));
        let Some(path) = target.path(&written)? else { continue };
        let doing = || format!("cannot write `{}`", path.display());
        let meta = Meta::of(&mut entry).doing(doing)?;
        match entry.header().entry_type() {
            EntryType::Directory => {
                target.make_folder(&path).doing(doing)?;
                folders.push((path, meta));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                target.file(&path, &mut entry, &meta).doing(doing)?;
            }
            EntryType::Symlink => target.symlink(&path, &entry, &meta).doing(doing)?,
            EntryType::Link => target.hard_link(&path, &entry).doing(doing)?,
            EntryType::Fifo => target.fifo(&path, &meta).doing(doing)?,
            EntryType::Char | EntryType::Block => unpacked.left_out.push(path),
            _ => {}
        }
    }
    for (path, meta) in folders.into_iter().rev() {
        let doing = || format!("cannot finish the folder `{}`", path.display());
        let folder = target.open(&path, OFlags::RDONLY | OFlags::DIRECTORY).doing(doing)?;
        meta.apply(folder.as_fd(), target.owner).doing(doing)?;
    }
    Ok(unpacked)
}

/// What belongs to a file beside its content.
struct Meta {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: i64,
    attributes: Vec<(CString, Vec<u8>)>,
}

impl Meta {
    fn of<R: Read>(entry: &mut Entry<R>) -> io::Result<Self> {
        let mut attributes = Vec::new();
        for record in entry.pax_extensions()?.into_iter().flatten().flatten() {
            let name = record.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr."));
            let kept = name.filter(|name| name.starts_with("user.") || *name == "security.capability");
            if let Some(name) = kept.and_then(|name| CString::new(name).ok()) {
                attributes.push((name, record.value_bytes().to_vec()));
            }
        }
        let header = entry.header();
        let number = |value: io::Result<u64>| value.ok().and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
        Ok(Self {
            mode: header.mode().unwrap_or(0o644) & 0o7777,
            uid: number(header.uid()),
            gid: number(header.gid()),
            mtime: header.mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0),
            attributes,
        })
    }

    fn owner(&self, owner: Owner) -> (Option<Uid>, Option<Gid>) {
        let (uid, gid) = match owner {
            Owner::Kept => (self.uid, self.gid),
            Owner::Fixed(uid, gid) => (uid, gid),
        };
        (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
    }

    /// Owner, mode, attributes and times, in the order in which none undoes another.
    fn apply(&self, file: BorrowedFd, owner: Owner) -> Result<(), Errno> {
        let (uid, gid) = self.owner(owner);
        let powers = owner == Owner::Kept;
        rustix::fs::fchown(file, uid, gid).map_err(errno)?;
        let mode = if powers { self.mode } else { self.mode & 0o1777 };
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode)).map_err(errno)?;
        for (name, value) in &self.attributes {
            if name.to_bytes().starts_with(b"security.") && !powers {
                continue;
            }
            match rustix::fs::fsetxattr(file, name.as_c_str(), value, XattrFlags::empty()).map_err(errno) {
                // The file system has no such attributes: `cp -a` ignores that, too.
                Err(Errno::EOPNOTSUPP) => {}
                other => other?,
            }
        }
        let time = Timespec { tv_sec: self.mtime, tv_nsec: 0 };
        rustix::fs::futimens(file, &Timestamps { last_access: time, last_modification: time }).map_err(errno)
    }
}

impl Target<'_> {
    /// The path below the root; absent: it is the folder itself.
    fn path(&self, written: &Path) -> Outcome<Option<PathBuf>> {
        let mut clean = PathBuf::new();
        for part in written.components() {
            match part {
                Component::Normal(name) => clean.push(name),
                Component::CurDir | Component::RootDir => {}
                _ => {
                    let error = Error::new(Kind::Invalid, format!("cannot write `{}`", written.display()));
                    return Err(error.caused_by("the archive's path leads out of its folder"));
                }
            }
        }
        Ok((!clean.as_os_str().is_empty()).then(|| self.folder.join(clean)))
    }

    fn inside(&self) -> ResolveFlags {
        match self.follow {
            true => INSIDE,
            false => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        }
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), self.inside()).map_err(errno)
    }

    /// The folder that a path is in, made if it is missing, and the path's last part.
    fn parent<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), Errno> {
        let name = path.file_name().ok_or(Errno::EINVAL)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open(parent, flags) {
            Err(Errno::ENOENT) if parent != Path::new(".") => {
                self.make_folder(parent)?;
                Ok((self.open(parent, flags)?, name))
            }
            other => Ok((other?, name)),
        }
    }

    /// A folder that is there stays, with what is in it.
    fn make_folder(&self, path: &Path) -> Result<(), Errno> {
        let (parent, name) = self.parent(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)).map_err(errno) {
            Err(Errno::EEXIST) => self.open(path, OFlags::PATH | OFlags::DIRECTORY).map(drop),
            other => other,
        }
    }

    /// Removes what is no folder, so that the name can be taken.
    fn make_room(parent: BorrowedFd, name: &OsStr) -> Result<(), Errno> {
        match rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(errno) {
            Err(Errno::ENOENT) => Ok(()),
            other => other,
        }
    }

    fn file<R: Read>(&self, path: &Path, content: &mut Entry<R>, meta: &Meta) -> Outcome<()> {
        let (parent, name) = self.parent(path).doing(|| "open its folder")?;
        let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match Self::make_room(parent.as_fd(), name) {
            // Something is mounted on it, as on `/etc/hosts`: it is written over.
            Err(Errno::EBUSY) => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let object = rustix::fs::openat(&parent, name, flags, Mode::empty()).map_err(errno);
                object.and_then(|object| write_over(object.as_fd()))
            }
            Err(Errno::EISDIR) => Err(Errno::EISDIR),
            Err(other) => Err(other),
            Ok(()) => rustix::fs::openat(&parent, name, new, Mode::from_raw_mode(0o600)).map_err(errno),
        };
        let mut file = File::from(opened.doing(|| "make the file")?);
        io::copy(content, &mut file).doing(|| "write it")?;
        meta.apply(file.as_fd(), self.owner).doing(|| "set its owner, mode and time")
    }

    fn symlink<R: Read>(&self, path: &Path, entry: &Entry<R>, meta: &Meta) -> Outcome<()> {
        let target = entry.link_name_bytes().ok_or_else(|| Error::new(Kind::Invalid, "it leads nowhere"))?;
        let (parent, name) = self.parent(path).doing(|| "open its folder")?;
        Self::make_room(parent.as_fd(), name).doing(|| "remove what is there")?;
        rustix::fs::symlinkat(target.as_ref(), &parent, name).map_err(errno).doing(|| "make the link")?;
        let (uid, gid) = meta.owner(self.owner);
        rustix::fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(errno).doing(|| "set its owner")
    }

    /// A second name of what came before in this stream.
    fn hard_link<R: Read>(&self, path: &Path, entry: &Entry<R>) -> Outcome<()> {
        let written = entry.link_name_bytes().ok_or_else(|| Error::new(Kind::Invalid, "it leads nowhere"))?;
        let first = self.path(Path::new(OsStr::from_bytes(&written)))?;
        let first = first.ok_or_else(|| Error::new(Kind::Invalid, "it names the folder itself"))?;
        let (from, old) = self.parent(&first).doing(|| "open the folder of its other name")?;
        let (parent, name) = self.parent(path).doing(|| "open its folder")?;
        if first == path {
            return Ok(());
        }
        Self::make_room(parent.as_fd(), name).doing(|| "remove what is there")?;
        rustix::fs::linkat(&from, old, &parent, name, AtFlags::empty()).map_err(errno).doing(|| "make the link")
    }

    fn fifo(&self, path: &Path, meta: &Meta) -> Result<(), Errno> {
        let (parent, name) = self.parent(path)?;
        Self::make_room(parent.as_fd(), name)?;
        rustix::fs::mknodat(&parent, name, FileType::Fifo, Mode::from_raw_mode(meta.mode & 0o777), 0).map_err(errno)?;
        let (uid, gid) = meta.owner(self.owner);
        rustix::fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(errno)
    }
}

/// A regular file behind an O_PATH descriptor, emptied for writing: what was looked at is what is written.
fn write_over(object: BorrowedFd) -> Result<OwnedFd, Errno> {
    let stat = rustix::fs::fstat(object).map_err(errno)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::EBUSY);
    }
    let path = format!("/proc/self/fd/{}", object.as_raw_fd());
    rustix::fs::open(path, OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC, Mode::empty()).map_err(errno)
}
