//! Images as files: `load` and `save`, in OCI's form (image-spec, image-layout.md) and Docker's (`manifest.json`).

mod folder;
mod load;
mod save;

pub use load::{Loaded, load, load_folder, names_of};
pub use save::{Format, Target, save};

use crate::{Error, Reference};
use rcr_base::ImageLimits;
use serde::{Deserialize, Serialize};

/// The annotation by which containerd and Docker name an image in an index.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// One image in the `manifest.json` of Docker's archives.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DockerImage {
    /// Where in the archive its config is.
    pub config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    /// Where its layers are, lowest first. Absent, or null, for an image without any.
    #[serde(default, deserialize_with = "or_none")]
    pub layers: Vec<String>,
}

fn or_none<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl DockerImage {
    /// Parses a `manifest.json`. Pure.
    pub fn list(bytes: &[u8], limits: &ImageLimits) -> Result<Vec<Self>, Error> {
        let wrong = |e: serde_json::Error| Error::Hostile(format!("its `manifest.json` is malformed: {e}"));
        let images: Vec<Self> = serde_json::from_slice(bytes).map_err(wrong)?;
        if images.is_empty() {
            return Err(Error::Hostile("it contains no image".into()));
        }
        if images.iter().any(|image| image.layers.len() > limits.layers) {
            return Err(Error::limit("layers", format!("it has more than {} layers", limits.layers)));
        }
        Ok(images)
    }

    /// Its names; invalid ones are skipped.
    pub fn names(&self) -> Vec<Reference> {
        self.repo_tags.iter().flatten().filter_map(|name| name.parse().ok()).collect()
    }
}
