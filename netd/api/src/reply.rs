//! Replies and errors.

use crate::{KeyInfo, NetworkInfo, NodeInfo, SandboxInfo};
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

/// An error that travels: what `rcr` prints after `error:`. As text it is one line, causes included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}{}", .causes.iter().map(|cause| format!(": {cause}")).collect::<String>())]
pub struct ApiError {
    pub kind: ErrorKind,
    /// What netd was doing, on which object.
    pub message: String,
    /// The chain of causes, outermost first, errno names included.
    #[serde(default)]
    pub causes: Vec<String>,
    /// The way out.
    #[serde(default)]
    pub hint: Option<String>,
    /// What could not be undone, each with the command that removes it.
    #[serde(default)]
    pub left_behind: Vec<String>,
}

impl ApiError {
    /// An error with a message alone.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hint: None, left_behind: Vec::new() }
    }

    /// The same with one more cause.
    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// The same with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What kind of error: for programs; people read the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request is wrong.
    Invalid,
    NotFound,
    /// Name, address or port taken.
    InUse,
    /// A pool is empty.
    Exhausted,
    /// The caller may not.
    Permission,
    /// The kernel can't.
    Unsupported,
    /// Another protocol version.
    Version,
    /// The kernel or the disk refused.
    System,
}
