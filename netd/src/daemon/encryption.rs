//! What encrypted networks need of the host: its WireGuard keys, links and peers, while it has such a network; and how
//! a new key takes over.
//!
//! A key's life: it is written down, it is published as soon as the cluster has encrypted networks, and gets a link
//! with all peers with the first one here; a new one gets its link first. Another host that sees it adds it as a peer,
//! sends to it, and says so; whoever has said so is sent to by it. When all have, the old key goes with its link. Each
//! step is brought about from what is written down and what the others say, so that a netd that was killed goes on
//! where it was.

use super::failures::{kernel_failed, no_cluster, store_failed};
use super::host::Host;
use super::parts::{Encryption, LINKS};
use super::records::Networks;
use crate::kernel::KernelError;
use crate::ledger::Ledger;
use crate::metrics::counters::Repaired;
use crate::random::{no_random, random};
use crate::store::{Change, Durability, StoreError};
use netd_api::{ApiError, ErrorKind, IfName, KeyInfo, NetworkId};
use netd_core::drivers::wireguard;
use netd_core::keys::{Keyring, Secret};
use netd_core::model::Network;
use netd_core::plan::{Op, Plan};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Where the keys are kept.
const KEYS: &str = "keys";
/// How long an old key's link stays after the last host has said that it sends to the new one: for frames that are on
/// their way.
const LAST_FRAMES: Duration = Duration::from_secs(5);

/// A private key. Without good random bytes there is none.
fn new_secret() -> Result<Secret, ApiError> {
    random().map(Secret::new).map_err(|error| no_random("cannot make a WireGuard key", &error))
}

impl Encryption {
    /// Reads the keys of the last netd.
    pub fn load(&mut self, ledger: &mut Ledger) -> Result<(), StoreError> {
        let known: Vec<(String, Keyring)> = ledger.records(KEYS)?;
        self.keys = known.into_iter().next().map(|(_, ring)| ring).unwrap_or_default();
        self.hand_over(ledger);
        Ok(())
    }

    /// The kernel's applier gets the private keys; plans never hold them.
    fn hand_over(&self, ledger: &mut Ledger) {
        let keys = self.keys.keys.iter();
        ledger.hand_over(keys.map(|key| (key.generation, key.secret.clone())).collect());
    }

    /// Writes the keys down before anything is done with them.
    fn keep(&mut self, ledger: &mut Ledger, ring: Keyring) -> Result<(), ApiError> {
        let change = Change::put(KEYS, &ring);
        change
            .and_then(|change| ledger.record(&[change], Durability::Durable))
            .map_err(|error| store_failed("cannot write this host's WireGuard keys down", &error))?;
        self.keys = ring;
        self.hand_over(ledger);
        Ok(())
    }

    /// What the others are told.
    pub fn published(&self, networks: &Networks) -> Vec<KeyInfo> {
        let announced = self.able == Some(true) && networks.cluster_encrypts();
        if announced || self.links.is_some() { self.keys.infos() } else { Vec::new() }
    }

    /// The ports that WireGuard has, or is about to have.
    pub fn ports(&self, networks: &Networks, also: Option<&Network>) -> BTreeSet<u16> {
        match networks.encrypted_here(also).is_empty() {
            true => BTreeSet::new(),
            false => self.keys.keys.iter().map(|key| key.port).collect(),
        }
    }

    /// Makes sure that there is a key, on the configured port, before the first encrypted network comes up.
    pub fn ready(&mut self, ledger: &mut Ledger, port: u16) -> Result<(), ApiError> {
        let mut ring = self.keys.clone();
        if ring.keys.is_empty() {
            ring.renew(new_secret()?, port, crate::clock::unix_time());
        }
        if self.links.is_none() {
            ring.settle();
            ring.keys.iter_mut().for_each(|key| key.port = port);
        }
        if ring == self.keys { Ok(()) } else { self.keep(ledger, ring) }
    }
}

impl Host {
    /// Whether this host can have an encrypted network. Nothing is touched.
    pub(super) fn can_encrypt(&mut self, what: &str) -> Result<(), ApiError> {
        self.ledger.can_wireguard().map_err(|error| kernel_failed(what, &error))?;
        self.encryption.able = Some(true);
        if !self.facts.ipv6 {
            return Err(ApiError::new(ErrorKind::Unsupported, what)
                .caused_by("the kernel has no IPv6, or it is off: the addresses inside WireGuard are IPv6")
                .hint("boot without `ipv6.disable=1`; the network between the hosts may be IPv4 alone"));
        }
        Ok(())
    }

    /// Publishes a key as soon as the cluster has an encrypted network, before this host needs it: a host that learns
    /// of a key only with the first datagram drops that datagram, and the sender tries again only after five seconds.
    pub(super) fn announce_keys(&mut self) {
        if !self.networks.cluster_encrypts() {
            return;
        }
        let (ipv6, ledger) = (self.facts.ipv6, &mut self.ledger);
        let able = *self.encryption.able.get_or_insert_with(|| ipv6 && ledger.can_wireguard().is_ok());
        if able
            && !self.encryption.keys.is_renewing()
            && let Err(error) = self.encryption.ready(&mut self.ledger, self.config.cluster.wireguard_port())
        {
            self.log.line(error.to_string());
        }
    }

    /// Brings links and peers to what keys and hosts there are.
    pub(super) fn settle_wireguard(&mut self, also: Option<&Network>) -> Result<(), String> {
        let here = self.networks.encrypted_here(also);
        let snapshot = self.membership.snapshot.clone();
        let (mut wanted, mut knows) = (Plan::default(), BTreeMap::new());
        if !here.is_empty() {
            let Some(identity) = self.membership.identity.clone() else { return Ok(()) };
            if snapshot.nodes.is_empty() && self.encryption.links.is_some() {
                // The cluster's state is not known yet: keep what the last netd knew.
                return Ok(());
            }
            let peers = snapshot.keyed(&identity.node, &self.silence.gone());
            let own = self.encryption.keys.infos();
            for (node, peer) in peers.iter().filter(|(_, peer)| peer.keys.len() > 1) {
                knows.extend(peer.keys.last().map(|key| (node.clone(), key.generation)));
            }
            wanted = wireguard::links(&own, &peers.into_values().collect::<Vec<_>>(), &self.facts);
        }
        let done = self.ledger.bring(LINKS, &mut self.encryption.links, wanted);
        if done.is_ok() {
            self.encryption.knows = knows;
        }
        done.map_err(|why| format!("cannot bring WireGuard to what the cluster's hosts are: {why}"))
    }

    /// Somebody deleted a WireGuard link of ours: it is made again, with its peers and routes.
    pub(super) fn wireguard_link_gone(&mut self, name: &str) {
        let Some(journal) = self.encryption.links.clone() else { return };
        let Ok(link) = name.parse() else { return };
        let about = |op: &Op| op.is_about(&link);
        if !journal.plan.steps.iter().any(|step| step.op.makes().is_some() && about(&step.op)) {
            return;
        }
        // The event may be about an older link of the same name.
        if self.ledger.observe(false).is_ok_and(|seen| seen.links.keys().any(|link| link.as_str() == name)) {
            return;
        }
        let wanted = journal.plan.clone();
        let mut left = journal.clone();
        (left.plan.steps, left.outcomes) =
            journal.plan.steps.into_iter().zip(journal.outcomes).filter(|(step, _)| !about(&step.op)).unzip();
        self.encryption.links = Some(left);
        let done = self.ledger.bring(LINKS, &mut self.encryption.links, wanted);
        match done {
            Ok(()) => {
                self.log.line(format!("somebody deleted link `{name}`: made again with its peers"));
                self.note_shared_repair(name, Repaired::Network, None);
            }
            Err(why) => self.log.line(format!("somebody deleted link `{name}`: {why}")),
        }
    }

    /// Makes WireGuard links again that should be there and are not.
    pub(super) fn restore_wireguard(&mut self) -> Result<(), KernelError> {
        let Some(journal) = &self.encryption.links else { return Ok(()) };
        let seen = self.ledger.observe(false)?;
        let made: Vec<IfName> = journal.plan.steps.iter().filter_map(|step| step.op.makes().cloned()).collect();
        for name in made.iter().filter(|name| !seen.links.contains_key(*name)) {
            self.wireguard_link_gone(name.as_str());
        }
        Ok(())
    }

    /// `node rekey`.
    pub(super) fn rekey(&mut self) -> Result<KeyInfo, ApiError> {
        let what = "cannot give this host a new WireGuard key";
        let Some(identity) = self.membership.identity.clone() else { return Err(no_cluster()) };
        if self.encryption.keys.is_renewing() {
            let behind = self.membership.snapshot.behind(&identity.node, &self.silence.gone());
            let who = behind.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let why = if who.is_empty() { "it is about to end".into() } else { format!("not taken over by: {who}") };
            return Err(ApiError::new(ErrorKind::InUse, what)
                .caused_by(format!("the last change of keys is not over; {why}"))
                .hint(
                    "`rcr node ls` shows hosts that are down; one that is gone for good is removed by `rcr node rm`",
                ));
        }
        let before = self.encryption.keys.clone();
        let mut ring = before.clone();
        ring.renew(new_secret()?, self.config.cluster.wireguard_port(), crate::clock::unix_time());
        if self.encryption.links.is_none() {
            ring.settle();
        }
        self.encryption.keep(&mut self.ledger, ring)?;
        if self.encryption.links.is_some()
            && let Err(why) = self.settle_guard(None).and_then(|()| self.settle_wireguard(None))
        {
            self.encryption.keep(&mut self.ledger, before)?;
            let undone = self.settle_wireguard(None).and_then(|()| self.settle_guard(None));
            let failed = ApiError::new(ErrorKind::System, what).caused_by(why);
            return Err(undone.err().into_iter().fold(failed, ApiError::caused_by));
        }
        self.encryption.taken_over = None;
        let key = self.encryption.keys.infos().pop();
        key.ok_or_else(|| ApiError::new(ErrorKind::System, what))
    }

    /// Removes the old key once no host sends to it any more. Only what the store says counts.
    pub(super) fn retire_key(&mut self, now: Instant) {
        let Some(identity) = self.membership.identity.as_ref().filter(|_| self.encryption.keys.is_renewing()) else {
            return;
        };
        let snapshot = &self.membership.snapshot;
        let heard = snapshot.nodes.get(&identity.node).is_some_and(|node| node.keys == self.encryption.keys.infos());
        if !heard || !snapshot.behind(&identity.node, &self.silence.gone()).is_empty() {
            self.encryption.taken_over = None;
            return;
        }
        if now.duration_since(*self.encryption.taken_over.get_or_insert(now)) < LAST_FRAMES {
            return;
        }
        let mut ring = self.encryption.keys.clone();
        ring.settle();
        let done = self.encryption.keep(&mut self.ledger, ring).map_err(|error| error.to_string());
        let done = done.and_then(|()| self.settle_wireguard(None)).and_then(|()| self.settle_guard(None));
        match done {
            Ok(()) => self.log.line("all hosts have taken this host's new WireGuard key over: the old one is gone"),
            Err(why) => self.log.line(why),
        }
    }
}

impl Networks {
    fn cluster_encrypts(&self) -> bool {
        self.values().any(|n| n.network.shared && n.network.encrypted())
    }

    /// The cluster's encrypted networks that have, or are about to have, kernel objects here.
    fn encrypted_here(&self, also: Option<&Network>) -> BTreeSet<NetworkId> {
        let up = self.values().filter(|n| n.journal.is_some()).map(|n| &n.network);
        up.chain(also).filter(|n| n.shared && n.encrypted()).map(|n| n.id.clone()).collect()
    }
}
