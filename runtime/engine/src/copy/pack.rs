//! A file or a tree → a tar stream (pax and GNU headers, as `tar` reads them).
//!
//! The tree may change all the time under the hands of whoever owns it: every step is by descriptor and single name, and
//! nothing is opened for reading before it is known to be a regular file or a folder. No link is followed but the one
//! that the caller has followed.

use nix::errno::Errno;
use rcr_base::{Doing, Error, Kind, Outcome, errno};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, StatxFlags};
use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// Folders below folders: each holds two descriptors open.
const MAX_DEPTH: usize = 1000;
/// The kernel's own limit of a value (XATTR_SIZE_MAX, xattr(7)).
const MAX_XATTR: usize = 64 * 1024;

/// What is packed, and how it is called in the stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Mounts below the tree are folders without content.
    pub one_file_system: bool,
    /// The tree's own entry is left out, and with it its owner and mode.
    pub content_only: bool,
}

/// Writes `object` (an O_PATH descriptor) as `name`, with everything below it; returns the bytes of all files.
pub fn pack(object: OwnedFd, name: &Path, to: impl Write, options: Options) -> Outcome<u64> {
    let mut pack = Pack::new(to, object.as_fd(), options)?;
    pack.entry(object, name, options.content_only)?;
    pack.finish()
}

/// A stream that entries are added to.
pub struct Pack<W: Write> {
    builder: Builder<W>,
    options: Options,
    mount: u64,
    /// Files with several names: device and inode to the first name.
    seen: HashMap<(u64, u64), PathBuf>,
    bytes: u64,
    depth: usize,
}

/// statx(2)'s number of the mount that something is on.
fn mount_id(folder: BorrowedFd, name: &CStr) -> Result<u64, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(folder, name, flags, StatxFlags::MNT_ID).map(|stat| stat.stx_mnt_id).map_err(errno)
}

impl<W: Write> Pack<W> {
    /// An empty stream. `root`: what will be packed, for the mount that it is on.
    pub fn new(to: W, root: BorrowedFd, options: Options) -> Outcome<Self> {
        let mount = mount_id(root, c"").doing(|| "look at what is to be copied")?;
        Ok(Self { builder: Builder::new(to), options, mount, seen: HashMap::new(), bytes: 0, depth: 0 })
    }

    /// Ends the stream; the bytes of all files.
    pub fn finish(self) -> Outcome<u64> {
        self.builder.into_inner().doing(|| "end the archive")?;
        Ok(self.bytes)
    }

    /// An empty file with a name that says something.
    pub fn mark(&mut self, name: &Path) -> Outcome<()> {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        self.builder.append_data(&mut header, name, io::empty()).doing(|| format!("cannot mark `{}`", name.display()))
    }

    /// An object with all that is below it. `content_only`: without its own entry.
    pub fn entry(&mut self, object: OwnedFd, name: &Path, content_only: bool) -> Outcome<()> {
        let stat = rustix::fs::fstat(&object).map_err(errno);
        let stat = stat.doing(|| format!("cannot copy `{}`", name.display()))?;
        let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !content_only {
            self.own_entry(&object, &stat, name)?;
        }
        if folder { self.folder(object, if content_only { Path::new("") } else { name }) } else { Ok(()) }
    }

    /// What is in a folder that has its own entry already.
    pub fn content(&mut self, object: OwnedFd, name: &Path) -> Outcome<()> {
        self.folder(object, name)
    }

    /// An object's own entry.
    pub fn own_entry(&mut self, object: &OwnedFd, stat: &Stat, name: &Path) -> Outcome<()> {
        let doing = || format!("cannot copy `{}`", name.display());
        let kind = FileType::from_raw_mode(stat.st_mode);
        if let Some(first) = self.known(kind, stat, name) {
            let mut header = header(stat, EntryType::Link, 0);
            return self.builder.append_link(&mut header, name, first).doing(doing);
        }
        match kind {
            FileType::Directory => {
                self.attributes(object.as_fd())?;
                let mut header = header(stat, EntryType::Directory, 0);
                self.builder.append_data(&mut header, name.join(""), io::empty()).doing(doing)
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(object, c"", Vec::new()).map_err(errno).doing(doing)?;
                let mut header = header(stat, EntryType::Symlink, 0);
                let target = Path::new(std::ffi::OsStr::from_bytes(target.as_bytes()));
                self.builder.append_link(&mut header, name, target).doing(doing)
            }
            FileType::RegularFile => {
                self.attributes(object.as_fd())?;
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                let mut header = header(stat, EntryType::Regular, size);
                self.bytes += size;
                let content = Exactly { file: reopen(object.as_fd()).doing(doing)?, left: size };
                self.builder.append_data(&mut header, name, content).doing(doing)
            }
            FileType::Fifo => self.special(stat, EntryType::Fifo, name),
            FileType::CharacterDevice => self.special(stat, EntryType::Char, name),
            FileType::BlockDevice => self.special(stat, EntryType::Block, name),
            // A socket without its program is useless, and tar has no word for it.
            _ => Ok(()),
        }
    }

    fn special(&mut self, stat: &Stat, kind: EntryType, name: &Path) -> Outcome<()> {
        let doing = || format!("cannot copy `{}`", name.display());
        let mut header = header(stat, kind, 0);
        if kind != EntryType::Fifo {
            header.set_device_major(rustix::fs::major(stat.st_rdev)).doing(doing)?;
            header.set_device_minor(rustix::fs::minor(stat.st_rdev)).doing(doing)?;
        }
        self.builder.append_data(&mut header, name, io::empty()).doing(doing)
    }

    fn folder(&mut self, object: OwnedFd, name: &Path) -> Outcome<()> {
        let doing = || format!("cannot read the folder `{}`", name.display());
        if self.depth > MAX_DEPTH {
            return Err(Error::new(Kind::Invalid, doing()).caused_by("it is too deep"));
        }
        self.depth += 1;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&object, c".", flags, Mode::empty()).map_err(errno).doing(doing)?;
        drop(object);
        for entry in Dir::read_from(&folder).map_err(errno).doing(doing)? {
            let entry = entry.map_err(errno).doing(doing)?;
            let inner = entry.file_name();
            if inner == c"." || inner == c".." {
                continue;
            }
            let path = name.join(std::ffi::OsStr::from_bytes(inner.to_bytes()));
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(&folder, inner, flags, Mode::empty()).map_err(errno) {
                // It went away meanwhile.
                Err(Errno::ENOENT) => {}
                Err(other) => return Err(other).doing(|| format!("cannot copy `{}`", path.display())),
                Ok(object) => self.below(object, &path)?,
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn below(&mut self, object: OwnedFd, path: &Path) -> Outcome<()> {
        let doing = || format!("cannot copy `{}`", path.display());
        if self.options.one_file_system && mount_id(object.as_fd(), c"").doing(doing)? != self.mount {
            let stat = rustix::fs::fstat(&object).map_err(errno).doing(doing)?;
            let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let kind = if folder { EntryType::Directory } else { EntryType::Regular };
            let mut header = header(&stat, kind, 0);
            let name = if folder { path.join("") } else { path.to_owned() };
            return self.builder.append_data(&mut header, name, io::empty()).doing(doing);
        }
        self.entry(object, path, false)
    }

    /// The name by which a file with several ones is in the stream already.
    fn known(&mut self, kind: FileType, stat: &Stat, name: &Path) -> Option<PathBuf> {
        if kind != FileType::RegularFile || stat.st_nlink < 2 {
            return None;
        }
        let first = self.seen.get(&(stat.st_dev, stat.st_ino)).cloned();
        if first.is_none() {
            self.seen.insert((stat.st_dev, stat.st_ino), name.to_owned());
        }
        first
    }

    /// Extended attributes as pax records of the entry that follows.
    fn attributes(&mut self, object: BorrowedFd) -> Outcome<()> {
        let found = attributes(object).doing(|| "read extended attributes")?;
        let records = found.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        if found.is_empty() {
            return Ok(());
        }
        self.builder.append_pax_extensions(records).doing(|| "write extended attributes")
    }
}

/// A regular file or a folder behind an O_PATH descriptor, for reading: what was looked at is what is read.
fn reopen(object: BorrowedFd) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", object.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// `SCHILY.xattr.…` and the value, of the attributes that users and programs set.
fn attributes(object: BorrowedFd) -> io::Result<Vec<(String, Vec<u8>)>> {
    let file = reopen(object)?;
    let mut names = vec![0u8; MAX_XATTR];
    let length = match rustix::fs::flistxattr(&file, &mut names) {
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(Vec::new()),
        other => other?,
    };
    let mut all = Vec::new();
    for name in names[..length].split_inclusive(|b| *b == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok()) {
        let Ok(text) = name.to_str() else { continue };
        if !(text.starts_with("user.") || text == "security.capability") {
            continue;
        }
        let mut value = vec![0u8; MAX_XATTR];
        if let Ok(length) = rustix::fs::fgetxattr(&file, name, &mut value) {
            value.truncate(length);
            all.push((format!("SCHILY.xattr.{text}"), value));
        }
    }
    Ok(all)
}

fn header(stat: &Stat, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(size);
    header
}

/// So many bytes of a file: one that grows is cut, one that shrinks is filled up, or the archive would be broken.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let got = match self.file.read(&mut buffer[..most])? {
            0 => {
                buffer[..most].fill(0);
                most
            }
            got => got,
        };
        self.left -= got as u64;
        Ok(got)
    }
}
