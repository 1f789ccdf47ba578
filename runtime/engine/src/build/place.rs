//! Where builds keep what they have: `build` of the root folder, and of the run folder.

use crate::dirs::{Dirs, private_folder};
use crate::size;
use rcr_base::{Doing, Error, Kind, Outcome};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The folders of one build. What is in `work` goes with it; the cache stays.
pub struct Place {
    /// buildah's images: the cache.
    pub storage: PathBuf,
    /// What of it need not outlive a reboot.
    pub run: PathBuf,
    /// This build's own files.
    pub work: PathBuf,
    root: PathBuf,
    /// Held by every build, and by nobody else while something is tidied or removed.
    lock: File,
}

impl Place {
    /// Makes what is missing. Several builds may go on at once.
    pub fn enter(dirs: &Dirs) -> Outcome<Self> {
        let root = dirs.root.join("build");
        let work = root.join("work").join(std::process::id().to_string());
        let doing = || format!("cannot use the folder of builds, `{}`", root.display());
        private_folder(&root).doing(doing)?;
        let lock = File::create(root.join("lock")).doing(doing)?;
        let place = Self { storage: root.join("storage"), run: dirs.run.join("build"), work, root, lock };
        place.take(FlockOperation::LockShared).doing(|| "cannot lock the folder of builds")?;
        // Of a killed build whose process had our number.
        let _ = fs::remove_dir_all(&place.work);
        for folder in [&place.storage, &place.run, &place.work] {
            private_folder(folder).doing(|| format!("cannot create the folder `{}`", folder.display()))?;
        }
        Ok(place)
    }

    fn take(&self, how: FlockOperation) -> io::Result<()> {
        flock(&self.lock, how).map_err(io::Error::from)
    }

    /// Removes what killed builds have left. `more` is done if there was something, and nobody else builds now.
    pub fn tidy(&self, more: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
        let others = fs::read_dir(self.root.join("work")).into_iter().flatten().flatten();
        let dead = |name: &std::ffi::OsStr| !Path::new("/proc").join(name).exists();
        let left: Vec<PathBuf> = others.filter(|entry| dead(&entry.file_name())).map(|entry| entry.path()).collect();
        if left.is_empty() {
            return Ok(());
        }
        // A try gives the lock up that we have; we have begun nothing yet that others could disturb.
        let done = match self.take(FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => more().map(|()| left.iter().for_each(|path| drop(fs::remove_dir_all(path)))),
            Err(_) => Ok(()),
        };
        self.take(FlockOperation::LockShared).doing(|| "cannot lock the folder of builds")?;
        done
    }

    /// Removes the cache: the bytes that were freed.
    pub fn remove(self) -> Outcome<u64> {
        if self.take(FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Error::new(Kind::InUse, "cannot remove the cache of builds")
                .caused_by("something is being built")
                .hint("try again when that has ended"));
        }
        let freed = size::folder(&self.storage);
        for folder in [&self.storage, &self.run] {
            fs::remove_dir_all(folder).doing(|| format!("cannot remove `{}`", folder.display()))?;
        }
        Ok(freed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.work);
    }
}
