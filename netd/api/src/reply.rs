//! Replies.

use crate::{ApiError, KeyInfo, NetworkInfo, NodeInfo, SandboxInfo};
use serde::{Deserialize, Serialize};

/// One reply frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", content = "body", rename_all = "snake_case")]
pub enum Reply {
    Version(VersionInfo),
    Network(NetworkInfo),
    Networks(Vec<NetworkInfo>),
    Sandbox(SandboxInfo),
    Sandboxes(Vec<SandboxInfo>),
    Plan(PlanText),
    Nodes(Vec<NodeInfo>),
    /// The key that is in use from now on.
    Key(KeyInfo),
    Done,
    Error(ApiError),
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionInfo {
    pub version: String,
    pub api: u16,
    pub pid: u32,
    /// `embedded` or the endpoints of a shared store.
    pub store: String,
    /// Firewalls of others that cut networks off.
    #[serde(default)]
    pub obstacles: Vec<crate::Obstacle>,
}

/// A plan as text, the same that golden files hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanText {
    pub text: String,
}
