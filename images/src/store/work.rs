//! Who may do what at the same time: the store's locks.
//!
//! | lock | held | against |
//! |---|---|---|
//! | `lock` | while the index is changed | other changes of it |
//! | `busy`, shared | while blobs and layers are added | the collector, which takes it alone |
//! | `locks/NAME` | while one layer or blob is made | a second maker of the same: it waits, and finds it done |
//!
//! Locks are flock(2): they end with the process that held them.

use super::Store;
use crate::folder::private_folder;
use crate::{Digest, Doing, Error};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Held while the index is changed.
pub struct WriteLock {
    _file: File,
}

/// Held while something is added: nothing is collected meanwhile.
pub struct Busy {
    _file: File,
}

/// The right to make one layer or blob. Its folder below `tmp`, if one was made, is removed with it.
pub struct Making {
    lock: PathBuf,
    folder: PathBuf,
    _file: File,
}

impl Store {
    /// Waits for other writers of the index.
    pub fn lock(&self) -> Result<WriteLock, Error> {
        let path = self.root.join("lock");
        let open = || -> io::Result<File> {
            let file = File::create(&path)?;
            wait(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        };
        Ok(WriteLock { _file: open().doing(|| format!("cannot lock `{}`", path.display()))? })
    }

    /// Begins to add something; removes the leftovers of crashes.
    pub fn begin(&self) -> Result<Busy, Error> {
        let busy = self.busy(FlockOperation::LockShared)?;
        for entry in fs::read_dir(self.root.join("tmp")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Its maker, if it still runs, holds its lock.
            if let Ok(Some(making)) = self.try_making(&name, FlockOperation::NonBlockingLockExclusive) {
                drop(making);
            }
        }
        Ok(busy)
    }

    /// The right to remove unused things, unless somebody is adding something.
    pub(super) fn alone(&self) -> Result<Option<Busy>, Error> {
        match self.busy(FlockOperation::NonBlockingLockExclusive) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => Ok(None),
            other => other.map(Some),
        }
    }

    fn busy(&self, operation: FlockOperation) -> Result<Busy, Error> {
        let path = self.root.join("busy");
        let open = || -> io::Result<File> {
            let file = File::create(&path)?;
            wait(&file, operation)?;
            Ok(file)
        };
        Ok(Busy { _file: open().doing(|| format!("cannot lock `{}`", path.display()))? })
    }

    /// Waits until nobody else makes this layer or blob.
    pub fn begin_making(&self, _busy: &Busy, digest: &Digest) -> Result<Making, Error> {
        let making = self.try_making(digest.hex(), FlockOperation::LockExclusive)?;
        making.ok_or_else(|| Error::Hostile("a lock was neither taken nor refused".into()))
    }

    /// The right to make something with a unique name: for things that have no digest yet.
    pub fn begin_making_new(&self, busy: &Busy, what: &str) -> Result<Making, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let _ = busy;
        let making = self.try_making(&name, FlockOperation::LockExclusive)?;
        making.ok_or_else(|| Error::Hostile("a lock was neither taken nor refused".into()))
    }

    /// `None`: somebody else has it, and we must not wait.
    fn try_making(&self, name: &str, operation: FlockOperation) -> Result<Option<Making>, Error> {
        let path = self.root.join("locks").join(name);
        let making = || -> io::Result<Option<Making>> {
            private_folder(&self.root.join("locks"))?;
            loop {
                let file = File::create(&path)?;
                match wait(&file, operation) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                    other => other?,
                }
                // Its last holder may have removed the file while we waited: then others lock a new one.
                if fs::metadata(&path).is_ok_and(|there| file.metadata().is_ok_and(|own| own.ino() == there.ino())) {
                    let folder = self.root.join("tmp").join(name);
                    remove_all(&folder)?;
                    return Ok(Some(Making { lock: path.clone(), folder, _file: file }));
                }
            }
        };
        making().doing(|| format!("cannot lock `{}`", path.display()))
    }
}

impl Making {
    /// Its folder below `tmp`, whether it was made or not.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A fresh folder below `tmp`.
    pub fn folder(&self) -> Result<&Path, Error> {
        let make = || {
            remove_all(&self.folder)?;
            private_folder(&self.folder)
        };
        make().doing(|| format!("cannot create `{}`", self.folder.display()))?;
        Ok(&self.folder)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let _ = remove_all(&self.folder);
        // While we still hold the lock: a waiter then sees that the file is gone and takes a new one.
        let _ = fs::remove_file(&self.lock);
    }
}

fn wait(file: &File, operation: FlockOperation) -> io::Result<()> {
    loop {
        match flock(file, operation) {
            Err(Errno::INTR) => continue,
            other => return Ok(other?),
        }
    }
}

fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
