//! What can go wrong with images.

use std::io;

/// An error with the way out, if there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such image: `{name}`")]
    NotFound { name: String, near: Vec<String> },
    #[error("`{0}` is the beginning of several image ids")]
    Ambiguous(String),
    #[error("cannot understand the image name `{name}`: {why}")]
    Name { name: String, why: &'static str },
    #[error("cannot remove the image `{name}`: it is used by {}", users.join(", "))]
    InUse { name: String, users: Vec<String> },
    #[error("cannot unpack the image: {0}")]
    Hostile(String),
    #[error("cannot unpack the image: {why}")]
    Limit {
        why: String,
        /// The key of `[images.limits]`.
        key: String,
    },
    #[error("`{path}` is damaged: {why}")]
    Damaged { path: String, why: String },
    #[error("{doing}")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Over a limit that the configuration sets.
    pub fn limit(key: &str, why: String) -> Self {
        Error::Limit { why, key: key.to_owned() }
    }

    /// The way out.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NotFound { near, .. } if near.is_empty() => Some(
                "import a root file system with `rcr image import FILE NAME`; `rcr images` lists what is there".into(),
            ),
            Error::NotFound { near, .. } => Some(format!("known are {}", near.join(", "))),
            Error::InUse { users, .. } => Some(format!("remove the containers first: `rcr rm {}`", users.join(" "))),
            Error::Ambiguous(_) => Some("give more digits".into()),
            Error::Damaged { .. } => Some("import or load the image again".into()),
            Error::Limit { key, .. } => {
                Some(format!("if you trust the image, raise `{key}` in [images.limits] of the configuration"))
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
