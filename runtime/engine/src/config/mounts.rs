//! A container's mounts beside its image.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One mount of the user's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path in the container.
    pub target: String,
    /// Where its content comes from.
    pub kind: MountKind,
    /// The container can't write to it.
    pub read_only: bool,
}

/// Where its content comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum MountKind {
    /// A folder or file of the host.
    Bind {
        /// Its absolute path on the host.
        source: PathBuf,
        /// With the mounts below it.
        recursive: bool,
        /// Whether later mounts are seen on the other side.
        propagation: Propagation,
        /// Device files below it work, as far as the device rules go.
        #[serde(default)]
        dev: bool,
        /// Setuid programs below it work.
        #[serde(default)]
        suid: bool,
        /// Mounts below a read-only one stay as they are.
        #[serde(default)]
        writable_below: bool,
    },
    /// `anonymous`: removed with the container.
    Volume {
        /// Its name.
        name: String,
        /// Its content's folder on the host.
        source: PathBuf,
        /// It has no name of the user's.
        anonymous: bool,
        /// A folder or file in it, instead of the whole.
        #[serde(default)]
        subpath: Option<String>,
        /// It is in memory: options of tmpfs(5).
        #[serde(default)]
        memory: Option<Vec<String>>,
        /// It is a file system of its own, of a device or a server.
        #[serde(default)]
        file_system: Option<FileSystem>,
    },
    /// The files of an image, read-only.
    Image {
        /// As the user wrote it.
        reference: String,
        /// The digest of its config.
        id: String,
        /// Unpacked layers, lowest first.
        layers: Vec<PathBuf>,
        /// A folder or file in it, instead of the whole.
        subpath: Option<String>,
    },
    /// Options of tmpfs(5), e.g. `size=64m`.
    Tmpfs {
        /// As mount(8) takes them.
        options: Vec<String>,
    },
}

/// A file system that is mounted for a container, as the host reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// As the kernel calls it: `nfs`, `ext4`.
    pub fstype: String,
    /// A device, or what a server exports.
    pub device: String,
    /// What the file system itself is told.
    pub options: Vec<String>,
    /// What the mount is told: `noexec`, `noatime`.
    pub flags: Vec<String>,
}

/// Mount propagation of a bind (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Later mounts are not seen on the other side.
    #[default]
    Private,
    /// The host's later mounts are seen in the container.
    Slave,
    /// Later mounts are seen on both sides.
    Shared,
}
