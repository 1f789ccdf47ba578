//! Replies.

use crate::{
    ApiError, CaptureView, CheckView, GraphView, KeyInfo, NetworkInfo, NetworkView, NodeInfo, PlanView, QueryView,
    SandboxInfo, WhyAnswer,
};
use serde::{Deserialize, Serialize};

/// One reply frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", content = "body", rename_all = "snake_case")]
pub enum Reply {
    /// To `Version`.
    Version(VersionInfo),
    /// To calls about one network.
    Network(NetworkInfo),
    /// To `NetworkList`.
    Networks(Vec<NetworkInfo>),
    /// To calls about one sandbox.
    Sandbox(SandboxInfo),
    /// To `SandboxList`.
    Sandboxes(Vec<SandboxInfo>),
    /// To a dry run.
    Plan(PlanView),
    /// To `NodeList`.
    Nodes(Vec<NodeInfo>),
    /// The key that is in use from now on.
    Key(KeyInfo),
    /// To `NetworkShow`.
    Shown(Box<NetworkView>),
    /// To `NetworkQueries`.
    Queries(Vec<QueryView>),
    /// To `NetworkGraph`.
    Graph(GraphView),
    /// To `NetworkCheck`.
    Checked(Box<CheckView>),
    /// To `NetworkCapture`.
    Capture(Box<CaptureView>),
    /// To `NetworkWhy`.
    Why(Box<WhyAnswer>),
    /// Done, with nothing to say.
    Done,
    /// Not done, and why.
    Error(ApiError),
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// The version of netd.
    pub version: String,
    /// The version of these wire types.
    pub api: u16,
    /// netd's process id.
    pub pid: u32,
    /// `embedded` or the endpoints of a shared store.
    pub store: String,
    /// Firewalls of others that cut networks off.
    #[serde(default)]
    pub obstacles: Vec<crate::Obstacle>,
}
