//! An image of one layer from a root file system: a tar, plain or packed by gzip or zstd.

use crate::folder::private_folder;
use crate::layer::{self, Passed};
use crate::store::WriteLock;
use crate::unpack::wire::{Compression, Job};
use crate::{Digest, Doing, Error, Image, Reference, Store};
use oci_spec::image::{Arch, Descriptor, DescriptorBuilder, ImageManifestBuilder, MediaType, Os};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::str::FromStr;

/// What is said of a new image beside its files.
#[derive(Debug, Clone, Default)]
pub struct Recipe {
    /// The `config` of its config, in the form of image-spec's config.md and with Docker's fields; an object.
    pub config: Value,
    /// Who made it; empty: nobody says.
    pub author: String,
    /// The command of the new step in its history.
    pub created_by: String,
    /// The comment of that step.
    pub message: String,
}

impl Store {
    /// Imports a root file system. `progress` is called with the bytes unpacked so far. On failure nothing is left.
    pub fn import(
        &self,
        tar: OwnedFd,
        name: Option<&str>,
        recipe: &Recipe,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Image, Error> {
        self.put_on_top(None, tar, name, recipe, progress)
    }

    /// Makes an image of another one's layers (absent: of none) and one more, a tar in the form of image-spec's
    /// layer.md. On failure nothing is left.
    pub fn put_on_top(
        &self,
        base: Option<&Image>,
        tar: OwnedFd,
        name: Option<&str>,
        recipe: &Recipe,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Image, Error> {
        let name = name.map(str::parse::<Reference>).transpose()?;
        let busy = self.begin()?;
        let making = self.begin_making_new(&busy, "import")?;
        let folder = making.folder()?;
        let (unpacked, packed) = (folder.join("layer"), folder.join("packed"));
        private_folder(&unpacked).doing(|| format!("cannot create `{}`", unpacked.display()))?;
        let kept = OpenOptions::new().read(true).write(true).create_new(true).open(&packed);
        let kept = kept.doing(|| format!("cannot create `{}`", packed.display()))?;
        let job = Job { limits: *self.limits(), size: None, keep: true, unpack: true };
        let passed =
            layer::pass(&unpacked, tar, Some(kept), &job, &mut |_, bytes| progress(bytes)).map_err(|s| s.error)?;
        self.commit_blob(&packed, &passed.digest)?;
        self.commit_layer(&unpacked, &passed)?;
        self.describe(&self.lock()?, base, &passed, name.as_ref(), recipe)
    }

    fn describe(
        &self,
        lock: &WriteLock,
        base: Option<&Image>,
        layer: &Passed,
        name: Option<&Reference>,
        recipe: &Recipe,
    ) -> Result<Image, Error> {
        let mut layers = Vec::new();
        let mut config = json!({ "architecture": Arch::default(), "os": Os::default() });
        if let Some(base) = base {
            config = self.whole_config(base)?;
            for old in self.manifest(base)?.layers() {
                let digest = old.digest().to_string().parse::<Digest>();
                let digest = digest.map_err(|why| Error::Hostile(why.to_owned()))?;
                layers.push((old.media_type().clone(), digest, old.size()));
            }
        }
        layers.push((media_type(layer.compression), layer.digest.clone(), layer.size));
        add_step(&mut config, &layer.diff_id, recipe);
        let config_bytes = serde_json::to_vec(&config).map_err(|e| Error::Hostile(e.to_string()))?;
        let config_digest = self.put_blob(lock, &config_bytes)?;
        let manifest_bytes = describe_manifest(&config_bytes, &layers)?;
        let manifest_digest = self.put_blob(lock, &manifest_bytes)?;
        let entry = descriptor(MediaType::ImageManifest, &manifest_digest, manifest_bytes.len() as u64)?;
        self.name(lock, entry, name)?;
        self.resolve(&config_digest.to_string())
    }

    /// An image's config as it is on the disk, with fields that OCI's form lacks; an object.
    pub fn whole_config(&self, image: &Image) -> Result<Value, Error> {
        let path = self.blob(&image.id);
        let bytes = std::fs::read(&path).doing(|| format!("cannot read `{}`", path.display()))?;
        let config: Value = serde_json::from_slice(&bytes).map_err(|e| Error::Hostile(e.to_string()))?;
        if config.is_object() { Ok(config) } else { Err(Error::Hostile("the image's config is no object".into())) }
    }
}

/// One more layer, and the step that made it. Lists that a strange image has in another form begin anew.
fn add_step(config: &mut Value, diff_id: &Digest, recipe: &Recipe) {
    let created = format!("{:.0}", jiff::Timestamp::now());
    let mut step = json!({ "created": created, "created_by": recipe.created_by, "comment": recipe.message });
    if !recipe.author.is_empty() {
        config["author"] = json!(recipe.author);
        step["author"] = json!(recipe.author);
    }
    config["created"] = json!(created);
    config["config"] = recipe.config.clone();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut diff_ids = list(&config["rootfs"]["diff_ids"]);
    diff_ids.push(json!(diff_id.to_string()));
    config["rootfs"] = json!({ "type": "layers", "diff_ids": diff_ids });
    let mut history = list(&config["history"]);
    history.push(step);
    config["history"] = Value::Array(history);
}

/// The media type of a layer (image-spec, layer.md).
pub(crate) fn media_type(compression: Compression) -> MediaType {
    match compression {
        Compression::None => MediaType::ImageLayer,
        Compression::Gzip => MediaType::ImageLayerGzip,
        Compression::Zstd => MediaType::ImageLayerZstd,
    }
}

/// A descriptor out of its three parts.
pub(crate) fn descriptor(kind: MediaType, digest: &Digest, size: u64) -> Result<Descriptor, Error> {
    let wrong = |e: oci_spec::OciSpecError| Error::Hostile(e.to_string());
    let digest = oci_spec::image::Digest::from_str(&digest.to_string()).map_err(wrong)?;
    DescriptorBuilder::default().media_type(kind).digest(digest).size(size).build().map_err(wrong)
}

/// The manifest of a config and its layers, as bytes.
pub(crate) fn describe_manifest(config: &[u8], layers: &[(MediaType, Digest, u64)]) -> Result<Vec<u8>, Error> {
    let layer = |(kind, digest, size): &(MediaType, Digest, u64)| descriptor(kind.clone(), digest, *size);
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(descriptor(MediaType::ImageConfig, &Digest::of(config), config.len() as u64)?)
        .layers(layers.iter().map(layer).collect::<Result<Vec<_>, _>>()?)
        .build()
        .map_err(|e| Error::Hostile(e.to_string()))?;
    serde_json::to_vec(&manifest).map_err(|e| Error::Hostile(e.to_string()))
}
