//! The folder of what a container has written: used by one at a time. overlayfs does not say what happens when two mounts
//! share it (overlayfs.rst, "Sharing and copying layers").

use crate::config::Config;
use crate::dirs::{Dirs, private_folder};
use rcr_base::{Doing, Error, Kind, Outcome, command};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a start waits for a copy, and a copy for a start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the snapshot for as long as the file is open. Whoever starts the container holds it until its state says so.
pub fn lock(dirs: &Dirs, config: &Config) -> Outcome<File> {
    let folder = dirs.container(&config.id);
    let doing = || format!("cannot use the files of container `{}`", config.name);
    let file = File::open(&folder).doing(doing)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::new(Kind::InUse, doing())
                    .caused_by("somebody else uses them: a start, or a copy that goes on")
                    .hint(format!("wait for it, or look for it with {}", command::list_containers())));
            }
            Err(error) => return Err(io::Error::from(error)).doing(doing),
        }
    }
}

/// The folders of what it has written, upper and work: below one of root's own, so that nobody may find what a
/// container's root makes setuid. They outlive stops.
pub fn folders(dirs: &Dirs, config: &Config) -> Outcome<(PathBuf, PathBuf)> {
    let root = dirs.container(&config.id).join("snapshot");
    let (upper, work) = (root.join("upper"), root.join("work"));
    for folder in [&upper, &work] {
        private_folder(folder).doing(|| format!("cannot create `{}`", folder.display()))?;
    }
    // The upper folder's mode is that of the container's root: everybody in it must be able to look.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&upper, mode).doing(|| format!("cannot open up `{}`", upper.display()))?;
    Ok((upper, work))
}
