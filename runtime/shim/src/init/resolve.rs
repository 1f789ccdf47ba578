//! Resolves paths below the container's root as the kernel would with the mounts made so far, and makes what is missing
//! on the way: `/var/lock` is `/run/lock` in most images, and `--tmpfs /run` has no `lock` yet; a symlink may lead to
//! what is made later.
//!
//! Nothing here allocates: this runs in the container's child. No link leads out of the root, and none of procfs is
//! followed.

use super::open::{PROC_MAGIC, in_parent, open_in};
use nix::errno::Errno;
use rcr_base::errno;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const PATH_MAX: usize = libc::PATH_MAX as usize;
/// As the kernel's own limit (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// What the last part of a path must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// A folder.
    Folder,
    /// A file.
    File,
}

/// Opens the target of `path`, for a mount on it (O_PATH). Missing folders on the way, and the last part, are made.
pub fn make(root: BorrowedFd, path: &CStr, last: Last) -> Result<OwnedFd, Errno> {
    let mut walk = Walk::new(path.to_bytes())?;
    loop {
        if !walk.next()? {
            // Only the root has no name.
            return match last {
                Last::Folder => {
                    open_in(root, walk.path()?, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS)
                }
                Last::File => Err(Errno::EISDIR),
            };
        }
        let want = if walk.is_at_end() { last } else { Last::Folder };
        let found = match open_in(root, walk.path()?, OFlags::PATH | OFlags::NOFOLLOW, ResolveFlags::NO_SYMLINKS) {
            Err(Errno::ENOENT) => {
                make_last(root, walk.path()?, want)?;
                open_in(root, walk.path()?, OFlags::PATH | OFlags::NOFOLLOW, ResolveFlags::NO_SYMLINKS)?
            }
            other => other?,
        };
        match (FileType::from_raw_mode(rustix::fs::fstat(&found).map_err(errno)?.st_mode), want) {
            (FileType::Symlink, _) => walk.follow(found.as_fd())?,
            (FileType::Directory, Last::File) => return Err(Errno::EISDIR),
            (FileType::Directory, Last::Folder) => {}
            (_, Last::File) => return walk.accept(found),
            (_, Last::Folder) => return Err(Errno::ENOTDIR),
        }
        if walk.is_at_end() && want == last && walk.is_settled {
            return walk.accept(found);
        }
    }
}

fn make_last(root: BorrowedFd, path: &CStr, last: Last) -> Result<(), Errno> {
    let made = in_parent(root, path, |dir, name| match last {
        Last::Folder => rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)),
        Last::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    });
    match made {
        Err(Errno::EEXIST) => Ok(()),
        other => other,
    }
}

/// A path being resolved: the part that is free of symlinks, and the rest.
struct Walk {
    done: [u8; PATH_MAX],
    done_len: usize,
    /// Right-aligned, so that a link's text can be put before it.
    rest: [u8; 2 * PATH_MAX],
    rest_at: usize,
    links: u32,
    /// The last part taken was no symlink.
    is_settled: bool,
}

impl Walk {
    fn new(path: &[u8]) -> Result<Self, Errno> {
        let mut walk = Self {
            done: [0; PATH_MAX],
            done_len: 0,
            rest: [0; 2 * PATH_MAX],
            rest_at: 2 * PATH_MAX,
            links: 0,
            is_settled: true,
        };
        walk.prepend(path)?;
        Ok(walk)
    }

    fn prepend(&mut self, text: &[u8]) -> Result<(), Errno> {
        let start = self.rest_at.checked_sub(text.len() + 1).ok_or(Errno::ENAMETOOLONG)?;
        self.rest[start..start + text.len()].copy_from_slice(text);
        self.rest[start + text.len()] = b'/';
        self.rest_at = start;
        Ok(())
    }

    /// Takes the next part. False: there is none.
    fn next(&mut self) -> Result<bool, Errno> {
        self.is_settled = true;
        loop {
            while self.rest.get(self.rest_at) == Some(&b'/') {
                self.rest_at += 1;
            }
            let rest = &self.rest[self.rest_at..];
            let length = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
            let (start, part) = (self.rest_at, &rest[..length]);
            match part {
                b"" => return Ok(false),
                b"." => {}
                b".." => self.pop(),
                _ => {
                    let separator = usize::from(self.done_len > 0);
                    if self.done_len + separator + length >= PATH_MAX {
                        return Err(Errno::ENAMETOOLONG);
                    }
                    if separator == 1 {
                        self.done[self.done_len] = b'/';
                    }
                    let at = self.done_len + separator;
                    self.done[at..at + length].copy_from_slice(&self.rest[start..start + length]);
                    self.done_len = at + length;
                    self.rest_at = start + length;
                    return Ok(true);
                }
            }
            self.rest_at = start + length;
        }
    }

    fn pop(&mut self) {
        self.done_len = self.done[..self.done_len].iter().rposition(|b| *b == b'/').unwrap_or(0);
    }

    fn is_at_end(&self) -> bool {
        self.rest[self.rest_at..].iter().all(|b| *b == b'/')
    }

    /// What is resolved so far, for a system call; the root is `.`.
    fn path(&mut self) -> Result<&CStr, Errno> {
        if self.done_len == 0 {
            return Ok(c".");
        }
        self.done[self.done_len] = 0;
        CStr::from_bytes_until_nul(&self.done).map_err(|_| Errno::EINVAL)
    }

    /// The last part is a link: its text takes its place.
    fn follow(&mut self, link: BorrowedFd) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MAX_LINKS || is_procfs(link)? {
            return Err(Errno::ELOOP);
        }
        let mut text = [0u8; PATH_MAX];
        let length = rustix::fs::readlinkat_raw(link, c"", &mut text).map_err(errno)?;
        let text = &text[..length];
        match text.first() {
            Some(b'/') => self.done_len = 0,
            _ => self.pop(),
        }
        self.is_settled = false;
        self.prepend(text)
    }

    /// An image's symlink must not lead into procfs: a mount there would hide what the kernel shows.
    fn accept(&self, found: OwnedFd) -> Result<OwnedFd, Errno> {
        if self.links > 0 && is_procfs(found.as_fd())? { Err(Errno::ELOOP) } else { Ok(found) }
    }
}

fn is_procfs(file: BorrowedFd) -> Result<bool, Errno> {
    Ok(rustix::fs::fstatfs(file).map_err(errno)?.f_type == PROC_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt, symlink};

    /// The file or folder that a path ends at, by a path on the outside.
    fn ends_at(root: &std::path::Path, path: &str, last: Last, at: &str) {
        let fd: OwnedFd = File::open(root).unwrap().into();
        let path = std::ffi::CString::new(path).unwrap();
        let found = make(fd.as_fd(), &path, last).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        assert_eq!(rustix::fs::fstat(&found).unwrap().st_ino, fs::metadata(root.join(at)).unwrap().ino(), "{path:?}");
    }

    #[test]
    fn links_lead_where_the_kernel_would_go_and_the_missing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("var/deep")).unwrap();
        symlink("/run/lock", root.join("var/lock")).unwrap();
        symlink("../../run/x", root.join("var/deep/x")).unwrap();
        symlink("../../../../out", root.join("up")).unwrap();
        symlink("/missing/file", root.join("file")).unwrap();
        fs::write(root.join("plain"), "").unwrap();
        symlink("plain", root.join("to-plain")).unwrap();
        ends_at(root, "var/lock", Last::Folder, "run/lock");
        ends_at(root, "var/lock/below/it", Last::Folder, "run/lock/below/it");
        ends_at(root, "var/deep/x", Last::Folder, "run/x");
        ends_at(root, "up/a", Last::Folder, "out/a");
        ends_at(root, "file", Last::File, "missing/file");
        ends_at(root, "to-plain", Last::File, "plain");
        ends_at(root, "new/file", Last::File, "new/file");
        ends_at(root, "", Last::Folder, ".");
        ends_at(root, "a/../b//./c/", Last::Folder, "b/c");
    }

    #[test]
    fn what_cant_be_mounted_on_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        symlink("loop", root.join("loop")).unwrap();
        fs::write(root.join("plain"), "").unwrap();
        fs::create_dir(root.join("folder")).unwrap();
        let fd: OwnedFd = File::open(root).unwrap().into();
        assert_eq!(make(fd.as_fd(), c"loop", Last::Folder).unwrap_err(), Errno::ELOOP);
        assert_eq!(make(fd.as_fd(), c"plain/x", Last::Folder).unwrap_err(), Errno::ENOTDIR);
        assert_eq!(make(fd.as_fd(), c"plain", Last::Folder).unwrap_err(), Errno::ENOTDIR);
        assert_eq!(make(fd.as_fd(), c"folder", Last::File).unwrap_err(), Errno::EISDIR);
        // The machine's own root stands for a container's: a link to procfs, and one of it.
        let machine: OwnedFd = File::open("/").unwrap().into();
        assert_eq!(make(machine.as_fd(), c"proc/self/root/tmp", Last::Folder).unwrap_err(), Errno::ELOOP);
        let inside = root.join("to-proc");
        symlink("/proc/version", &inside).unwrap();
        let path = std::ffi::CString::new(inside.to_str().unwrap().trim_start_matches('/')).unwrap();
        assert_eq!(make(machine.as_fd(), &path, Last::File).unwrap_err(), Errno::ELOOP);
    }
}
