//! `rcr network why A B`: whether A reaches B, and if not, why.

use crate::{Proto, PublishRequest};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhyRequest {
    /// A container, `host`, or `outside`.
    pub from: String,
    /// A container of this host or of another one, `host`, `outside`, an address, or any other name.
    pub to: String,
    /// Absent: whether packets come through at all.
    #[serde(default)]
    pub port: Option<u16>,
    /// The port's protocol.
    pub proto: Proto,
    /// Of these two the containers that do not run: netd does not know them.
    #[serde(default)]
    pub asleep: Vec<Asleep>,
}

/// A container that does not run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asleep {
    /// As the request calls it.
    pub asked: String,
    /// Its name.
    pub name: String,
    /// How it is, as listings say it.
    pub status: String,
    /// The networks that it would be on.
    #[serde(default)]
    pub networks: Vec<String>,
    /// What it would publish.
    #[serde(default)]
    pub publish: Vec<PublishRequest>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhyAnswer {
    /// As asked.
    pub from: String,
    /// As asked.
    pub to: String,
    /// The address that was tried, if it came so far.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// The port that was tried.
    #[serde(default)]
    pub port: Option<u16>,
    /// Its protocol.
    pub proto: Proto,
    /// The answer.
    pub reach: Reach,
    /// The way, up to the first hop that is broken.
    pub hops: Vec<Hop>,
    /// What could not be looked at, and why.
    #[serde(default)]
    pub unseen: Vec<String>,
    /// How long it took, in microseconds.
    #[serde(default)]
    pub took: u64,
}

/// Whether it comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// It does.
    Yes,
    /// It does not: the last hop says why.
    No,
    /// Nothing was found broken, and nothing came back.
    Unknown,
}

/// One place on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hop {
    /// Where it is: a container's name, or `host`.
    pub place: String,
    /// What was looked at, and how it is.
    pub what: String,
    /// What is wrong with it; absent: nothing.
    #[serde(default)]
    pub fault: Option<Fault>,
    /// What was seen.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// Command lines that repair it: one of them is enough.
    #[serde(default)]
    pub repair: Vec<String>,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names say it.
pub enum Fault {
    NotRunning,
    NetworkFull,
    NotOnOneNetwork,
    NameOfAnotherNetwork,
    NameWithheld,
    NoSuchName,
    ResolverSilent,
    NoNetwork,
    Internal,
    IccOff,
    Ipv6Off,
    LinkMissing,
    LinkDown,
    LinkMisplaced,
    AddressMissing,
    ParentDown,
    ParentKeepsHostApart,
    NoRoute,
    RouteElsewhere,
    StaleNeighbour,
    NeighbourSilent,
    ReversePathFilter,
    ForwardingOff,
    ConntrackFull,
    ForeignTable,
    AdministratorsRule,
    NetworksClosed,
    HostClosed,
    NotPublished,
    PublishedElsewhere,
    PortTaken,
    NotListening,
    ListensOnLoopback,
    ListensElsewhere,
    MtuHole,
    WrongVtep,
    NoEntry,
    HostDown,
    TunnelBlocked,
    KeyOld,
    LeaseLost,
    /// Nothing that was looked at explains it.
    Unexplained,
}
