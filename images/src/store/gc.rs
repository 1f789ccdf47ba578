//! Removes images, and what no image needs any more.

use super::{Image, Removed, Store, name_of};
use crate::{Digest, Doing, Error, Reference};
use oci_spec::image::ImageManifest;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a prune.
#[derive(Debug)]
pub struct Pruned {
    /// Names and images.
    pub removed: Vec<Removed>,
    /// Packed bytes that were freed.
    pub bytes: u64,
}

/// The users of images.
pub trait Users {
    /// The names of those that use an image.
    fn of(&self, image: &Digest) -> Vec<String>;
    /// Folders of unpacked layers that stay, whatever happens to their images.
    fn layers(&self) -> Vec<PathBuf>;
}

impl Store {
    /// Removes a name, or an image by its id; an image goes with its last name, unless `in_use` names its users.
    pub fn remove(&self, wanted: &str, force: bool, users: &dyn Users) -> Result<Vec<Removed>, Error> {
        let lock = self.lock()?;
        let image = self.resolve(wanted)?;
        let name = wanted.parse::<Reference>().ok().map(|r| r.to_string()).filter(|name| image.names.contains(name));
        let going = match name {
            Some(name) => vec![name],
            None if image.names.len() > 1 && !force => {
                return Err(Error::InUse { name: wanted.to_owned(), users: image.names.clone() });
            }
            None => image.names.clone(),
        };
        let last = going.len() >= image.names.len();
        let using = if last { users.of(&image.id) } else { Vec::new() };
        if !using.is_empty() {
            return Err(Error::InUse { name: wanted.to_owned(), users: using });
        }
        let mut index = self.index()?;
        let mut manifests = index.manifests().clone();
        let digest = image.manifest.to_string();
        manifests.retain(|d| {
            d.digest().to_string() != digest || !(last || name_of(d).is_some_and(|n| going.iter().any(|g| g == n)))
        });
        index.set_manifests(manifests);
        self.write_index(&lock, &index)?;
        let mut removed: Vec<Removed> = going.into_iter().map(Removed::Untagged).collect();
        if last {
            drop(lock);
            self.collect(users)?;
            removed.push(Removed::Deleted(image.id.to_string()));
        }
        Ok(removed)
    }

    /// Removes images that no container uses: those without a name, or all, as far as `wanted` lets them go. Incomplete
    /// layers go, too.
    pub fn prune(&self, all: bool, wanted: &dyn Fn(&Image) -> bool, users: &dyn Users) -> Result<Pruned, Error> {
        let before = self.usage();
        let lock = self.lock()?;
        let mut removed = Vec::new();
        let mut going = BTreeSet::new();
        for (manifest, names) in self.manifests()? {
            let image = self.image(manifest.clone(), Vec::new());
            // An image so damaged that its id is unknown has no user, and nothing that could keep it.
            let stays = image.as_ref().is_ok_and(|image| !users.of(&image.id).is_empty() || !wanted(image));
            if (all || names.is_empty()) && !stays {
                removed.extend(names.into_iter().map(Removed::Untagged));
                removed.push(Removed::Deleted(image.map_or(manifest.clone(), |image| image.id).to_string()));
                going.insert(manifest.to_string());
            }
        }
        let mut index = self.index()?;
        let mut manifests = index.manifests().clone();
        manifests.retain(|d| !going.contains(&d.digest().to_string()));
        index.set_manifests(manifests);
        self.write_index(&lock, &index)?;
        drop(lock);
        self.collect(users)?;
        if let Some(_alone) = self.alone()? {
            sweep(&self.root.join("partial"), &BTreeSet::new()).doing(|| "cannot remove partial layers".into())?;
        }
        Ok(Pruned { removed, bytes: before.saturating_sub(self.usage()) })
    }

    /// Bytes of all packed layers, whole and partial.
    pub fn usage(&self) -> u64 {
        let folders = [self.blobs(), self.root.join("partial")];
        let files = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
    }

    /// Removes blobs and layers that no image in the index needs, and the leftovers of crashes. While somebody adds
    /// something, it is left to the next call.
    pub fn collect(&self, users: &dyn Users) -> Result<(), Error> {
        let Some(_alone) = self.alone()? else { return Ok(()) };
        let _lock = self.lock()?;
        let (mut blobs, mut layers) = (BTreeSet::new(), BTreeSet::new());
        for (digest, names) in self.manifests()? {
            blobs.insert(digest.hex().to_owned());
            // An image with damaged documents keeps nothing else: a new pull makes it whole.
            let Ok(manifest) = self.parse::<ImageManifest>(&digest) else { continue };
            let hex = |text: String| text.trim_start_matches("sha256:").to_owned();
            blobs.insert(hex(manifest.config().digest().to_string()));
            blobs.extend(manifest.layers().iter().map(|d| hex(d.digest().to_string())));
            let Ok(image) = self.image(digest, names) else { continue };
            layers.extend(image.config.rootfs().diff_ids().iter().cloned().map(hex));
        }
        let name = |path: PathBuf| Some(path.parent()?.file_name()?.to_str()?.to_owned());
        layers.extend(users.layers().into_iter().filter_map(name));
        let none = BTreeSet::new();
        sweep(&self.blobs(), &blobs)
            .and_then(|()| sweep(&self.root.join("layers"), &layers))
            .and_then(|()| sweep(&self.root.join("tmp"), &none))
            .and_then(|()| sweep(&self.root.join("locks"), &none))
            .and_then(|()| self.sweep_index())
            .doing(|| "cannot remove unused layers".into())
    }
}

impl Store {
    /// Removes a half-written index whose writer was killed. Both locks are held.
    fn sweep_index(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with("index.json.")) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn sweep(folder: &Path, keep: &BTreeSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| keep.contains(name)) {
            continue;
        }
        let path = entry.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}
