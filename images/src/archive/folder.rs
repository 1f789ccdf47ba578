//! Files of a folder whose content is not trusted.

use crate::{Doing, Error};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// A folder below which files are opened. Symlinks in it can't lead out.
pub struct Folder {
    root: OwnedFd,
}

impl Folder {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty());
        Ok(Self { root: root.doing(|| format!("cannot open `{}`", path.display()))? })
    }

    /// Opens a regular file for reading. `None`: it does not exist.
    pub fn file(&self, path: &str) -> Result<Option<File>, Error> {
        let doing = || format!("cannot read `{}` of the archive", path.escape_default());
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let found = match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
            other => other.doing(doing)?,
        };
        // Checked before it is opened: a FIFO would wait for a writer, a device could do anything.
        let stat = rustix::fs::fstat(&found).doing(doing)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::Hostile(format!("`{}` of the archive is not a regular file", path.escape_default())));
        }
        File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).doing(doing).map(Some)
    }

    /// The same; a missing file is an error.
    pub fn needed(&self, path: &str) -> Result<File, Error> {
        let missing = || Error::Hostile(format!("the archive has no `{}`", path.escape_default()));
        self.file(path)?.ok_or_else(missing)
    }

    /// A document, whole.
    pub fn document(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.file(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let got = file.take(limit + 1).read_to_end(&mut bytes).map_err(io::Error::other);
        let got = got.doing(|| format!("cannot read `{}` of the archive", path.escape_default()))?;
        match got as u64 > limit {
            true => Err(Error::limit("document", format!("a document has more than {limit} bytes"))),
            false => Ok(Some(bytes)),
        }
    }
}
