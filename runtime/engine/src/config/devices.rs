//! Devices of the host, and rules about their numbers.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A device of the host, or a folder of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceUse {
    /// Its absolute path on the host.
    pub host: PathBuf,
    /// Absolute, below `/dev`.
    pub container: PathBuf,
    /// Of `r`, `w` and `m` (mknod).
    pub access: String,
}

/// Access to device numbers, without a node. `None`: any number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// `a` (any), `b` or `c`.
    pub kind: char,
    /// The major number.
    pub major: Option<u32>,
    /// The minor number.
    pub minor: Option<u32>,
    /// Of `r`, `w` and `m` (mknod).
    pub access: String,
}
