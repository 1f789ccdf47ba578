//! `rcr network graph`: who is connected with whom, for a picture.

use serde::{Deserialize, Serialize};

/// Networks with their containers, as a picture has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GraphView {
    /// What is drawn. A node comes after the one that it is in.
    pub nodes: Vec<GraphNode>,
    /// What joins them.
    pub edges: Vec<GraphEdge>,
}

/// Something that is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphNode {
    /// Unique in this picture: letters, digits and `_`.
    pub id: String,
    /// What it is.
    pub kind: GraphKind,
    /// What it is called.
    pub name: String,
    /// More about it, a line each.
    #[serde(default)]
    pub details: Vec<String>,
    /// The node that it is in; absent: none.
    #[serde(default)]
    pub within: Option<String>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphKind {
    /// This host, or another one of the cluster.
    Host,
    /// The world outside.
    Outside,
    /// A link of the host that is not ours.
    Link,
    /// A network.
    Network,
    /// A container.
    Container,
}

/// What joins two nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphEdge {
    /// A node's id.
    pub from: String,
    /// Another one's.
    pub to: String,
    /// How they are joined, a line each.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The network by which a container's ports are published.
    #[serde(default)]
    pub via: Option<String>,
}
