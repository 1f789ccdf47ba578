//! What `rcr` and `rcr-unpack` say to each other.

use rcr_base::ImageLimits;
use serde::{Deserialize, Serialize};

/// What one process is to do; its first argument, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    pub limits: ImageLimits,
    /// Bytes of the layer as its descriptor says; absent where nobody knows.
    pub size: Option<u64>,
    /// stdout is a file that keeps the packed bytes. What is in it already comes first, stdin goes on from there.
    pub keep: bool,
    /// Files are written into `fs`; else the bytes are only checked.
    pub unpack: bool,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// Bytes so far.
    Progress {
        packed: u64,
        unpacked: u64,
    },
    /// A folder that hides what the layers below have in it; setting that mark takes powers the process does not have.
    Opaque(Vec<u8>),
    /// All went well.
    Done(Digests),
    Failed(Trouble),
}

/// What came through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// `sha256:…` of the packed bytes.
    pub packed: String,
    /// Packed bytes.
    pub size: u64,
    /// `sha256:…` of the unpacked bytes.
    pub diff_id: String,
    pub compression: Compression,
}

/// How a layer is packed (image-spec, layer.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What was being done, or what is wrong with the layer.
    pub message: String,
    /// The system's errno; absent where the layer is to blame.
    pub errno: Option<i32>,
    /// The key of `[images.limits]` that it went over.
    pub limit: Option<String>,
    /// The digest and size of the packed bytes, if all of them could be read: where they are not those that were asked for, the
    /// layer is not to blame.
    pub packed: Option<(String, u64)>,
}
