//! What `rcr` and `rcr-registry` say to each other: frames of JSON on a socket, descriptors beside them.

use rcr_base::ImagesConfig;
use serde::{Deserialize, Serialize};

/// The first frame: which repository this is about. One process serves one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// `docker.io`, `localhost:5000`
    pub host: String,
    /// `library/alpine`
    pub repository: String,
    pub config: ImagesConfig,
}

/// One request. Several may be in progress; each answer carries its request's id.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub id: u64,
    pub call: Call,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// A manifest or an index, by tag or digest; its bytes go into the descriptor.
    Manifest { target: String },
    /// A blob's bytes from `offset` on, into the descriptor, which is a pipe.
    Blob { digest: String, offset: u64, size: u64 },
    /// Whether a blob exists.
    HasBlob { digest: String },
    /// Stores the blob that the descriptor, a file, holds.
    PushBlob { digest: String, size: u64 },
    /// Stores the manifest that the descriptor, a file, holds.
    PushManifest { target: String, media_type: String },
    /// Checks credentials, and saves them in docker's configuration.
    Login { user: String, password: String },
    /// Removes them.
    Logout,
}

/// The result of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    pub id: u64,
    pub answer: Answer,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Done,
    Exists(bool),
    /// Something failed and is tried again; the last answer is still to come.
    Again(String),
    Failed(Refusal),
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub message: String,
    pub causes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// Nobody answers.
    Unreachable,
    /// Nobody we trust vouches for the registry's certificate.
    Untrusted,
    /// The registry does not speak TLS.
    Plain,
    /// The registry has no such image.
    NotFound,
    /// The registry requires credentials, or refuses ours.
    Denied,
    /// The reader of a pipe has closed it, and knows why.
    Unread,
    Other,
}
