//! Which namespaces a container shares, beside its network.

use netd_api::ContainerId;
use serde::{Deserialize, Serialize};

/// Where they come from. A field that an older build did not write has its default: a namespace of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// Processes.
    pub pid: PidMode,
    /// Shared memory, semaphores, message queues.
    pub ipc: IpcMode,
    /// The host's host name.
    pub uts_host: bool,
    /// It sees its cgroup's path on the host.
    pub cgroup_host: bool,
}

/// Whose processes it sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PidMode {
    /// Its own.
    #[default]
    Private,
    /// All of the host's.
    Host,
    /// Another container's.
    Container(ContainerId),
}

/// Whose shared memory it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpcMode {
    /// Its own, for nobody else.
    #[default]
    Private,
    /// Its own, and other containers may join it.
    Shareable,
    /// Its own, without `/dev/shm`.
    None,
    /// The host's.
    Host,
    /// Another container's.
    Container(ContainerId),
}

impl PidMode {
    /// As `--pid` has it; empty: its own.
    pub fn text(&self) -> String {
        match self {
            Self::Private => String::new(),
            Self::Host => "host".into(),
            Self::Container(id) => format!("container:{id}"),
        }
    }
}

impl IpcMode {
    /// As `--ipc` has it.
    pub fn text(&self) -> String {
        match self {
            Self::Private => "private".into(),
            Self::Shareable => "shareable".into(),
            Self::None => "none".into(),
            Self::Host => "host".into(),
            Self::Container(id) => format!("container:{id}"),
        }
    }
}
