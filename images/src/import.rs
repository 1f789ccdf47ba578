//! An image of one layer from a root file system: a tar, plain or packed by gzip or zstd.

use crate::folder::private_folder;
use crate::layer::{self, Passed};
use crate::store::WriteLock;
use crate::unpack::wire::{Compression, Job};
use crate::{Digest, Doing, Error, Image, Reference, Store};
use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, DescriptorBuilder, HistoryBuilder, ImageConfigurationBuilder,
    ImageManifestBuilder, MediaType, Os, RootFsBuilder,
};
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::str::FromStr;

/// What the image's config should say (`--change`).
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The command; absent: a shell.
    pub cmd: Option<Vec<String>>,
    /// The program before the command; absent: none.
    pub entrypoint: Option<Vec<String>>,
    /// `NAME=value`
    pub env: Vec<String>,
    /// The working directory; absent: the root.
    pub workdir: Option<String>,
    /// `user[:group]`; absent: root.
    pub user: Option<String>,
    /// `port/proto`
    pub exposed: Vec<String>,
    /// The comment of its one step in the history.
    pub message: String,
}

impl Store {
    /// Imports a root file system. `progress` is called with the bytes unpacked so far. On failure nothing is left.
    pub fn import(
        &self,
        tar: OwnedFd,
        name: Option<&str>,
        options: &ImportOptions,
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
        self.describe(&self.lock()?, &passed, name.as_ref(), options)
    }

    fn describe(
        &self,
        lock: &WriteLock,
        layer: &Passed,
        name: Option<&Reference>,
        options: &ImportOptions,
    ) -> Result<Image, Error> {
        let wrong = |e: oci_spec::OciSpecError| Error::Hostile(e.to_string());
        let json = |e: serde_json::Error| Error::Hostile(e.to_string());
        let created = format!("{:.0}", jiff::Timestamp::now());
        let mut config = ConfigBuilder::default()
            .env(options.env.clone())
            .exposed_ports(options.exposed.clone())
            .cmd(options.cmd.clone().unwrap_or_else(|| vec!["/bin/sh".into()]));
        if let Some(entrypoint) = &options.entrypoint {
            config = config.entrypoint(entrypoint.clone());
        }
        if let Some(workdir) = &options.workdir {
            config = config.working_dir(workdir);
        }
        if let Some(user) = &options.user {
            config = config.user(user);
        }
        let history =
            HistoryBuilder::default().created(&created).created_by("rcr image import").comment(&options.message);
        let configuration = ImageConfigurationBuilder::default()
            .created(&created)
            .architecture(Arch::default())
            .os(Os::default())
            .config(config.build().map_err(wrong)?)
            .rootfs(
                RootFsBuilder::default()
                    .typ("layers")
                    .diff_ids(vec![layer.diff_id.to_string()])
                    .build()
                    .map_err(wrong)?,
            )
            .history(vec![history.build().map_err(wrong)?])
            .build()
            .map_err(wrong)?;
        let config_bytes = serde_json::to_vec(&configuration).map_err(json)?;
        let config_digest = self.put_blob(lock, &config_bytes)?;
        let layer = (media_type(layer.compression), layer.digest.clone(), layer.size);
        let manifest_bytes = describe_manifest(&config_bytes, &[layer])?;
        let manifest_digest = self.put_blob(lock, &manifest_bytes)?;
        let entry = descriptor(MediaType::ImageManifest, &manifest_digest, manifest_bytes.len() as u64)?;
        self.name(lock, entry, name)?;
        self.resolve(&config_digest.to_string())
    }
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
