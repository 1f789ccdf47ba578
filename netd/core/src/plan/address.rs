//! Addresses of links.

use super::effect::{Effect, Row};
use ipnet::IpNet;
use netd_api::IfName;
use serde::{Deserialize, Serialize};

/// Gives a link an address. Inverse: delete it, unless its link went before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op")]
pub enum AddressOp {
    #[serde(rename = "address")]
    Add { link: IfName, address: IpNet },
}

impl AddressOp {
    /// All names.
    pub const NAMES: [&str; 1] = ["address"];
}

impl Effect for AddressOp {
    fn name(&self) -> &'static str {
        "address"
    }

    fn link(&self) -> Option<&IfName> {
        let AddressOp::Add { link, .. } = self;
        Some(link)
    }

    fn describe(&self) -> String {
        let AddressOp::Add { link, address } = self;
        format!("add address `{address}` to `{link}`")
    }

    fn rows(&self) -> Vec<Row> {
        let AddressOp::Add { link, address } = self;
        Row::one('+', "addr", link, address.to_string())
    }
}
