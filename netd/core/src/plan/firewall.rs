//! The host's tables, and the flows that passed them.

use super::effect::{Effect, Row};
use crate::firewall::Element;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Changes the host's firewall.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum FirewallOp {
    /// The table `inet rcr` with its chains, sets and rules. Inverse: delete it.
    Table,
    /// The table `inet rcr-user` with two empty chains for the administrator. Inverse: delete it, if nobody put rules there.
    UserTable,
    /// Elements of the sets and maps of `inet rcr`. Inverse: delete them.
    Elements { elements: Vec<Element> },
    /// Forgets the conntrack entries of an address or of a published UDP/SCTP port, so that old flows don't outlive a change.
    /// Inverse: forget those of the port once more.
    ForgetFlows { address: IpAddr, port: Option<(u8, u16, u16)> },
}

impl FirewallOp {
    /// All names.
    pub const NAMES: [&str; 4] = ["table", "user_table", "elements", "forget_flows"];

    /// One element.
    pub fn element(element: Element) -> Self {
        FirewallOp::Elements { elements: vec![element] }
    }
}

impl Effect for FirewallOp {
    fn name(&self) -> &'static str {
        match self {
            FirewallOp::Table => "table",
            FirewallOp::UserTable => "user_table",
            FirewallOp::Elements { .. } => "elements",
            FirewallOp::ForgetFlows { .. } => "forget_flows",
        }
    }

    fn describe(&self) -> String {
        match self {
            FirewallOp::Table => "write nftables table `inet rcr`".to_owned(),
            FirewallOp::UserTable => "write nftables table `inet rcr-user`".to_owned(),
            FirewallOp::Elements { .. } => "add elements to nftables table `inet rcr`".to_owned(),
            FirewallOp::ForgetFlows { address, .. } => format!("forget the flows of `{address}`"),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let row = |element: &Element| Row::one('+', "nft", element.set.name(), element.to_string());
        match self {
            FirewallOp::Table => Row::one('+', "nft", "table", "inet rcr"),
            FirewallOp::UserTable => Row::one('+', "nft", "table", "inet rcr-user, for the administrator"),
            FirewallOp::Elements { elements } => elements.iter().flat_map(row).collect(),
            FirewallOp::ForgetFlows { address, port: None } => {
                Row::one('-', "flows", "conntrack", format!("of {address}"))
            }
            FirewallOp::ForgetFlows { address, port: Some((proto, from, to)) } => {
                Row::one('-', "flows", "conntrack", format!("to {address} proto {proto} port {from}-{to}"))
            }
        }
    }
}
