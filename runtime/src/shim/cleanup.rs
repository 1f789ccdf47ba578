//! What goes when a container ends: its cgroups; with `--rm`, all of it.

use super::config::{CgroupPaths, RemovePaths};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the kernel may take to let go of a cgroup whose last process has just died.
const CGROUP_PATIENCE: Duration = Duration::from_secs(2);

/// Removes the cgroup's folders, and `rcr` above them when this was the last container.
pub fn remove_cgroups(paths: &CgroupPaths) {
    for folder in paths.legacy.iter().chain(&paths.unified) {
        let until = Instant::now() + CGROUP_PATIENCE;
        while let Err(error) = std::fs::remove_dir(folder) {
            let busy = error.raw_os_error() == Some(libc::EBUSY);
            if !busy || Instant::now() > until {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        if let Some(parent) = folder.parent() {
            // Fails while another container is there, which is right.
            let _ = std::fs::remove_dir(parent);
        }
    }
}

/// Removes files, then folders. What is not there is fine.
pub fn remove_paths(paths: &RemovePaths) -> io::Result<()> {
    for file in &paths.files {
        tolerate_absence(std::fs::remove_file(file))?;
    }
    for folder in &paths.folders {
        remove_folder(folder)?;
    }
    Ok(())
}

/// Removes a folder and all below it; symlinks are removed, not followed.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    tolerate_absence(std::fs::remove_dir_all(folder))
}

fn tolerate_absence(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
