//! Volumes.

use crate::instance::Instance;
use crate::volumes;
use rcr_base::Outcome;
use serde::Serialize;
use std::path::PathBuf;

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VolumeInspect {
    /// Its name.
    pub name: String,
    /// `local`: there is no other.
    pub driver: &'static str,
    /// The folder on the host that holds its content.
    pub mountpoint: PathBuf,
    /// `local`.
    pub scope: &'static str,
}

/// A volume by name.
pub fn volume(instance: &Instance, name: &str) -> Outcome<VolumeInspect> {
    let mountpoint = volumes::find(instance, name)?;
    Ok(VolumeInspect { name: name.to_owned(), driver: "local", mountpoint, scope: "local" })
}
