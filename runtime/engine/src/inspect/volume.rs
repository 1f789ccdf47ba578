//! Volumes.

use crate::instance::Instance;
use crate::volumes::{self, Volume};
use rcr_base::Outcome;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VolumeInspect {
    /// RFC 3339.
    pub created_at: String,
    /// `local`: there is no other.
    pub driver: &'static str,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// The folder on the host that holds its content.
    pub mountpoint: PathBuf,
    /// Its name.
    pub name: String,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// `local`.
    pub scope: &'static str,
}

/// A volume by name.
pub fn volume(instance: &Instance, name: &str) -> Outcome<VolumeInspect> {
    let Volume { name, mountpoint, created, labels, options, .. } = volumes::find(instance, name)?;
    Ok(VolumeInspect {
        created_at: created.to_string(),
        driver: "local",
        labels,
        mountpoint,
        name,
        options,
        scope: "local",
    })
}
