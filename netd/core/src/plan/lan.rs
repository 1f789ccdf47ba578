//! Addresses and the machines around: asked for before they are used, announced after.

use super::effect::{Effect, Row};
use netd_api::IfName;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Says something on the LAN. There is nothing to undo.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum LanOp {
    /// Asks whether anybody has one of these addresses, and fails if so.
    Probe { link: IfName, addresses: Vec<IpAddr> },
    /// Tells who has these addresses now.
    Announce { link: IfName, addresses: Vec<IpAddr> },
}

impl LanOp {
    /// All names.
    pub const NAMES: [&str; 2] = ["probe", "announce"];
}

impl Effect for LanOp {
    fn name(&self) -> &'static str {
        match self {
            LanOp::Probe { .. } => "probe",
            LanOp::Announce { .. } => "announce",
        }
    }

    fn link(&self) -> Option<&IfName> {
        let (LanOp::Probe { link, .. } | LanOp::Announce { link, .. }) = self;
        Some(link)
    }

    fn describe(&self) -> String {
        match self {
            LanOp::Probe { link, .. } => format!("ask the LAN for the addresses of `{link}`"),
            LanOp::Announce { link, .. } => format!("announce the addresses of `{link}`"),
        }
    }

    fn rows(&self) -> Vec<Row> {
        match self {
            LanOp::Probe { link, addresses } => Row::one('?', "addr", link, list(addresses)),
            LanOp::Announce { link, addresses } => Row::one('!', "addr", link, list(addresses)),
        }
    }
}

pub(super) fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
