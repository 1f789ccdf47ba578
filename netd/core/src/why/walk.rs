//! The hops so far, and what all of them need.

use super::hop::{HOST, hop};
use super::question::{Question, Source, Target};
use crate::model::Attachment;
use crate::picture::{Inhabitant, NetworkPicture, Picture};
use crate::seen::{PlaceSeen, ProbeOutcome, Seen};
use netd_api::{Fault, Hop, NetworkId};
use std::net::IpAddr;

/// A way that is being walked.
pub struct Walk<'a> {
    pub picture: &'a Picture,
    pub question: &'a Question,
    pub seen: &'a Seen,
    pub hops: Vec<Hop>,
    /// Somebody waits where the packets arrive.
    pub listens: bool,
}

impl<'a> Walk<'a> {
    /// Nothing walked yet.
    pub fn new(picture: &'a Picture, question: &'a Question, seen: &'a Seen) -> Self {
        Self { picture, question, seen, hops: Vec::new(), listens: false }
    }

    /// Whether a hop is broken: the way ends there.
    pub fn broken(&self) -> bool {
        self.hops.last().is_some_and(|hop| hop.fault.is_some())
    }

    /// A hop that is as it should be.
    pub fn good(&mut self, place: &str, what: impl Into<String>) {
        self.hops.push(hop(place, what.into()));
    }

    /// A hop that is broken.
    pub fn bad(&mut self, fault: Fault, place: &str, what: impl Into<String>) -> &mut Hop {
        let mut broken = hop(place, what.into());
        broken.fault = Some(fault);
        self.hops.push(broken);
        // It was pushed just now.
        let last = self.hops.len() - 1;
        &mut self.hops[last]
    }

    /// Whether the probe came back: then nothing on the way can be broken.
    pub fn answered(&self) -> bool {
        self.seen.probe.as_ref().is_some_and(|probe| probe.outcome == ProbeOutcome::Answered)
    }

    /// Whether the other end refused: then the way there and back is whole.
    pub fn refused(&self) -> bool {
        self.seen.probe.as_ref().is_some_and(|probe| probe.outcome == ProbeOutcome::Refused)
    }

    /// Whether something may be wrong with the way.
    pub fn in_doubt(&self) -> bool {
        !self.answered() && !self.refused()
    }

    /// What the source sends to.
    pub fn address(&self) -> Option<IpAddr> {
        match &self.question.target {
            Target::Container { address, .. } | Target::Remote { address, .. } => Some(*address),
            Target::Published { address, .. } | Target::Host { address } => Some(*address),
            Target::World { address } => *address,
            Target::Named => None,
        }
    }

    /// The container that sends.
    pub fn sender(&self) -> Option<&'a Inhabitant> {
        match &self.question.source {
            Source::Container(id) => self.picture.containers.get(id),
            Source::Host | Source::Outside => None,
        }
    }

    /// The container that is to receive.
    pub fn receiver(&self) -> Option<&'a Inhabitant> {
        match &self.question.target {
            Target::Container { id, .. } | Target::Published { id, .. } => self.picture.containers.get(id),
            _ => None,
        }
    }

    /// The network by which the sender sends: the one it shares with the target, else the one of its default route.
    pub fn sending(&self) -> Option<(&'a Attachment, &'a NetworkPicture)> {
        let sender = self.sender()?;
        let of = |a: &'a Attachment| self.picture.networks.get(&a.network).map(|network| (a, network));
        let on = |network: &NetworkId| sender.attachments.iter().find(|a| a.network == *network);
        match &self.question.target {
            Target::Container { network, .. } | Target::Remote { network, .. } if on(network).is_some() => {
                of(on(network)?)
            }
            _ => {
                let v4 = self.address().is_none_or(|address| address.is_ipv4());
                let leads = |a: &&Attachment| a.default_via.iter().any(|via| via.is_ipv4() == v4);
                let near =
                    |a: &&Attachment| self.address().is_some_and(|to| a.addresses.iter().any(|net| net.contains(&to)));
                let all = || sender.attachments.iter();
                of(all().find(near).or_else(|| all().find(leads)).or_else(|| all().next())?)
            }
        }
    }

    /// The network by which the receiver receives.
    pub fn receiving(&self) -> Option<(&'a Attachment, &'a NetworkPicture)> {
        let receiver = self.receiver()?;
        let on = match &self.question.target {
            Target::Container { network, .. } => receiver.attachments.iter().find(|a| a.network == *network),
            _ => receiver.attachments.iter().find(|a| !a.ports.is_empty()),
        };
        let on = on?;
        self.picture.networks.get(&on.network).map(|network| (on, network))
    }

    /// Both ends are ports of one bridge: frames go from one to the other without a router.
    pub fn one_bridge(&self) -> bool {
        let same = self.sending().zip(self.receiving()).is_some_and(|((_, a), (_, b))| a.network.id == b.network.id);
        same && matches!(self.question.target, Target::Container { .. })
    }

    /// What was seen where the source is.
    pub fn source_place(&self) -> Option<(&'a str, &'a PlaceSeen)> {
        match self.question.source {
            Source::Container(_) => self.seen.source.as_ref().map(|place| (self.question.from.as_str(), place)),
            Source::Host => self.seen.host.as_ref().map(|place| (HOST, place)),
            Source::Outside => None,
        }
    }
}
