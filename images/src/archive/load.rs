//! `load`: an archive or a folder into the store.
//!
//! The archive itself is unpacked like a layer, by `rcr-unpack` into a folder of its own; that folder is then read like
//! one from the user.

use super::folder::Folder;
use super::{CONTAINERD_NAME, DockerImage};
use crate::folder::private_folder;
use crate::import::{describe_manifest, media_type};
use crate::layer::{self, Passed};
use crate::remote::document::{self, Document, LayerPlan, Platform, check_bytes, digest_of};
use crate::store::{Busy, REF_NAME};
use crate::unpack::wire::Job;
use crate::{Digest, Doing, Error, Image, Reference, Store, parallel};
use oci_spec::image::{Descriptor, MediaType};
use rustix::fs::{AtFlags, CWD, Gid, Mode, Uid};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// An image that was loaded, and the names it was given.
#[derive(Debug)]
pub struct Loaded {
    /// The image, as it is in the store now.
    pub image: Image,
    /// Empty: it has its id alone.
    pub names: Vec<Reference>,
}

/// Loads all images of an archive: Docker's or OCI's, compressed or not. `progress` gets the bytes unpacked so far.
pub fn load(
    store: &Store,
    archive: OwnedFd,
    platform: Option<&Platform>,
    threads: usize,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<Loaded>, Error> {
    let busy = store.begin()?;
    let making = store.begin_making_new(&busy, "load")?;
    let job = Job { limits: *store.limits(), size: None, keep: false, unpack: true };
    let taken = layer::pass(making.folder()?, archive, None, &job, &mut |_, bytes| progress(bytes));
    taken.map_err(|stopped| stopped.error)?;
    from(store, &busy, &making.path().join("fs"), platform, threads, true)
}

/// Loads all images of a folder: an OCI layout, or what an archive of Docker's unpacks to.
pub fn load_folder(
    store: &Store,
    folder: &Path,
    platform: Option<&Platform>,
    threads: usize,
) -> Result<Vec<Loaded>, Error> {
    from(store, &store.begin()?, folder, platform, threads, false)
}

fn from(
    store: &Store,
    busy: &Busy,
    folder: &Path,
    platform: Option<&Platform>,
    threads: usize,
    own: bool,
) -> Result<Vec<Loaded>, Error> {
    let load = Load { store, busy, folder: Folder::open(folder)?, threads, own };
    let limit = store.limits().document;
    let index = load.folder.document("index.json", limit)?;
    let list = load.folder.document("manifest.json", limit)?;
    let platform = platform.cloned().unwrap_or_default();
    // Docker writes both; if the index has no image for this platform, the list may.
    let ready = match (index, list) {
        (Some(index), list) => match (load.oci(&index, &platform), list) {
            (Err(_), Some(list)) => load.docker(&list),
            (done, _) => done,
        },
        (None, Some(list)) => load.docker(&list),
        (None, None) => Err(Error::NoImage),
    }?;
    // All or none: names are given once every layer is there.
    ready.into_iter().map(|image| load.name(image)).collect()
}

/// An image whose layers are in the store.
struct Ready {
    config: Vec<u8>,
    manifest: Vec<u8>,
    media_type: MediaType,
    names: Vec<Reference>,
}

struct Load<'a> {
    store: &'a Store,
    busy: &'a Busy,
    folder: Folder,
    threads: usize,
    /// We made this folder, on the store's file system, and nobody else uses it: its files may be moved into the store.
    own: bool,
}

impl Load<'_> {
    /// Every image of an OCI layout.
    fn oci(&self, index: &[u8], platform: &Platform) -> Result<Vec<Ready>, Error> {
        let Document::Index(index) = Document::parse(index)? else {
            return Err(Error::Hostile("its `index.json` is not an index".into()));
        };
        // Attestations, signatures and other artifacts are stored beside images.
        let images: Vec<&Descriptor> = index.manifests().iter().filter(|entry| !document::is_beside(entry)).collect();
        if images.is_empty() {
            return Err(Error::Hostile("it contains no image".into()));
        }
        // There may be builds for several platforms: if one is for ours, the others are skipped.
        let fits = |entry: &&Descriptor| {
            entry.platform().as_ref().is_none_or(|p| {
                let (os, architecture) = (p.os().to_string(), p.architecture().to_string());
                platform.takes(&Platform { os, architecture, variant: p.variant().clone() })
            })
        };
        let ours = images.iter().any(|entry| entry.platform().is_some() && fits(entry));
        let images = images.into_iter().filter(|entry| !ours || fits(entry));
        let ready = images.map(|entry| self.oci_image(entry, platform)).filter_map(Result::transpose);
        let ready = ready.collect::<Result<Vec<Ready>, Error>>()?;
        if ready.is_empty() { Err(Error::Hostile("it contains no image".into())) } else { Ok(ready) }
    }

    /// `None`: it is not an image.
    fn oci_image(&self, entry: &Descriptor, platform: &Platform) -> Result<Option<Ready>, Error> {
        let mut descriptor = entry.clone();
        for _ in 0..3 {
            let bytes = self.blob(&descriptor)?;
            match Document::parse(&bytes)? {
                Document::Index(index) => descriptor = document::choose(&index, platform)?.clone(),
                Document::Manifest(manifest) if !document::is_image(&manifest) => return Ok(None),
                Document::Manifest(manifest) => {
                    let config = self.blob(manifest.config())?;
                    let plans = document::layers(&manifest, &document::config(&config)?.0, self.store.limits())?;
                    let mut seen = BTreeSet::new();
                    let todo: Vec<LayerPlan> = plans.into_iter().filter(|p| seen.insert(p.diff_id.clone())).collect();
                    parallel::each(&todo, self.threads, &|| (), &|plan| {
                        let file = self.folder.needed(&blob_path(&plan.digest))?;
                        self.layer(file, &plan.diff_id, Some(plan)).map(drop)
                    })?;
                    let media_type = manifest.media_type().clone().unwrap_or(MediaType::ImageManifest);
                    return Ok(Some(Ready { config, manifest: bytes, media_type, names: names_of(entry) }));
                }
            }
        }
        Err(Error::Hostile("its indexes are nested too deeply".into()))
    }

    /// A small blob, checked.
    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let digest = digest_of(descriptor)?;
        let path = blob_path(&digest);
        let bytes = self.folder.document(&path, self.store.limits().document)?;
        let bytes = bytes.ok_or_else(|| Error::Hostile(format!("the archive has no `{path}`")))?;
        check_bytes(&bytes, &digest, Some(descriptor.size()))?;
        Ok(bytes)
    }

    /// Every image of Docker's archive. Its layers are named by path; the config says what they must unpack to.
    fn docker(&self, list: &[u8]) -> Result<Vec<Ready>, Error> {
        let images = DockerImage::list(list, self.store.limits())?;
        images.iter().map(|image| self.docker_image(image)).collect()
    }

    fn docker_image(&self, image: &DockerImage) -> Result<Ready, Error> {
        let missing = || Error::Hostile(format!("the archive has no `{}`", image.config.escape_default()));
        let limits = self.store.limits();
        let config = self.folder.document(&image.config, limits.document)?.ok_or_else(missing)?;
        let (parsed, _) = document::config(&config)?;
        let diff_ids = parsed.rootfs().diff_ids();
        if diff_ids.len() != image.layers.len() {
            let (layers, ids) = (image.layers.len(), diff_ids.len());
            return Err(Error::Hostile(format!("its manifest has {layers} layers, its config {ids}")));
        }
        // One that occurs several times, as empty ones do, is read once.
        let mut seen = BTreeSet::new();
        let pairs: Vec<(&String, &String)> =
            image.layers.iter().zip(diff_ids).filter(|(_, diff_id)| seen.insert(*diff_id)).collect();
        let passed = parallel::each(&pairs, self.threads, &|| (), &|(path, diff_id)| {
            let wrong =
                |why| Error::Hostile(format!("the diff id `{}` cannot be used: {why}", diff_id.escape_default()));
            let passed = self.layer(self.folder.needed(path)?, &diff_id.parse().map_err(wrong)?, None)?;
            Ok((media_type(passed.compression), passed.digest, passed.size))
        })?;
        let by_id: BTreeMap<&String, _> = pairs.iter().map(|(_, diff_id)| *diff_id).zip(passed).collect();
        let layers: Vec<_> = diff_ids.iter().filter_map(|diff_id| by_id.get(diff_id).cloned()).collect();
        let manifest = describe_manifest(&config, &layers)?;
        Ok(Ready { config, manifest, media_type: MediaType::ImageManifest, names: image.names() })
    }

    /// Adds one layer from a file. `plan` says what its packed bytes must be, if that is known.
    fn layer(&self, mut file: File, diff_id: &Digest, plan: Option<&LayerPlan>) -> Result<Passed, Error> {
        let making = self.store.begin_making(self.busy, diff_id)?;
        let folder = making.folder()?;
        let (unpacked, packed) = (folder.join("layer"), folder.join("packed"));
        private_folder(&unpacked).doing(|| format!("cannot create `{}`", unpacked.display()))?;
        let known = plan.is_some_and(|plan| self.store.has_blob(&plan.digest, plan.size));
        let missing = !self.store.layer(diff_id).is_dir();
        let kept = || OpenOptions::new().read(true).write(true).create_new(true).open(&packed);
        let kept = match known || self.own {
            true => None,
            false => Some(kept().doing(|| format!("cannot create `{}`", packed.display()))?),
        };
        let own = file.try_clone().doing(|| "cannot read the archive".into())?;
        std::io::Seek::rewind(&mut file).doing(|| "cannot read the archive".into())?;
        let job =
            Job { limits: *self.store.limits(), size: plan.map(|p| p.size), keep: kept.is_some(), unpack: missing };
        let passed = layer::pass(&unpacked, file.into(), kept, &job, &mut |_, _| ()).map_err(|s| s.error)?;
        if passed.diff_id != *diff_id {
            let (digest, got) = (&passed.digest, &passed.diff_id);
            return Err(Error::Hostile(format!(
                "layer {digest} unpacks to {got}, not to {diff_id} as the image's config says"
            )));
        }
        if let Some(plan) = plan.filter(|plan| plan.digest != passed.digest || plan.size != passed.size) {
            return Err(plan.wrong(&passed.digest, passed.size));
        }
        if !known {
            if self.own {
                adopt(&own, &packed).doing(|| format!("cannot create `{}`", packed.display()))?;
            }
            self.store.commit_blob(&packed, &passed.digest)?;
        }
        if missing {
            self.store.commit_layer(&unpacked, &passed)?;
        }
        Ok(passed)
    }

    fn name(&self, image: Ready) -> Result<Loaded, Error> {
        let Ready { config, manifest, media_type, names } = image;
        let lock = self.store.lock()?;
        self.store.put_blob(&lock, &config)?;
        let digest = self.store.put_blob(&lock, &manifest)?;
        let descriptor = crate::import::descriptor(media_type, &digest, manifest.len() as u64)?;
        match names.is_empty() {
            true => self.store.name(&lock, descriptor, None)?,
            false => names.iter().try_for_each(|name| self.store.name(&lock, descriptor.clone(), Some(name)))?,
        }
        drop(lock);
        Ok(Loaded { image: self.store.resolve(&Digest::of(&config).to_string())?, names })
    }
}

/// Gives a file of our own folder a second name, with root as its owner, whatever the archive said: its bytes are not
/// copied.
fn adopt(file: &File, name: &Path) -> io::Result<()> {
    rustix::fs::fchown(file, Some(Uid::ROOT), Some(Gid::ROOT))?;
    rustix::fs::fchmod(file, Mode::RUSR | Mode::WUSR)?;
    file.sync_all()?;
    let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, opened, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The names of an entry: containerd's annotation, else OCI's if it is a whole name, not a tag alone.
pub fn names_of(entry: &Descriptor) -> Vec<Reference> {
    let Some(annotations) = entry.annotations() else { return Vec::new() };
    let whole = |name: &&String| name.contains([':', '/']) || name.starts_with(|c: char| c.is_ascii_lowercase());
    let name = annotations.get(CONTAINERD_NAME).or(annotations.get(REF_NAME).filter(whole));
    name.filter(|name| *name != "latest").and_then(|name| name.parse().ok()).into_iter().collect()
}
