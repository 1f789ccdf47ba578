//! What a restored backup has forgotten, until the hosts write it again. Pure.

use super::snapshot::Snapshot;
use netd_api::{ContainerId, NetworkId, NodeId};
use netd_core::schema::{Endpoint, Node};
use std::collections::{BTreeMap, BTreeSet};

/// Hosts that had written more than the store knows, with what they had.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held(BTreeMap<NodeId, Kept>);

#[derive(Debug, Clone, PartialEq)]
struct Kept {
    node: Node,
    alive: bool,
    at: BTreeSet<NetworkId>,
    endpoints: BTreeMap<(NetworkId, ContainerId), Endpoint>,
}

impl Kept {
    fn only_alive(node: &Node) -> Self {
        Self { node: node.clone(), alive: true, at: BTreeSet::new(), endpoints: BTreeMap::new() }
    }
}

impl Held {
    /// `before`: what was known; `now`: what the store says. Only a host itself can say that it no longer has
    /// something. If just its lease has ended, it may have lost the store as this host did: it keeps its names for a
    /// while.
    pub fn new(before: &Snapshot, now: &Snapshot, own: &NodeId) -> Self {
        let said = |id: &NodeId| now.nodes.get(id).map_or(0, |node| node.said);
        let others = before.nodes.iter().filter(|(id, _)| *id != own);
        let kept = others.filter_map(|(id, node)| {
            let alive = before.alive.contains(id);
            if said(id) >= node.said {
                let silent = alive && !now.alive.contains(id);
                return silent.then(|| (id.clone(), Kept::only_alive(node)));
            }
            let at = before.at.iter().filter(|(_, at)| at == id).map(|(network, _)| network.clone());
            let endpoints = before.endpoints.iter().filter(|((_, at, _), _)| at == id);
            let endpoints = endpoints.map(|((network, _, box_), e)| ((network.clone(), box_.clone()), e.clone()));
            Some((id.clone(), Kept { node: node.clone(), alive, at: at.collect(), endpoints: endpoints.collect() }))
        });
        Self(kept.collect())
    }

    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A host has written again, or was removed: what the store says of it is true.
    pub fn heard(&mut self, id: &NodeId, node: Option<&Node>) {
        if node.is_none_or(|node| self.0.get(id).is_some_and(|kept| kept.node.said <= node.said)) {
            self.0.remove(id);
        }
    }

    /// They were silent for as long as a lease lasts: their names go.
    pub fn fall_silent(&mut self) {
        self.0.values_mut().for_each(|kept| kept.alive = false);
    }

    /// The store's picture with what is held.
    pub fn over(&self, now: &Snapshot) -> Snapshot {
        let mut all = now.clone();
        for (id, kept) in &self.0 {
            if all.nodes.get(id).is_none_or(|node| node.said < kept.node.said) {
                all.nodes.insert(id.clone(), kept.node.clone());
            }
            all.at.extend(kept.at.iter().map(|network| (network.clone(), id.clone())));
            if kept.alive {
                all.alive.insert(id.clone());
            }
            for ((network, container), endpoint) in &kept.endpoints {
                all.endpoints.insert_mut((network.clone(), id.clone(), container.clone()), endpoint.clone());
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_lost_the_store_as_we_did_keeps_its_names_for_a_while() {
        let (own, other) = ("d".repeat(32).parse().unwrap(), "b".repeat(32).parse().unwrap());
        let before = with(7, true);
        let mut now = before.clone();
        now.alive.clear();
        let mut held = Held::new(&before, &now, &own);
        assert_eq!(held.over(&now), before);
        held.fall_silent();
        assert_eq!(held.over(&now), now);
        let mut held = Held::new(&before, &now, &own);
        held.heard(&other, with(8, false).nodes.get(&other));
        assert!(held.is_empty());
    }

    fn with(said: u64, endpoint: bool) -> Snapshot {
        let (net, node, box_) = ("a".repeat(64), "b".repeat(32), "c".repeat(64));
        let mut snapshot = Snapshot::default();
        let record = format!(r#"{{"name":"n1","address":"192.0.2.1","since":1,"said":{said}}}"#);
        snapshot.take(&format!("/rcr/v1/node/{node}"), Some(record.as_bytes())).unwrap();
        snapshot.take(&format!("/rcr/v1/alive/{node}"), Some(b"")).unwrap();
        if endpoint {
            let value = br#"{"name":"c1","addresses":["10.4.0.2"],"mac":"02:00:00:00:00:01"}"#;
            snapshot.take(&format!("/rcr/v1/endpoint/{net}/{node}/{box_}"), Some(value)).unwrap();
        }
        snapshot
    }

    #[test]
    fn a_store_that_went_back_takes_nothing_away() {
        let (own, other) = ("d".repeat(32).parse().unwrap(), "b".repeat(32).parse().unwrap());
        let before = with(7, true);
        // The same word, fewer containers: it is true.
        assert!(Held::new(&before, &with(7, false), &own).is_empty());
        assert!(Held::new(&before, &with(9, false), &own).is_empty());
        for now in [with(6, false), Snapshot::default()] {
            let mut held = Held::new(&before, &now, &own);
            assert_eq!(held.over(&now).endpoints, before.endpoints);
            assert_eq!(held.over(&now).alive, before.alive);
            held.fall_silent();
            assert_eq!((held.over(&now).alive, held.over(&now).endpoints.size()), (now.alive.clone(), 1));
            held.heard(&other, with(6, false).nodes.get(&other));
            assert!(!held.is_empty());
            held.heard(&other, with(7, false).nodes.get(&other));
            assert_eq!(held.over(&now), now);
        }
        // What this host had itself, it knows better.
        assert!(Held::new(&before, &Snapshot::default(), &other).is_empty());
    }
}
