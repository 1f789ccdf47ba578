//! Images.

use crate::images;
use crate::instance::Instance;
use oci_spec::image::{Arch, Os};
use rcr_base::Outcome;
use serde::Serialize;
use serde_json::Value;

/// An image.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageInspect {
    /// The config's digest.
    pub id: String,
    /// Its names with a tag.
    pub repo_tags: Vec<String>,
    /// The digest of its manifest behind each repository that it has a name in.
    pub repo_digests: Vec<String>,
    /// A remark about the last step.
    pub comment: String,
    /// RFC 3339.
    pub created: Option<String>,
    /// Who made it.
    pub author: String,
    /// What a container of it is by default, as the image has it.
    pub config: Option<Value>,
    /// The machine that it is for, by Go's name (`amd64`).
    pub architecture: Arch,
    /// The kind of such a machine (`v7`); empty: any.
    pub variant: String,
    /// The operating system that it is for.
    pub os: Os,
    /// Bytes of its packed layers.
    pub size: u64,
    /// What its files are made of.
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
}

/// What an image's files are made of.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "Type")]
    pub kind: &'static str,
    /// Digests of the unpacked layers, lowest first.
    pub layers: Vec<String>,
}

/// An image by name or id.
pub fn image(instance: &Instance, name: &str) -> Outcome<ImageInspect> {
    let store = images::store(instance)?;
    let image = store.resolve(name)?;
    let size = store.size(&image)?;
    // OCI's form of a config lacks fields that Docker's has: a health check, for one.
    let whole =
        std::fs::read(store.blob(&image.id)).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let config = &image.config;
    let last = config.history().as_ref().and_then(|steps| steps.last()).and_then(|step| step.comment().clone());
    let (tags, digests): (Vec<_>, Vec<_>) = image.names.iter().cloned().partition(|name| !name.contains('@'));
    let manifest = image.manifest.to_string();
    let mut repo_digests: Vec<String> = tags.iter().map(|name| format!("{}@{manifest}", repository(name))).collect();
    repo_digests.extend(digests);
    repo_digests.dedup();
    Ok(ImageInspect {
        id: image.id.to_string(),
        repo_tags: tags,
        repo_digests,
        comment: last.unwrap_or_default(),
        created: config.created().clone(),
        author: config.author().clone().unwrap_or_default(),
        config: whole.and_then(|whole| whole.get("config").cloned()).filter(|config| config.is_object()),
        architecture: config.architecture().clone(),
        variant: config.variant().clone().unwrap_or_default(),
        os: config.os().clone(),
        size,
        root_fs: RootFs { kind: "layers", layers: config.rootfs().diff_ids().clone() },
    })
}

/// A name without its tag.
fn repository(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}
