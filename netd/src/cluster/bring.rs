//! The store is brought to what this host has.

use super::between::Own;
use super::client::Client;
use super::writes::{self, network_again, network_key, network_newer};
use crate::clock::unix_time;
use crate::store::shared::{Connect, Shared as Store, SharedError, Write};
use netd_api::NetworkId;
use netd_core::model::Network;
use netd_core::schema::{Key, Node, key, parse_key};
use std::net::IpAddr;

/// Keys that are written in one transaction (etcd allows 128).
const BATCH: usize = 100;

impl<C: Connect> Client<C> {
    /// Brings the store to what this host has: everything below this node that differs. The host's own record comes
    /// after all else: whoever sees it knows that everything is written. Last comes, the first time, that the host is
    /// alive.
    pub(super) async fn bring(&mut self, store: &mut impl Store, own: &Own, first: bool) -> Result<(), SharedError> {
        for network in own.networks.values() {
            match self.snapshot.networks.get(&network.id) {
                None => {
                    let (when, then) = network_again(network);
                    store.txn(when, then).await?;
                }
                Some(known) if known.version < network.version => Self::renew(store, network).await?,
                Some(_) => {}
            }
        }
        self.claim_again(store, own).await?;
        let mut writes = self.additions(own);
        writes.extend(self.leftovers(own));
        let said = self.snapshot.nodes.get(&self.own.node);
        let news = said.is_none_or(|said| said.keys != own.keys || said.knows != own.knows);
        if !writes.is_empty() || first || news {
            writes.push(self.word(own)?);
        }
        for batch in writes.chunks(BATCH) {
            store.txn(Vec::new(), batch.to_vec()).await?;
            self.remember(batch);
        }
        if first { self.live(store).await } else { Ok(()) }
    }

    /// The store has a network as it was before a change that this host has seen.
    async fn renew(store: &mut impl Store, network: &Network) -> Result<(), SharedError> {
        let at = network_key(&network.id);
        let (records, _) = store.range(&at).await?;
        let Some(record) = records.iter().find(|record| record.key == at) else { return Ok(()) };
        let there = serde_json::from_slice::<Network>(&record.value);
        if there.is_ok_and(|there| there.version < network.version) {
            let (when, then) = network_newer(network, record.revision);
            store.txn(when, then).await?;
        }
        Ok(())
    }

    /// Notes what was just written: the next comparison may come before the watch reports it.
    fn remember(&mut self, writes: &[Write]) {
        for write in writes {
            let (key, value) = match write {
                Write::Put { key, value, .. } => (key, Some(value.as_slice())),
                Write::Delete(key) | Write::DeletePrefix(key) => (key, None),
            };
            // Our own words are understood.
            let _ = self.snapshot.take(key, value);
        }
    }

    /// Whether a key is about what this host has, or may have.
    pub(super) fn is_ours(&self, key: &str) -> bool {
        match parse_key(key) {
            Ok(Key::Endpoint(_, node, _) | Key::At(_, node)) => node == self.own.node,
            // There are few of them: whether a container here is on it, and knows it as newer, is seen then.
            Ok(Key::Network(_)) => true,
            Ok(Key::Address(network, address)) => {
                self.snapshot.addresses.get(&(network, address)).is_some_and(|claim| claim.node == self.own.node)
            }
            _ => false,
        }
    }

    /// This host's own record, with its counter raised by one.
    fn word(&mut self, own: &Own) -> Result<Write, SharedError> {
        self.said_up_to += 1;
        let since = self.snapshot.nodes.get(&self.own.node).filter(|_| self.lease.is_some()).map(|node| node.since);
        let since = since.unwrap_or_else(unix_time);
        let record = Node {
            name: self.own.name.clone(),
            address: self.own.address,
            since,
            said: self.said_up_to,
            keys: own.keys.clone(),
            knows: own.knows.clone(),
        };
        let value = serde_json::to_vec(&record).map_err(|error| SharedError::Refused(error.to_string()))?;
        Ok(Write::Put { key: key(format_args!("node/{}", self.own.node)), value, lease: None })
    }

    /// What this host has and the store has not.
    fn additions(&self, own: &Own) -> Vec<Write> {
        let node = &self.own.node;
        let mut writes: Vec<Write> = Vec::new();
        let mut put = |key: String, value: Vec<u8>| writes.push(Write::Put { key, value, lease: None });
        for ((network, container), endpoint) in &own.endpoints {
            let at = (network.clone(), node.clone(), container.clone());
            if self.snapshot.endpoints.get(&at) != Some(endpoint)
                && let Ok(value) = serde_json::to_vec(endpoint)
            {
                put(key(format_args!("endpoint/{network}/{node}/{container}")), value);
            }
        }
        for network in own.at.iter().filter(|id| !self.snapshot.at.contains(&((*id).clone(), node.clone()))) {
            put(key(format_args!("at/{network}/{node}")), Vec::new());
        }
        writes
    }

    /// What the store has of this host and this host has not.
    fn leftovers(&self, own: &Own) -> Vec<Write> {
        let node = &self.own.node;
        let mut writes = Vec::new();
        for (network, at, container) in self.snapshot.endpoints.keys().filter(|(_, at, _)| at == node) {
            if !own.endpoints.contains_key(&(network.clone(), container.clone())) {
                writes.push(Write::Delete(key(format_args!("endpoint/{network}/{at}/{container}"))));
            }
        }
        for (network, at) in self.snapshot.at.iter().filter(|(network, at)| at == node && !own.at.contains(network)) {
            writes.push(Write::Delete(key(format_args!("at/{network}/{at}"))));
        }
        let ours = self.snapshot.addresses.iter().filter(|(_, claim)| claim.node == *node);
        let unused = |network: &NetworkId, address: &IpAddr| {
            own.holder(network, address).is_none() && !self.shared.is_pending(network, *address)
        };
        for ((network, address), _) in ours.filter(|((network, address), _)| unused(network, address)) {
            writes.push(Write::Delete(key(format_args!("address/{network}/{address}"))));
        }
        writes
    }

    /// Writes addresses of containers here that the store has forgotten. An address that somebody else got meanwhile is
    /// logged.
    async fn claim_again(&mut self, store: &mut impl Store, own: &Own) -> Result<(), SharedError> {
        let node = self.own.node.clone();
        for ((network, container), endpoint) in &own.endpoints {
            for address in &endpoint.addresses {
                match self.snapshot.addresses.get(&(network.clone(), *address)) {
                    Some(claim) if claim.node == node => {}
                    Some(claim) => {
                        let (name, who) = (&endpoint.name, claim.node.short());
                        self.say(format!(
                            "`{name}` and a container of host `{who}` both have `{address}`: stop one of them"
                        ));
                    }
                    None => {
                        let (when, then) = writes::address(network, *address, &node, container);
                        store.txn(when, then).await?;
                    }
                }
            }
        }
        Ok(())
    }
}
