//! Requests.

use crate::{AttachmentRequest, CaptureAt, ContainerId, NetworkChange, NetworkCreate, SandboxRequest, WhyRequest};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One request frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// [`crate::API_VERSION`] of the caller.
    pub v: u16,
    /// What is asked.
    #[serde(flatten)]
    pub call: Call,
}

impl Request {
    /// A request of this version.
    pub fn new(call: Call) -> Self {
        Self { v: crate::API_VERSION, call }
    }
}

/// What netd can be asked. Beside each: the [`crate::Reply`] it answers with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", content = "args", rename_all = "snake_case")]
#[allow(missing_docs)] // Each call's own text speaks of its fields.
pub enum Call {
    /// → `Version`.
    Version,
    /// → `Network`. With `dry_run`: → `Plan`, nothing is changed.
    NetworkCreate { spec: NetworkCreate, dry_run: bool },
    /// → `Networks`, sorted by name.
    NetworkList,
    /// By name, id, or an unambiguous prefix of an id. → `Network`.
    NetworkInspect { network: String },
    /// → `Done`. Refused while containers are attached, naming them.
    NetworkRemove { network: String },
    /// → `Sandbox`, with one descriptor (the netns) unless the source is `Host`.
    ///
    /// The sandbox belongs to this connection until `SandboxHold`: when the connection ends before, it is released.
    /// With `dry_run`: → `Plan`, nothing is changed, no descriptor.
    SandboxCreate { spec: SandboxRequest, dry_run: bool },
    /// The shim that keeps the sandbox answers on `socket` (see [`crate::Call`] docs in ARCHITECTURE.md, "the shim's
    /// socket"): netd connects to it, sends the line `netns\n`, receives the netns descriptor back, and keeps the
    /// connection; its end means that the container is gone, and the sandbox is released. → `Done`.
    SandboxHold { id: ContainerId, socket: PathBuf },
    /// → `Done`, also when there is no such sandbox.
    SandboxRelease { id: ContainerId },
    /// → `Sandbox`, without a descriptor.
    SandboxInspect { id: ContainerId },
    /// → `Sandboxes`.
    SandboxList,
    /// Renames the container in DNS. → `Done`.
    SandboxRename { id: ContainerId, name: String },
    /// Attaches a running container. → `Sandbox`.
    Connect { id: ContainerId, attachment: AttachmentRequest },
    /// Detaches a running container. → `Sandbox`.
    Disconnect { id: ContainerId, network: String },
    /// Ends netd: the data path stays, state is synced. → `Done`.
    Shutdown,
    /// Changes a network, in use or not; all of it or nothing. → `Network`. With `dry_run`: → `Plan`, nothing is
    /// changed.
    NetworkUpdate { network: String, change: NetworkChange, dry_run: bool },
    /// The hosts of the cluster. → `Nodes`, sorted by name.
    NodeList,
    /// Forgets a host with everything it had, by name, id, or an unambiguous prefix of an id; one that is there only by
    /// `force`. → `Done`.
    NodeRemove { node: String, force: bool },
    /// Gives this host a new WireGuard key; the last one goes when the others have taken the new one over. → `Key`.
    NodeRekey,
    /// A network with all its links, names and rules as they are now. → `Shown`.
    NetworkShow { network: String },
    /// The last questions for names that containers of a network have asked, on whichever of their networks. →
    /// `Queries`, the newest first.
    NetworkQueries { network: String },
    /// Whether one reaches another, and why not. → `Why`. Nothing is changed; a packet is sent.
    NetworkWhy { question: WhyRequest },
    /// Networks with their containers, for a picture; none named: all; `container`: what that one is on. → `Graph`.
    NetworkGraph { networks: Vec<String>, container: Option<ContainerId> },
    /// What differs from what was made, on all hosts of the cluster or on this one alone (`here`). → `Checked`. With
    /// `repair` each host makes its own again.
    NetworkCheck {
        repair: bool,
        #[serde(default)]
        here: bool,
    },
    /// What was made for a container that runs, and what of it is there. → `Plan`.
    SandboxPlan { id: ContainerId },
    /// What `Connect` would do. → `Plan`, nothing is changed.
    ConnectPlan { id: ContainerId, attachment: AttachmentRequest },
    /// Listens at links. → `Capture`, with a packet socket for each.
    NetworkCapture { at: CaptureAt },
}
