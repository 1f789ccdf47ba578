//! Routes, and the ways of answers.

use super::effect::{Effect, Place, Row};
use ipnet::IpNet;
use netd_api::IfName;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Adds a route, in place of another one to the same destination; without `via` to the link itself. Inverse: delete it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op")]
pub enum RouteOp {
    #[serde(rename = "route")]
    Add { to: IpNet, via: Option<IpAddr>, link: IfName },
}

impl RouteOp {
    /// All names.
    pub const NAMES: [&str; 1] = ["route"];
}

impl Effect for RouteOp {
    fn name(&self) -> &'static str {
        "route"
    }

    fn link(&self) -> Option<&IfName> {
        let RouteOp::Add { link, .. } = self;
        Some(link)
    }

    fn place(&self) -> Option<Place> {
        let RouteOp::Add { to, .. } = self;
        Some(Place::Route(*to))
    }

    fn describe(&self) -> String {
        match self {
            RouteOp::Add { to, via: Some(via), link } => format!("add route `{to}` via `{via}` on `{link}`"),
            RouteOp::Add { to, via: None, link } => format!("add route `{to}` on `{link}`"),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let RouteOp::Add { to, via, link } = self;
        let to = if to.prefix_len() == 0 { "default".to_owned() } else { to.to_string() };
        let via = via.map(|via| format!("via {via} ")).unwrap_or_default();
        Row::one('+', "route", to, format!("{via}dev {link}"))
    }
}

/// What comes from `address` leaves by `via`, whatever carries the container's default route. Inverse: delete the rule and its routes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "op")]
pub enum ReplyOp {
    #[serde(rename = "reply_route")]
    Add { address: IpNet, via: IpAddr, link: IfName },
}

impl ReplyOp {
    /// All names.
    pub const NAMES: [&str; 1] = ["reply_route"];
}

impl Effect for ReplyOp {
    fn name(&self) -> &'static str {
        "reply_route"
    }

    fn link(&self) -> Option<&IfName> {
        let ReplyOp::Add { link, .. } = self;
        Some(link)
    }

    fn describe(&self) -> String {
        let ReplyOp::Add { address, link, .. } = self;
        format!("route answers from `{}` by `{link}`", address.addr())
    }

    fn rows(&self) -> Vec<Row> {
        let ReplyOp::Add { address, via, link } = self;
        Row::one('+', "rule", "from", format!("{}: via {via} dev {link}", address.addr()))
    }
}
