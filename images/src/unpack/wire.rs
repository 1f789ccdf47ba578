//! What `rcr` and `rcr-unpack` say to each other.

use rcr_base::ImageLimits;
use serde::{Deserialize, Serialize};

/// What one process is to do; its first argument, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// What the layer may ask for at most.
    pub limits: ImageLimits,
    /// The layer's size in bytes from its descriptor; absent if unknown.
    pub size: Option<u64>,
    /// stdout is a file that keeps the packed bytes. Its content comes first, stdin continues from there.
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
        /// Packed bytes read.
        packed: u64,
        /// Unpacked bytes written.
        unpacked: u64,
    },
    /// An opaque folder; setting that mark takes capabilities that the process lacks.
    Opaque(Vec<u8>),
    /// Success.
    Done(Digests),
    /// It has failed.
    Failed(Trouble),
}

/// The result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// `sha256:…` of the packed bytes.
    pub packed: String,
    /// Packed bytes.
    pub size: u64,
    /// `sha256:…` of the unpacked bytes.
    pub diff_id: String,
    /// How it was packed.
    pub compression: Compression,
}

/// How a layer is packed (image-spec, layer.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// Why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What was being done, or what is wrong with the layer.
    pub message: String,
    /// The errno; absent if the layer is at fault.
    pub errno: Option<i32>,
    /// The exceeded key of `[images.limits]`.
    pub limit: Option<String>,
    /// Digest and size of the packed bytes, if all of them could be read: if they are not the expected ones, the layer
    /// is not at fault.
    pub packed: Option<(String, u64)>,
}
