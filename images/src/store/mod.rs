//! The store: an OCI image layout (image-spec, image-layout.md) with its layers unpacked beside it.
//!
//! ```text
//! oci-layout  index.json  lock
//! blobs/sha256/<hex>      manifests, configs, packed layers
//! layers/<diff id>/fs     a layer unpacked; visible only when it is complete
//! partial/<hex>           incomplete layers: a later pull resumes from there
//! tmp/                    work in progress; the next writer removes the leftovers of a crash
//! ```
//! Readers take no lock: every file is replaced whole. `work` lists the writers' locks.

mod check;
mod gc;
mod work;

pub use check::{Check, Fault};
pub use gc::{Pruned, Users};
pub use work::{Busy, Making, WriteLock};

use crate::digest::Hasher;
use crate::folder::private_folder;
use crate::remote::document;
use crate::{Digest, Doing, Error, Reference};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageIndexBuilder, ImageManifest};
use rcr_base::ImageLimits;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The annotation that names an image in an index (image-spec, annotations.md).
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The store in one folder.
pub struct Store {
    root: PathBuf,
    limits: ImageLimits,
}

/// An image that was found.
#[derive(Debug, Clone)]
pub struct Image {
    /// The digest of its config.
    pub id: Digest,
    /// All its names.
    pub names: Vec<String>,
    /// As the image has it, without malformed fields.
    pub config: ImageConfiguration,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// Fields of its config that cannot be used, each with the reason.
    pub strange: Vec<String>,
}

impl Image {
    /// Labels of its config.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.config.labels_of_config();
        labels.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Seconds since the epoch; 0 if it doesn't say.
    pub fn created(&self) -> i64 {
        self.config.created().as_deref().and_then(seconds).unwrap_or(0)
    }
}

/// An image in a listing.
#[derive(Debug, Clone)]
pub struct ImageSummary {
    /// The digest of its config.
    pub id: Digest,
    /// All its names; empty: it has none.
    pub names: Vec<String>,
    /// Seconds since the epoch; 0 if the image doesn't say.
    pub created: i64,
    /// Bytes of its packed layers.
    pub size: u64,
    /// Labels of its config.
    pub labels: BTreeMap<String, String>,
    /// The digest of its manifest.
    pub manifest: Digest,
}

/// One removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// This name was removed; the image has others.
    Untagged(String),
    /// The image with this id was removed.
    Deleted(String),
}

impl Store {
    /// Opens the store, making its folders (root's alone) if they are missing.
    pub fn open(root: &Path, limits: ImageLimits) -> Result<Self, Error> {
        let store = Self { root: root.to_owned(), limits };
        if root.join("oci-layout").is_file() {
            return Ok(store);
        }
        for folder in [root.to_owned(), store.blobs(), root.join("layers"), root.join("tmp"), root.join("partial")] {
            private_folder(&folder).doing(|| format!("cannot create the image store `{}`", folder.display()))?;
        }
        store.write_file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(store)
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// The path of a blob.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// The path of an unpacked layer.
    pub fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(diff_id.hex()).join("fs")
    }

    /// The path of an incomplete blob.
    pub(crate) fn partial(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(digest.hex())
    }

    /// The store's own folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The limits of new layers and documents.
    pub(crate) fn limits(&self) -> &ImageLimits {
        &self.limits
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.root.join(name);
        write_whole(&path, bytes).doing(|| format!("cannot write `{}`", path.display()))
    }

    /// Stores a small blob and returns its digest.
    pub fn put_blob(&self, _lock: &WriteLock, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(bytes);
        let path = self.blob(&digest);
        write_whole(&path, bytes).doing(|| format!("cannot write `{}`", path.display()))?;
        Ok(digest)
    }

    /// Reads a document and checks its digest.
    pub(crate) fn document(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let path = self.blob(digest);
        let size = fs::metadata(&path).map(|meta| meta.len()).unwrap_or(0);
        let damaged = |why: &str| Error::Damaged { path: path.display().to_string(), why: why.to_owned() };
        if size > self.limits.document {
            return Err(damaged("it is too large for a document"));
        }
        let bytes = fs::read(&path).doing(|| format!("cannot read `{}`", path.display()))?;
        if Digest::of(&bytes) != *digest {
            return Err(damaged("its content does not have its digest"));
        }
        Ok(bytes)
    }

    /// The manifest of an image.
    pub fn manifest(&self, image: &Image) -> Result<ImageManifest, Error> {
        self.parse(&image.manifest)
    }

    /// Whether a blob is here, judging by its size.
    pub fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        fs::metadata(self.blob(digest)).is_ok_and(|meta| meta.len() == size)
    }

    /// Reads a whole blob and checks its digest.
    pub fn verify_blob(&self, digest: &Digest, size: u64) -> Result<(), Error> {
        let path = self.blob(digest);
        let mut hasher = Hasher::default();
        let read = File::open(&path).and_then(|mut file| io::copy(&mut file, &mut hasher));
        let read = read.doing(|| format!("cannot read `{}`", path.display()))?;
        let got = hasher.finish();
        if got == *digest && read == size {
            return Ok(());
        }
        let why = format!("it has {read} bytes with the digest {got}");
        Err(Error::Damaged { path: path.display().to_string(), why })
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, digest: &Digest) -> Result<T, Error> {
        serde_json::from_slice(&self.document(digest)?)
            .map_err(|e| Error::Damaged { path: self.blob(digest).display().to_string(), why: e.to_string() })
    }

    fn index(&self) -> Result<ImageIndex, Error> {
        let path = self.root.join("index.json");
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(empty_index()),
            Err(error) => Err(error).doing(|| format!("cannot read `{}`", path.display())),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| Error::Damaged { path: path.display().to_string(), why: e.to_string() }),
        }
    }

    fn write_index(&self, _lock: &WriteLock, index: &ImageIndex) -> Result<(), Error> {
        let bytes = serde_json::to_vec(index)
            .map_err(|e| Error::Io { doing: "cannot write the index".into(), source: e.into() })?;
        self.write_file("index.json", &bytes)
    }

    /// Names by manifest; an image without a name has an empty list.
    fn manifests(&self) -> Result<BTreeMap<Digest, Vec<String>>, Error> {
        let mut all: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        for descriptor in self.index()?.manifests() {
            let Ok(digest) = descriptor.digest().to_string().parse() else { continue };
            all.entry(digest).or_default().extend(name_of(descriptor).map(str::to_owned));
        }
        Ok(all)
    }

    fn image(&self, manifest: Digest, names: Vec<String>) -> Result<Image, Error> {
        let parsed: ImageManifest = self.parse(&manifest)?;
        let config = parsed.config().digest().to_string();
        let id: Digest = config.parse().map_err(|why: &str| Error::Damaged {
            path: self.blob(&manifest).display().to_string(),
            why: why.to_owned(),
        })?;
        let (config, strange) = document::config(&self.document(&id)?)
            .map_err(|e| Error::Damaged { path: self.blob(&id).display().to_string(), why: e.to_string() })?;
        Ok(Image { config, id, names, manifest, strange })
    }

    /// By name, `name@digest`, id, or an unambiguous prefix of an id.
    pub fn resolve(&self, wanted: &str) -> Result<Image, Error> {
        let all = self.manifests()?;
        if let Some((_, digest)) = wanted.split_once('@') {
            let name = wanted.parse::<Reference>()?.to_string();
            if let Some((digest, names)) = all.iter().find(|(_, names)| names.contains(&name)) {
                return self.image(digest.clone(), names.clone());
            }
            let digest: Digest = digest.parse().map_err(|why| Error::Name { name: wanted.into(), why })?;
            let names = all.get(&digest).ok_or_else(|| self.missing(wanted, &all))?;
            return self.image(digest, names.clone());
        }
        if let Ok(name) = wanted.parse::<Reference>().map(|r| r.to_string())
            && let Some((digest, names)) = all.iter().find(|(_, names)| names.contains(&name))
        {
            return self.image(digest.clone(), names.clone());
        }
        let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
        if hex.is_empty() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            wanted.parse::<Reference>()?;
            return Err(self.missing(wanted, &all));
        }
        let mut hits = BTreeMap::new();
        for (digest, names) in &all {
            let image = self.image(digest.clone(), names.clone())?;
            if image.id.hex().starts_with(hex) {
                hits.insert(image.id.clone(), image);
            }
        }
        match hits.len() {
            0 => Err(self.missing(wanted, &all)),
            1 => hits.into_values().next().ok_or_else(|| self.missing(wanted, &all)),
            _ => Err(Error::Ambiguous(wanted.to_owned())),
        }
    }

    fn missing(&self, wanted: &str, all: &BTreeMap<Digest, Vec<String>>) -> Error {
        let mut names: Vec<&String> = all.values().flatten().collect();
        names.sort();
        let near = names.into_iter().take(8).map(|name| format!("`{name}`")).collect();
        Error::NotFound { name: wanted.to_owned(), near }
    }

    /// All images, by name.
    pub fn list(&self) -> Result<Vec<ImageSummary>, Error> {
        let mut all: BTreeMap<Digest, ImageSummary> = BTreeMap::new();
        for (digest, names) in self.manifests()? {
            let manifest: ImageManifest = self.parse(&digest)?;
            let image = self.image(digest, names)?;
            let created = image.created();
            let size = manifest.layers().iter().map(Descriptor::size).sum();
            let labels = image.labels();
            let Image { id, names, manifest, .. } = image;
            let entry = all.entry(id.clone());
            let summary =
                entry.or_insert_with(|| ImageSummary { id, names: Vec::new(), created, size, labels, manifest });
            summary.names.extend(names);
        }
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_by(|a, b| a.names.cmp(&b.names));
        Ok(all)
    }

    /// Bytes of an image's packed layers.
    pub fn size(&self, image: &Image) -> Result<u64, Error> {
        Ok(self.manifest(image)?.layers().iter().map(Descriptor::size).sum())
    }

    /// Unpacked layers, lowest first; each must exist. A layer that occurs several times counts at its highest place,
    /// where it contains and hides the same; overlayfs takes no folder twice.
    pub fn layers(&self, image: &Image) -> Result<Vec<PathBuf>, Error> {
        let layer = |text: &String| {
            let damaged = |why: &str| Error::Damaged { path: text.clone(), why: why.to_owned() };
            let diff_id: Digest = text.parse().map_err(damaged)?;
            let path = self.layer(&diff_id);
            if path.is_dir() { Ok(path) } else { Err(damaged("the layer is not unpacked here")) }
        };
        let diff_ids = image.config.rootfs().diff_ids();
        let highest = diff_ids.iter().enumerate().filter(|(n, id)| !diff_ids[n + 1..].contains(id));
        highest.map(|(_, id)| layer(id)).collect()
    }

    /// Gives an image another name, taking it from the image that had it.
    pub fn tag(&self, source: &str, target: &str) -> Result<(), Error> {
        let target: Reference = target.parse()?;
        let lock = self.lock()?;
        let image = self.resolve(source)?;
        let index = self.index()?;
        let digest = image.manifest.to_string();
        let descriptor = index.manifests().iter().find(|d| d.digest().to_string() == digest).cloned();
        let descriptor = descriptor.ok_or_else(|| Error::NotFound { name: source.into(), near: Vec::new() })?;
        self.name(&lock, descriptor, Some(&target))
    }

    /// Puts a manifest into the index under a name, or without one.
    pub fn name(&self, lock: &WriteLock, mut descriptor: Descriptor, name: Option<&Reference>) -> Result<(), Error> {
        let mut index = self.index()?;
        let mut manifests = index.manifests().clone();
        let text = name.map(ToString::to_string);
        let digest = descriptor.digest().to_string();
        // The name moves; an image that loses its last name stays, unnamed.
        for other in manifests.iter_mut().filter(|d| text.is_some() && name_of(d) == text.as_deref()) {
            other.set_annotations(None);
        }
        // An unnamed entry of the same image is redundant.
        manifests.retain(|d| d.digest().to_string() != digest || (name_of(d).is_some() && text.is_some()));
        descriptor.set_annotations(text.map(|text| [(REF_NAME.to_owned(), text)].into()));
        manifests.push(descriptor);
        index.set_manifests(manifests);
        self.write_index(lock, &index)
    }
}

fn empty_index() -> ImageIndex {
    // Both fields that the builder needs are given; the fallback is never used.
    ImageIndexBuilder::default().schema_version(2u32).manifests(Vec::new()).build().unwrap_or_default()
}

fn name_of(descriptor: &Descriptor) -> Option<&str> {
    descriptor.annotations().as_ref()?.get(REF_NAME).map(String::as_str)
}

/// Seconds since the epoch of an RFC 3339 time.
fn seconds(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// Writes beside, syncs, renames: a reader sees the old file or the new one, also after a power cut.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(name);
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    // Also on a full disk nothing stays.
    write().inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
