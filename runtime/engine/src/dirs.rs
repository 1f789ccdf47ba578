//! Where everything is kept: the root folder, which outlives a reboot, and the run folder, which need not.

use netd_api::ContainerId;
use rcr_base::{Doing, Outcome, open_to_readers};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The two folders that hold all state of one instance.
#[derive(Debug, Clone)]
pub struct Dirs {
    /// The root folder, which outlives a reboot.
    pub root: PathBuf,
    /// The run folder.
    pub run: PathBuf,
}

impl Dirs {
    /// Makes both folders, readable by root and the group `rcr`.
    pub fn ensure(&self) -> Outcome<()> {
        for dir in [&self.root, &self.run] {
            shared_folder(dir).doing(|| format!("cannot create the state folder `{}`", dir.display()))?;
        }
        Ok(())
    }

    /// One folder for each container, by id.
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// One file for each name of a container.
    pub fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    /// One folder for each volume, by name.
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// The image store.
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// The record of events.
    pub fn events(&self) -> PathBuf {
        self.root.join(rcr_base::events::FOLDER)
    }

    /// What outlives a reboot.
    pub fn container(&self, id: &ContainerId) -> PathBuf {
        self.containers().join(id.as_str())
    }

    /// What need not.
    pub fn container_run(&self, id: &ContainerId) -> PathBuf {
        self.containers_run().join(id.as_str())
    }

    /// The folders of what need not.
    pub fn containers_run(&self) -> PathBuf {
        self.run.join("containers")
    }

    /// The layer that lies below every image (`mountpoints.rs`).
    pub fn mountpoints(&self) -> PathBuf {
        self.root.join("mountpoints")
    }

    /// Folders of containers that are gone, on their way out.
    pub fn removed(&self) -> PathBuf {
        self.root.join("removed")
    }

    /// The JSON-lines log. That of a container of an older rcr is in a folder of its own.
    pub fn log(&self, id: &ContainerId) -> PathBuf {
        let own = self.container(id).join("log");
        if own.is_dir() { own.join("container.log") } else { own.with_file_name("container.log") }
    }
}

/// A folder that the group `rcr` may read, if it exists. It is opened to the group when it is made, never later, when a
/// container's program could interfere.
pub fn shared_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        shared_folder(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => open_to_readers(path),
        // Somebody else made it at the same time.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// A folder of root's own, with its parents.
pub fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
