//! How a container logs, in Docker's words.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Checked at creation, and read again at every start (`parse::logging`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Logging {
    /// `json-file`, `local`, `none`, `journald` or `syslog`.
    pub driver: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

impl Default for Logging {
    fn default() -> Self {
        Self { driver: "json-file".into(), options: BTreeMap::new() }
    }
}
