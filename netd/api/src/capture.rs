//! `rcr network capture`: sockets that hear what crosses links, and names for what is heard.

use crate::{ContainerId, IfName, NetworkName};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureAt {
    /// At the links inside a container: all of them, or that of one network (name, id, or the beginning of an id).
    Container(ContainerId, Option<String>),
    /// At a network's own link on the host, by name, id, or the beginning of an id.
    Network(String),
    /// At the host's link that an overlay network's frames leave by, wrapped for other hosts.
    Tunnel(String),
}

/// What is listened to. A packet socket for each tap comes beside it, in the same order (packet(7), `SOCK_RAW`, with
/// `SO_TIMESTAMPNS`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureView {
    /// The links.
    pub taps: Vec<TapView>,
    /// Who has which address. An address comes once.
    pub names: Vec<NamedAddress>,
    /// What can't be heard there, a sentence each.
    #[serde(default)]
    pub deaf: Vec<String>,
    /// Only frames in this tunnel are meant.
    #[serde(default)]
    pub tunnel: Option<TunnelView>,
}

/// How frames of an overlay network are wrapped (RFC 7348).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelView {
    /// The UDP port that they are sent to.
    pub port: u16,
    /// The network's number.
    pub vni: u32,
}

/// A link that is listened to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapView {
    /// What it is called where it is.
    pub link: IfName,
    /// The container that it is in; absent: it is the host's.
    #[serde(default)]
    pub container: Option<String>,
    /// The network that it belongs to.
    pub network: NetworkName,
}

/// Whose an address is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedAddress {
    /// The address.
    pub address: IpAddr,
    /// A container, `host`, `gateway`, `resolver`, or a host of the cluster.
    pub name: String,
}
