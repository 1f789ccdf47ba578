//! What is to be built, and what came of it.

use crate::images::{Platform, Reference};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What is to be built.
#[derive(Debug, Default)]
pub struct Build {
    /// What COPY and ADD see.
    pub context: Context,
    /// Absent: `Dockerfile`, else `Containerfile`, in the context.
    pub file: Option<Source>,
    /// The names of the image.
    pub names: Vec<Reference>,
    /// `NAME=value`, or a name whose value is in our environment.
    pub args: Vec<String>,
    /// Further labels, `key=value`.
    pub labels: Vec<String>,
    /// The stage that becomes the image; absent: the last one.
    pub target: Option<String>,
    /// Every step is done again.
    pub no_cache: bool,
    /// Base images are pulled even if they are here.
    pub pull: bool,
    /// Nothing is written but errors.
    pub quiet: bool,
    /// Absent: this machine's.
    pub platform: Option<Platform>,
    /// What RUN reaches.
    pub network: RunNetwork,
    /// Flags that buildah takes as they are: their names with `--`, and their values.
    pub more: Vec<(&'static str, String)>,
}

/// Where the context comes from.
#[derive(Debug)]
pub enum Context {
    /// A folder.
    Folder(PathBuf),
    /// A tar, packed or not, or a Dockerfile alone.
    Stream(OwnedFd),
    /// A git repository or an archive, by its URL.
    Remote(String),
}

impl Default for Context {
    fn default() -> Self {
        Self::Folder(".".into())
    }
}

/// Where the Dockerfile comes from.
#[derive(Debug)]
pub enum Source {
    /// A file, by its path from here.
    File(PathBuf),
    /// A stream.
    Stream(OwnedFd),
}

/// What programs that RUN starts reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunNetwork {
    /// What this host reaches.
    #[default]
    Host,
    /// Nothing.
    None,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Built {
    /// An image: its id.
    Image(String),
    /// A step failed, and what it wrote says why: the exit code of buildah, which is that of a RUN's program.
    Failed(i32),
}
