//! The init plan: everything the child does between clone3(2) and execve(2), as data.
//!
//! Pure. Paths on the host are absolute; paths in the container are written without a leading `/` and are resolved
//! below the container's root by openat2(2), so that no symlink of an image leads out.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The `PATH` of a container whose image names none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A whole container start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InitPlan {
    /// The namespaces that it gets of its own.
    pub spaces: Spaces,
    /// The host name; absent: as it is.
    pub hostname: Option<String>,
    /// The NIS domain name; absent: as it is.
    pub domainname: Option<String>,
    /// The root file system.
    pub root: RootPlan,
    /// In order; all before pivot_root(2).
    pub ops: Vec<InitOp>,
    /// The program and its credentials.
    pub process: ProcessPlan,
}

/// Namespaces of the container's own; it always has its own mounts. A network comes as a descriptor, and others' are
/// joined ([`crate::config::Joins`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spaces {
    /// Its processes end with the first one.
    pub pid: bool,
    /// Shared memory.
    pub ipc: bool,
    /// The host name.
    pub uts: bool,
    /// Its cgroup is the root of what it sees.
    pub cgroup: bool,
}

/// The root file system: an overlay, mounted by the child in its own mount namespace, so that no crash leaves it on the
/// host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootPlan {
    /// Lowest first.
    pub lower: Vec<PathBuf>,
    /// The container's own layer.
    pub upper: PathBuf,
    /// overlayfs's work folder, on the file system of `upper`.
    pub work: PathBuf,
    /// An empty folder to mount it on.
    pub mountpoint: PathBuf,
    /// `--read-only`: remounted after everything else.
    pub read_only: bool,
    /// Skip syncing at unmount: right for a container that is removed when it ends (overlayfs `volatile`, Linux 5.10).
    pub volatile: bool,
}

/// What a bind is mounted on, made if it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BindOn {
    /// A folder for a folder, an empty file for all else.
    Alike,
    /// A file that rcr manages: a symlink in its place is removed, since its target is not ours to cover.
    OwnFile,
}

/// One step inside the container's future root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum InitOp {
    /// Mounts a new file system. `system`: the target may not be reached through a symlink (an image that ships `/proc`
    /// as one is hostile).
    Mount {
        /// The file system's type.
        fstype: String,
        /// Where it is mounted.
        target: String,
        /// Its own options: key, and value if it has one.
        options: Vec<(String, Option<String>)>,
        /// `ATTR_*` of mount_setattr(2).
        attrs: u64,
        /// The target may not be reached through a symlink.
        system: bool,
    },
    /// Mounts a file system of a device or a server as the host reaches it.
    FileSystem {
        /// The file system's type.
        fstype: String,
        /// Where it is mounted.
        target: String,
        /// `source`, and its own options: key, and value if it has one.
        options: Vec<(String, Option<String>)>,
        /// `ATTR_*` of mount_setattr(2).
        attrs: u64,
    },
    /// Binds a host path. `propagation`: `MS_PRIVATE`, `MS_SLAVE` or `MS_SHARED`.
    Bind {
        /// The path on the host.
        source: PathBuf,
        /// What is bound of it, by a path that can't lead out; absent: all.
        below: Option<String>,
        /// Where it is bound.
        target: String,
        /// With the mounts below it.
        recursive: bool,
        /// These stay writable if it is read-only.
        writable_below: bool,
        /// `ATTR_*` of mount_setattr(2).
        attrs: u64,
        /// `MS_PRIVATE`, `MS_SLAVE` or `MS_SHARED`.
        propagation: u64,
        /// What is made as the target if it is missing.
        on: BindOn,
    },
    /// Mounts an image's layers, read-only.
    Image {
        /// Lowest first; never empty.
        layers: Vec<PathBuf>,
        /// What is mounted of them; absent: all.
        below: Option<String>,
        /// Where it is mounted.
        target: String,
    },
    /// A device node in the fresh `/dev`.
    Node {
        /// Its path.
        path: String,
        /// A block device, not a character device.
        block: bool,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
        /// Permission bits.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Binds `/dev/shm` of the container whose IPC namespace is joined.
    SharedMemory {
        /// Where it is bound.
        target: String,
    },
    /// A symlink.
    Symlink {
        /// Its path.
        path: String,
        /// Its target.
        to: String,
    },
    /// A folder, with its mode.
    Directory {
        /// Its path.
        path: String,
        /// Permission bits.
        mode: u32,
    },
    /// Writes `/proc/sys/<key>`.
    Sysctl {
        /// The path below `/proc/sys`.
        key: String,
        /// What is written.
        value: String,
    },
    /// Hides a file (by `/dev/null`) or a folder (by an empty read-only tmpfs); what isn't there needs no hiding.
    Mask {
        /// What is hidden.
        path: String,
    },
    /// Makes a path read-only; what isn't there is left alone.
    ReadOnly {
        /// What becomes read-only.
        path: String,
    },
}

impl InitOp {
    /// What the step does, for an error message.
    pub fn describe(&self) -> String {
        match self {
            InitOp::Mount { fstype, target, .. } => format!("mount {fstype} on `/{target}`"),
            InitOp::FileSystem { fstype, target, options, .. } => {
                let source = options.iter().find(|(key, _)| key == "source").and_then(|(_, value)| value.as_deref());
                format!("mount {fstype} `{}` on `/{target}`", source.unwrap_or_default())
            }
            InitOp::Image { below: Some(below), target, .. } => format!("mount `{below}` of an image on `/{target}`"),
            InitOp::Image { target, .. } => format!("mount an image on `/{target}`"),
            InitOp::Bind { source, below: Some(below), target, .. } => {
                format!("bind `{below}` of `{}` to `/{target}`", source.display())
            }
            InitOp::Bind { source, target, .. } => format!("bind `{}` to `/{target}`", source.display()),
            InitOp::Node { path, .. } => format!("create the device `/{path}`"),
            InitOp::SharedMemory { target } => format!("bind the other container's shared memory to `/{target}`"),
            InitOp::Symlink { path, .. } => format!("create the symlink `/{path}`"),
            InitOp::Directory { path, .. } => format!("create the folder `/{path}`"),
            InitOp::Sysctl { key, value } => format!("set sysctl `{}` to `{value}`", key.replace('/', ".")),
            InitOp::Mask { path } => format!("mask `/{path}`"),
            InitOp::ReadOnly { path } => format!("make `/{path}` read-only"),
        }
    }
}

/// Capability sets as bit masks (bit n = capability number n, capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapMasks {
    /// The bounding set.
    pub bounding: u64,
    /// The effective set.
    pub effective: u64,
    /// The permitted set.
    pub permitted: u64,
    /// The inheritable set.
    pub inheritable: u64,
    /// The ambient set.
    pub ambient: u64,
}

/// The program and its credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessPlan {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Absolute path in the container; made if it is missing.
    pub cwd: String,
    /// The user and its groups.
    pub user: UserPlan,
    /// The capability sets.
    pub caps: CapMasks,
    /// prctl(2), PR_SET_NO_NEW_PRIVS.
    pub no_new_privs: bool,
    /// Limits to set; others are inherited.
    pub rlimits: Vec<RlimitPlan>,
    /// The filter's program, one instruction per element; empty: unconfined.
    pub seccomp: Vec<u64>,
    /// A terminal of its own.
    pub terminal: bool,
    /// Its rows and columns, set before the program's first instruction.
    pub terminal_size: Option<(u16, u16)>,
    /// -1000 to 1000; absent: as it is inherited.
    pub oom_score_adj: Option<i32>,
    /// The signal it gets if the shim dies.
    pub parent_death_signal: bool,
}

/// `-u`: resolved in the container, after its mounts, from its own `/etc/passwd` and `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPlan {
    /// The user.
    pub user: Identity,
    /// The group; absent: the user's own.
    pub group: Option<Identity>,
    /// `--group-add`.
    pub extra_groups: Vec<Identity>,
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// By number.
    Id(u32),
    /// By name, looked up in the container.
    Name(String),
}

impl UserPlan {
    /// The same with additional groups, by number and by name.
    pub fn with_groups(mut self, numbers: &[u32], names: &[String]) -> Self {
        let numbers = numbers.iter().map(|id| Identity::Id(*id));
        self.extra_groups = numbers.chain(names.iter().cloned().map(Identity::Name)).collect();
        self
    }

    /// Root with root's groups.
    pub fn root() -> Self {
        Self { user: Identity::Id(0), group: None, extra_groups: Vec::new() }
    }

    /// Parses `user[:group]`, names or numbers. A number must fit 31 bits: 4294967296 must not become root by wrapping.
    pub fn parse(text: &str) -> Result<Self, String> {
        let one = |part: &str| -> Result<Identity, String> {
            if part.is_empty() {
                return Err(format!("user `{text}` has an empty part"));
            }
            if part.bytes().all(|b| b.is_ascii_digit()) {
                let id = part.parse::<u32>().ok().filter(|id| *id <= i32::MAX as u32);
                return id.map(Identity::Id).ok_or_else(|| format!("id `{part}` is not between 0 and {}", i32::MAX));
            }
            if part.bytes().any(|b| b == 0 || b == b'\n') {
                return Err(format!("user `{text}` has a control character"));
            }
            Ok(Identity::Name(part.to_owned()))
        };
        if text.is_empty() {
            return Ok(Self::root());
        }
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (one(user)?, Some(one(group)?)),
            None => (one(text)?, None),
        };
        Ok(Self { user, group, extra_groups: Vec::new() })
    }
}

/// One resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RlimitPlan {
    /// `RLIMIT_*` of the kernel.
    pub resource: u32,
    /// The limit that counts.
    pub soft: u64,
    /// The highest value that the process may set itself.
    pub hard: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_parsed_and_numbers_do_not_wrap() {
        assert_eq!(UserPlan::parse("").unwrap(), UserPlan::root());
        assert_eq!(UserPlan::parse("1000:50").unwrap().group, Some(Identity::Id(50)));
        assert_eq!(UserPlan::parse("nobody").unwrap().user, Identity::Name("nobody".into()));
        for bad in ["4294967296", "2147483648", ":0", "a:", "99999999999999999999"] {
            assert!(UserPlan::parse(bad).is_err(), "{bad}");
        }
    }
}
