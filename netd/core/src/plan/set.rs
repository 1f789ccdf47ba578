//! What is set on a link that stands.

use super::effect::{Effect, Row};
use netd_api::IfName;
use serde::{Deserialize, Serialize};

/// Sets something on a link.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum SetOp {
    /// It is up from now on.
    Up { link: IfName },
    /// It has another MTU, in bytes. Inverse: the old one.
    Mtu { link: IfName, from: u32, to: u32 },
}

impl SetOp {
    /// All names.
    pub const NAMES: [&str; 2] = ["up", "mtu"];
}

impl Effect for SetOp {
    fn name(&self) -> &'static str {
        match self {
            SetOp::Up { .. } => "up",
            SetOp::Mtu { .. } => "mtu",
        }
    }

    fn link(&self) -> Option<&IfName> {
        let (SetOp::Up { link } | SetOp::Mtu { link, .. }) = self;
        Some(link)
    }

    fn describe(&self) -> String {
        match self {
            SetOp::Up { link } => format!("set `{link}` up"),
            SetOp::Mtu { link, to, .. } => format!("set the MTU of `{link}` to {to}"),
        }
    }

    fn rows(&self) -> Vec<Row> {
        match self {
            SetOp::Up { link } => Row::one('~', "link", link, "up"),
            SetOp::Mtu { link, from, to } => Row::one('~', "link", link, format!("mtu {from} -> {to}")),
        }
    }
}
