//! What is kept of a volume beside its content: `<root>/volumes/<name>/volume.json`. One without a record was made by
//! an rcr before there were any, or for a container; its folder says when.

use crate::dirs::private_folder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

const NAME: &str = "volume.json";

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The user's labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Nobody gave it a name: it goes with its container, or with a prune.
    #[serde(default)]
    pub anonymous: bool,
}

impl Record {
    /// Writes it, whole or not at all.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        private_folder(folder)?;
        let temporary = folder.join(format!(".{NAME}"));
        fs::write(&temporary, serde_json::to_vec(self)?)?;
        fs::File::open(&temporary)?.sync_all()?;
        fs::rename(temporary, folder.join(NAME))
    }

    /// That of a volume; one that can't be read says nothing.
    pub fn read(folder: &Path) -> Self {
        let bytes = fs::read(folder.join(NAME)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

/// When a volume was made.
pub fn created(folder: &Path) -> Timestamp {
    let made = fs::metadata(folder).and_then(|meta| meta.created().or_else(|_| meta.modified()));
    made.ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}
