//! The lowest layer of every container: empty files and folders that a start mounts on. An image that lacks one of them
//! would get it in what the container has written otherwise, where `diff` and `commit` would show it, and each start
//! would make it and each end remove it.

use crate::config::Config;
use crate::dirs::Dirs;
use rcr_base::{Doing, Outcome};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Folders with their modes.
const FOLDERS: [(&str, u32); 4] = [("dev", 0o755), ("etc", 0o755), ("proc", 0o555), ("sys", 0o555)];
/// Files of everybody's to read.
const FILES: [&str; 3] = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];

/// Makes the layer where it is missing; it appears whole.
pub fn ensure(dirs: &Dirs) -> Outcome<()> {
    let folder = dirs.mountpoints();
    if folder.is_dir() {
        return Ok(());
    }
    make(&folder).doing(|| format!("cannot make `{}`", folder.display()))
}

fn make(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    let begun = parent.join(format!(".mountpoints-{}", std::process::id()));
    // Left by a killed process that had the number before.
    let _ = fs::remove_dir_all(&begun);
    fs::DirBuilder::new().mode(0o755).create(&begun)?;
    for (name, mode) in FOLDERS {
        fs::create_dir(begun.join(name))?;
        fs::set_permissions(begun.join(name), PermissionsExt::from_mode(mode))?;
    }
    for name in FILES {
        fs::write(begun.join(name), [])?;
        fs::set_permissions(begun.join(name), PermissionsExt::from_mode(0o644))?;
    }
    fs::set_permissions(&begun, PermissionsExt::from_mode(0o755))?;
    match fs::rename(&begun, folder) {
        // Somebody else was faster.
        Err(_) if folder.is_dir() => fs::remove_dir_all(&begun),
        other => other,
    }
}

/// What lies below what a container writes, lowest first: this layer, then its image's.
pub fn layers(dirs: &Dirs, config: &Config) -> Vec<PathBuf> {
    std::iter::once(dirs.mountpoints()).chain(config.image.layers.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_appears_whole_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = Dirs { root: folder.path().to_owned(), run: folder.path().to_owned() };
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(|| drop(ensure(&dirs)))));
        });
        ensure(&dirs).unwrap();
        for (name, mode) in FOLDERS {
            assert_eq!(fs::metadata(dirs.mountpoints().join(name)).unwrap().permissions().mode() & 0o7777, mode);
        }
        assert!(FILES.iter().all(|name| fs::metadata(dirs.mountpoints().join(name)).unwrap().len() == 0));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half done is left");
    }
}
