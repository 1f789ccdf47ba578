//! Images.

use crate::images;
use crate::instance::Instance;
use oci_spec::image::{Arch, Config, Os};
use rcr_base::Outcome;
use serde::Serialize;

/// An image.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageInspect {
    /// The config's digest.
    pub id: String,
    /// All its names.
    pub repo_tags: Vec<String>,
    /// RFC 3339.
    pub created: Option<String>,
    /// The machine that it is for, by Go's name (`amd64`).
    pub architecture: Arch,
    /// The operating system that it is for.
    pub os: Os,
    /// What a container of it is by default.
    pub config: Option<Config>,
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
    let image = images::store(instance)?.resolve(name)?;
    let config = image.config;
    Ok(ImageInspect {
        id: image.id.to_string(),
        repo_tags: image.names,
        created: config.created().clone(),
        architecture: config.architecture().clone(),
        os: config.os().clone(),
        config: config.config().clone(),
        root_fs: RootFs { kind: "layers", layers: config.rootfs().diff_ids().clone() },
    })
}
