//! Removing images, and what nothing needs any more.

use super::{Removed, Store, name_of};
use crate::{Digest, Doing, Error, Reference};
use oci_spec::image::ImageManifest;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

impl Store {
    /// Removes a name, or an image by its id; with its last name an image goes, unless `in_use` names users of it.
    pub fn remove(
        &self,
        wanted: &str,
        force: bool,
        in_use: &dyn Fn(&Digest) -> Vec<String>,
    ) -> Result<Vec<Removed>, Error> {
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
        let users = if last { in_use(&image.id) } else { Vec::new() };
        if !users.is_empty() {
            return Err(Error::InUse { name: wanted.to_owned(), users });
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
            self.collect()?;
            removed.push(Removed::Deleted(image.id.to_string()));
        }
        Ok(removed)
    }

    /// Removes blobs and layers that no image of the index needs. While somebody adds something, it is left to the next one.
    pub fn collect(&self) -> Result<(), Error> {
        let Some(_alone) = self.alone()? else { return Ok(()) };
        let (mut blobs, mut layers) = (BTreeSet::new(), BTreeSet::new());
        for (digest, names) in self.manifests()? {
            blobs.insert(digest.hex().to_owned());
            // An image whose documents are damaged keeps nothing else: pulled again, it comes whole.
            let Ok(manifest) = self.parse::<ImageManifest>(&digest) else { continue };
            let hex = |text: String| text.trim_start_matches("sha256:").to_owned();
            blobs.insert(hex(manifest.config().digest().to_string()));
            blobs.extend(manifest.layers().iter().map(|d| hex(d.digest().to_string())));
            let Ok(image) = self.image(digest, names) else { continue };
            layers.extend(image.config.rootfs().diff_ids().iter().cloned().map(hex));
        }
        sweep(&self.blobs(), &blobs)
            .and_then(|()| sweep(&self.root.join("layers"), &layers))
            .doing(|| "cannot remove unused layers".into())
    }
}

fn sweep(folder: &Path, keep: &BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| keep.contains(name)) {
            continue;
        }
        let path = entry.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}
