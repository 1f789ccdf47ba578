//! Images as files: `load` and `save`, in the forms of OCI (image-spec, image-layout.md) and of Docker (`manifest.json`).

mod folder;
mod load;
mod save;

pub use load::{Loaded, load, load_folder};
pub use save::{Format, Target, save};

use serde::{Deserialize, Serialize};

/// The annotation by which containerd and Docker name an image in an index.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// One image in the `manifest.json` of Docker's archives.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}
