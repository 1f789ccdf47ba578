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
    /// Timeouts, retries, mirrors, and the memory limit.
    pub config: ImagesConfig,
}

/// One request. Several may be in progress; each answer carries its request's id.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Chosen by the client; the answer carries it.
    pub id: u64,
    /// What to do.
    pub call: Call,
}

/// The kinds of requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// A manifest or an index, by tag or digest; its bytes go into the descriptor.
    Manifest {
        /// A tag or a digest.
        target: String,
    },
    /// A blob's bytes from `offset` on, into the descriptor, which is a pipe.
    Blob {
        /// `sha256:…`.
        digest: String,
        /// The first byte that is wanted.
        offset: u64,
        /// Bytes of the whole blob.
        size: u64,
    },
    /// Whether a blob exists.
    HasBlob {
        /// `sha256:…`.
        digest: String,
    },
    /// Stores the blob that the descriptor, a file, holds.
    PushBlob {
        /// `sha256:…`.
        digest: String,
        /// Its bytes.
        size: u64,
    },
    /// Stores the manifest that the descriptor, a file, holds.
    PushManifest {
        /// A tag or a digest.
        target: String,
        /// The manifest's media type.
        media_type: String,
    },
    /// Checks credentials, and saves them in docker's configuration.
    Login {
        /// The user's name.
        user: String,
        /// The password.
        password: String,
    },
    /// Removes them.
    Logout,
}

/// The result of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The id of the request.
    pub id: u64,
    /// The answer.
    pub answer: Answer,
}

/// The kinds of answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done,
    /// Whether the blob exists.
    Exists(bool),
    /// Something failed and is tried again; the last answer is still to come.
    Again(String),
    /// It has failed for good.
    Failed(Refusal),
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub kind: RefusalKind,
    /// What failed, on which host.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
}

/// Kinds of refusals; each has its own hint.
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
    /// Anything else.
    Other,
}
