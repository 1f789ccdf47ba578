//! What can go wrong with images.

use crate::remote::wire::{Refusal, RefusalKind};
use rcr_base::{Kind, command, io_text};
use std::io;

/// The hint when no registry answers.
pub fn offline() -> String {
    format!(
        "without a registry: {} loads an image that was saved elsewhere, {} makes one from a root file system \
         (images/mkalpine builds such a file)",
        command::load("-i FILE"),
        command::import("FILE NAME")
    )
}

const REACH: &str = "check the registry's name, the network, and HTTPS_PROXY where there is a proxy";
const UNTRUSTED: &str = "/etc/docker/certs.d/REGISTRY/ca.crt is trusted for a registry, SSL_CERT_FILE=FILE instead of this machine's own; `insecure` in [images] of the \
                         configuration lists registries to use without TLS";
const PLAIN: &str = "`insecure` in [images] of the configuration lists registries to use without TLS";

/// The disk is full, or our quota is.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An error with the way out, if there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No image has this name or id.
    #[error("no such image: `{name}`")]
    NotFound {
        /// What was asked for.
        name: String,
        /// Names that it may have meant.
        near: Vec<String>,
    },
    /// Several ids begin so.
    #[error("`{0}` matches several image ids")]
    Ambiguous(String),
    /// This is no name of an image.
    #[error("cannot understand the image name `{name}`: {why}")]
    Name {
        /// What was written.
        name: String,
        /// The broken rule.
        why: &'static str,
    },
    /// The image can't be removed.
    #[error("cannot remove the image `{name}`: it is used by {}", users.join(", "))]
    InUse {
        /// The image.
        name: String,
        /// Containers that use it.
        users: Vec<String>,
    },
    /// The bytes are malformed, or meant to do harm; what is wrong with them.
    #[error("cannot unpack the image: {0}")]
    Hostile(String),
    /// Not an archive of images.
    #[error("it is not an image archive: it has neither an `index.json` (OCI) nor a `manifest.json` (Docker)")]
    NoImage,
    /// A limit of the configuration is exceeded.
    #[error("cannot unpack the image: {why}")]
    Limit {
        /// What is too large.
        why: String,
        /// The key of `[images.limits]`.
        key: String,
    },
    /// The image is for other platforms.
    #[error("the image does not support {wanted}")]
    Platform {
        /// The platform that was asked for.
        wanted: String,
        /// The platforms that it supports.
        known: Vec<String>,
    },
    /// The bytes that arrived are not those that were asked for.
    #[error("layer {wanted} arrived damaged: {got_size} bytes with the digest {got}, expected {wanted_size} bytes")]
    Wrong {
        /// The expected digest.
        wanted: String,
        /// The expected number of bytes.
        wanted_size: u64,
        /// The digest that arrived.
        got: String,
        /// The number of bytes that arrived.
        got_size: u64,
    },
    /// The registry refused, or could not be reached.
    #[error("{}", .0.message)]
    Registry(Refusal),
    /// The store is damaged.
    #[error("`{path}` is damaged: {why}")]
    Damaged {
        /// The file or folder.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel or the disk refused.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// A limit of the configuration is exceeded.
    pub fn limit(key: &str, why: String) -> Self {
        Error::Limit { why, key: key.to_owned() }
    }

    /// The same with the image's name, which a registry's refusal leaves open.
    pub fn about(self, image: &str) -> Self {
        match self {
            Error::Registry(refusal) => {
                Error::Registry(Refusal { message: refusal.message.replace("{image}", image), ..refusal })
            }
            other => other,
        }
    }

    /// Whether nobody answered.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Error::Registry(refusal) if refusal.kind == RefusalKind::Unreachable)
    }

    /// The causes of a registry's refusal; other errors have sources.
    pub fn causes(&self) -> &[String] {
        match self {
            Error::Registry(refusal) => &refusal.causes,
            _ => &[],
        }
    }

    /// The way out.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NotFound { near, .. } if near.is_empty() => Some(format!(
                "{} fetches images, {} and {} read files; {} lists all images",
                command::pull(),
                command::load(""),
                command::import(""),
                command::list_images()
            )),
            Error::NotFound { near, .. } => Some(format!("known are {}", near.join(", "))),
            Error::InUse { users, .. } => {
                Some(format!("remove the containers first: {}", command::rm(&users.join(" "))))
            }
            Error::Ambiguous(_) => Some("give more digits".into()),
            Error::Damaged { .. } => Some("pull, load or import the image again".into()),
            Error::Limit { key, .. } => {
                Some(format!("if you trust the image, raise `{key}` in [images.limits] of the configuration"))
            }
            Error::Platform { known, .. } if known.is_empty() => None,
            Error::Platform { known, .. } => Some(format!("`--platform` takes one of {}", known.join(", "))),
            Error::Wrong { .. } => Some("pull again; if that fails, too, the image is broken at the registry".into()),
            Error::Registry(Refusal { kind, .. }) => match kind {
                RefusalKind::Unreachable => Some(REACH.into()),
                RefusalKind::Denied => {
                    Some(format!("log in with {}; the name may also be wrong", command::login("REGISTRY")))
                }
                RefusalKind::NotFound => Some("check the name and the tag".into()),
                RefusalKind::Untrusted => Some(UNTRUSTED.into()),
                RefusalKind::Plain => Some(PLAIN.into()),
                RefusalKind::Unread | RefusalKind::Other => None,
            },
            Error::NoImage => Some(format!("{} makes an image from a root file system", command::import("FILE NAME"))),
            Error::Io { source, .. } if is_full(source) => {
                Some(format!("{} removes images that no container uses", command::prune_images()))
            }
            Error::Name { .. } | Error::Hostile(_) | Error::Io { .. } => None,
        }
    }
}

/// Says what was being done when an I/O call failed.
pub trait Doing<T> {
    /// `doing` is made only in case of failure.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { doing: doing(), source })
    }
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|errno| Error::Io { doing: doing(), source: errno.into() })
    }
}

impl Error {
    /// What kind of error, for programs.
    pub fn kind(&self) -> Kind {
        match self {
            Error::NotFound { .. } | Error::Registry(Refusal { kind: RefusalKind::NotFound, .. }) => Kind::NotFound,
            Error::InUse { .. } => Kind::InUse,
            Error::Limit { .. } => Kind::Exhausted,
            Error::Registry(Refusal { kind: RefusalKind::Unreachable, .. }) => Kind::Unavailable,
            Error::Registry(Refusal { kind: RefusalKind::Denied, .. }) => Kind::Permission,
            Error::Ambiguous(_) | Error::Name { .. } | Error::NoImage | Error::Hostile(_) | Error::Platform { .. } => {
                Kind::Invalid
            }
            Error::Io { source, .. } => source.raw_os_error().map_or(Kind::System, Kind::of_errno),
            Error::Wrong { .. } | Error::Damaged { .. } | Error::Registry(_) => Kind::System,
        }
    }
}

impl From<Error> for rcr_base::Error {
    fn from(error: Error) -> Self {
        let (kind, hint, message) = (error.kind(), error.hint(), error.to_string());
        let mut causes = error.causes().to_vec();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            causes.push(cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), io_text));
            source = cause.source();
        }
        Self { kind, message, causes, hint, left_behind: Vec::new() }
    }
}
