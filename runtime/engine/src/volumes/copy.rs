//! Copies a folder with everything that belongs to its files: owners, modes, times, links, extended attributes, and
//! holes as far as the kernel keeps them.
//!
//! The copy works by descriptors and single names, and follows no symlink: neither an image nor a container that
//! already uses the target can redirect it.

use nix::errno::Errno;
use rcr_base::{Doing, Error, Outcome, errno};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Folders below folders: each holds two descriptors open.
const MAX_DEPTH: usize = 1000;
/// The kernel's own limit of a value (XATTR_SIZE_MAX, xattr(7)).
const MAX_XATTR: usize = 64 * 1024;

/// Copies what `source` holds, and its own owner and mode, into the folder `target`.
pub fn copy_tree(source: OwnedFd, target: OwnedFd) -> Outcome<()> {
    let mut copy =
        Copy { root: target.try_clone().doing(|| "copy a descriptor")?, path: Vec::new(), seen: HashMap::new() };
    copy.folder(source, target).map_err(|errno| {
        let path = copy.path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        Error::errno(format!("copy `{path}`"), errno as i32)
    })
}

struct Copy {
    root: OwnedFd,
    /// The current path from the root; after a failure, where it happened.
    path: Vec<CString>,
    /// Files with several names: device and inode of the source to the first copy.
    seen: HashMap<(u64, u64), CString>,
}

impl Copy {
    fn folder(&mut self, source: OwnedFd, target: OwnedFd) -> Result<(), Errno> {
        if self.path.len() > MAX_DEPTH {
            return Err(Errno::ELOOP);
        }
        for entry in Dir::read_from(&source).map_err(errno)? {
            let entry = entry.map_err(errno)?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.path.push(name.to_owned());
            self.entry(source.as_fd(), target.as_fd(), name)?;
            self.path.pop();
        }
        let stat = rustix::fs::fstat(&source).map_err(errno)?;
        finish(source.as_fd(), target.as_fd(), &stat)
    }

    fn entry(&mut self, source: BorrowedFd, target: BorrowedFd, name: &CStr) -> Result<(), Errno> {
        let stat = rustix::fs::statat(source, name, AtFlags::SYMLINK_NOFOLLOW).map_err(errno)?;
        let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(target, name, Mode::from_raw_mode(0o700)).map_err(errno)?;
                let from = rustix::fs::openat(source, name, folder, Mode::empty()).map_err(errno)?;
                let to = rustix::fs::openat(target, name, folder, Mode::empty()).map_err(errno)?;
                self.folder(from, to)
            }
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(source, name, Vec::new()).map_err(errno)?;
                rustix::fs::symlinkat(link.as_c_str(), target, name).map_err(errno)?;
                let (uid, gid) = owner(&stat);
                rustix::fs::chownat(target, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(errno)
            }
            FileType::RegularFile if self.is_linked(target, name, &stat)? => Ok(()),
            FileType::RegularFile => file(source, target, name, &stat),
            // A whiteout of overlayfs, in an image of one layer.
            FileType::CharacterDevice if stat.st_rdev == 0 => Ok(()),
            kind @ (FileType::CharacterDevice | FileType::BlockDevice | FileType::Fifo) => {
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                rustix::fs::mknodat(target, name, kind, mode, stat.st_rdev).map_err(errno)?;
                let (uid, gid) = owner(&stat);
                rustix::fs::chownat(target, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(errno)?;
                rustix::fs::chmodat(target, name, mode, AtFlags::empty()).map_err(errno)
            }
            // A socket without its program is useless.
            _ => Ok(()),
        }
    }

    /// Whether the file was copied under another name already; then it gets this one, too.
    fn is_linked(&mut self, target: BorrowedFd, name: &CStr, stat: &Stat) -> Result<bool, Errno> {
        if stat.st_nlink < 2 {
            return Ok(false);
        }
        let key = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.seen.get(&key) {
            rustix::fs::linkat(&self.root, first.as_c_str(), target, name, AtFlags::empty()).map_err(errno)?;
            return Ok(true);
        }
        let parts: Vec<&[u8]> = self.path.iter().map(|part| part.to_bytes()).collect();
        self.seen.insert(key, CString::new(parts.join(&b'/')).map_err(|_| Errno::EINVAL)?);
        Ok(false)
    }
}

fn file(source: BorrowedFd, target: BorrowedFd, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut from: File = rustix::fs::openat(source, name, flags, Mode::empty()).map_err(errno)?.into();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut to: File = rustix::fs::openat(target, name, flags, Mode::from_raw_mode(0o600)).map_err(errno)?.into();
    std::io::copy(&mut from, &mut to).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))?;
    finish(from.as_fd(), to.as_fd(), stat)
}

/// Sets owner, mode, attributes and times, in the order in which none undoes another: a change of owner clears setuid
/// and capabilities.
fn finish(from: BorrowedFd, to: BorrowedFd, stat: &Stat) -> Result<(), Errno> {
    let (uid, gid) = owner(stat);
    rustix::fs::fchown(to, uid, gid).map_err(errno)?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777)).map_err(errno)?;
    attributes(from, to)?;
    let times = Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    };
    rustix::fs::futimens(to, &times).map_err(errno)
}

fn attributes(from: BorrowedFd, to: BorrowedFd) -> Result<(), Errno> {
    let mut names = vec![0u8; MAX_XATTR];
    let length = match rustix::fs::flistxattr(from, &mut names) {
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
        other => other.map_err(errno)?,
    };
    let mut value = vec![0u8; MAX_XATTR];
    for name in names[..length].split_inclusive(|b| *b == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok()) {
        // overlayfs's own attributes mean something else elsewhere.
        if name.to_bytes().starts_with(b"trusted.overlay.") {
            continue;
        }
        let length = match rustix::fs::fgetxattr(from, name, &mut value) {
            Err(rustix::io::Errno::NODATA) => continue,
            other => other.map_err(errno)?,
        };
        match rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            // The volume's file system has no such attributes: `cp -a` ignores that, too.
            Err(rustix::io::Errno::OPNOTSUPP) => {}
            other => other.map_err(errno)?,
        }
    }
    Ok(())
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    fn open(path: &Path) -> OwnedFd {
        File::open(path).unwrap().into()
    }

    #[test]
    fn everything_that_belongs_to_a_file_comes_along() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("deep/er")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("deep/file"), "text").unwrap();
        fs::hard_link(from.join("deep/file"), from.join("second")).unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        fs::set_permissions(from.join("deep/file"), PermissionsExt::from_mode(0o4711)).unwrap();
        fs::set_permissions(&from, PermissionsExt::from_mode(0o1770)).unwrap();
        std::os::unix::fs::chown(&from, Some(1000), Some(1001)).unwrap();
        std::os::unix::fs::lchown(from.join("link"), Some(7), Some(8)).unwrap();
        rustix::fs::setxattr(from.join("deep"), "user.note", b"kept", XattrFlags::empty()).unwrap();
        copy_tree(open(&from), open(&to)).unwrap();
        let meta = |path: &str| fs::symlink_metadata(to.join(path)).unwrap();
        assert_eq!((meta("").mode() & 0o7777, meta("").uid(), meta("").gid()), (0o1770, 1000, 1001));
        assert_eq!(meta("deep/file").mode() & 0o7777, 0o4711);
        assert_eq!(meta("deep/file").ino(), meta("second").ino());
        assert_eq!((fs::read_link(to.join("link")).unwrap(), meta("link").uid()), ("/etc/passwd".into(), 7));
        let mut value = [0; 8];
        assert_eq!(rustix::fs::getxattr(to.join("deep"), "user.note", &mut value), Ok(4));
        assert_eq!(fs::symlink_metadata(from.join("deep/file")).unwrap().mtime(), meta("deep/file").mtime());
    }

    #[test]
    fn a_link_in_the_target_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to, outside) = (dir.path().join("from"), dir.path().join("to"), dir.path().join("outside"));
        fs::create_dir_all(from.join("a")).unwrap();
        fs::write(from.join("a/file"), "text").unwrap();
        fs::create_dir(&to).unwrap();
        fs::create_dir(&outside).unwrap();
        symlink(&outside, to.join("a")).unwrap();
        assert!(copy_tree(open(&from), open(&to)).unwrap_err().to_string().contains("EEXIST"));
        assert!(fs::read_dir(&outside).unwrap().next().is_none());
    }
}
