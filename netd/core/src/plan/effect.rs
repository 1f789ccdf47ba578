//! What every op can say of itself, whatever its family.

use ipnet::IpNet;
use netd_api::{IfName, Mac, PublicKey};
use std::net::IpAddr;

/// One effect on a kernel. Links are named, never numbered. An effect that creates something has an inverse (see `kernel::undo`); the
/// others change an object that an earlier step of the same plan created, and go when it goes.
pub trait Effect {
    /// Its name: what failpoints and journals call it.
    fn name(&self) -> &'static str;

    /// What it does, for errors: `create bridge `br-blue``.
    fn describe(&self) -> String;

    /// How it reads in a plan.
    fn rows(&self) -> Vec<Row>;

    /// The host's link that it makes, if it makes one.
    fn makes(&self) -> Option<&IfName> {
        None
    }

    /// The link that it changes, if it changes one.
    fn link(&self) -> Option<&IfName> {
        None
    }

    /// The place in the kernel that it fills, if it takes it from whatever is there, with no moment in which there is nothing.
    fn place(&self) -> Option<Place> {
        None
    }

    /// The object that it is about, if that can be changed while it stands.
    fn object(&self) -> Option<Object<'_>> {
        None
    }

    /// The links that it makes, each with its MTU.
    fn ends(&self) -> Vec<End<'_>> {
        Vec::new()
    }
}

/// A line of a plan's text. `mark`: see `show`.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    pub mark: char,
    pub kind: &'static str,
    pub name: String,
    pub what: String,
}

impl Row {
    /// The only row of an op.
    pub fn one(mark: char, kind: &'static str, name: impl ToString, what: impl Into<String>) -> Vec<Self> {
        vec![Self { mark, kind, name: name.to_string(), what: what.into() }]
    }
}

/// Where in a kernel only one can be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    Link(IfName),
    Route(IpNet),
    /// In the forwarding table of a link.
    Forward(IfName, Mac),
    Neighbour(IfName, IpAddr),
    /// Of a WireGuard link.
    Peer(IfName, PublicKey),
}

/// An object that can be changed while it stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Object<'a> {
    /// A link, with the name of the op that makes it.
    Link(&'static str, &'a IfName),
    /// A link that listens on a port: with another port it is another one.
    Listener(&'a IfName, u16),
    Sysctl(&'a str),
}

/// A link that an op makes.
#[derive(Debug)]
pub struct End<'a> {
    /// It is in the container.
    pub inside: bool,
    pub link: &'a IfName,
    pub mtu: Mtu<'a>,
}

/// What a new link's MTU is.
#[derive(Debug, Clone, Copy)]
pub enum Mtu<'a> {
    /// In bytes.
    Of(u32),
    /// The same as this link's.
    Like(&'a IfName),
}
