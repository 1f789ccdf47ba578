//! Hosts that have gone silent in the store. Their forwarding entries stay while they answer on the data path, and for
//! a grace time after that. So a host that lost only the store keeps talking, and one that is switched off does not
//! fill the kernel for ever.

use netd_api::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often a host is asked within the grace time.
const TIMES: u32 = 30;
/// Not more often than this.
const SHORTEST: Duration = Duration::from_millis(500);

/// Hosts whose lease has ended.
#[derive(Default)]
pub struct Silence(BTreeMap<NodeId, Down>);

struct Down {
    /// The last sign of life: an answer, or the time since when it is known to be down.
    since: Instant,
    asked: Instant,
    /// Its entries are gone.
    gone: bool,
}

impl Silence {
    /// Hosts whose entries are gone.
    pub fn gone(&self) -> BTreeSet<NodeId> {
        self.0.iter().filter(|(_, down)| down.gone).map(|(id, _)| id.clone()).collect()
    }

    /// Learns which hosts are down. Returns whether entries have to come back.
    pub fn know(&mut self, down: &BTreeSet<NodeId>, now: Instant) -> bool {
        let back = self.0.iter().any(|(id, host)| host.gone && !down.contains(id));
        self.0.retain(|id, _| down.contains(id));
        for id in down {
            self.0.entry(id.clone()).or_insert(Down { since: now, asked: now, gone: false });
        }
        back
    }

    /// Returns the hosts to ask now, and whether the grace time of one has ended.
    pub fn due(&mut self, grace: Duration, now: Instant) -> (Vec<NodeId>, bool) {
        let pause = (grace / TIMES).max(SHORTEST);
        let (mut ask, mut over) = (Vec::new(), false);
        for (id, host) in &mut self.0 {
            if now.duration_since(host.asked) >= pause {
                host.asked = now;
                ask.push(id.clone());
            }
            if !host.gone && now.duration_since(host.since) >= grace {
                (host.gone, over) = (true, true);
            }
        }
        (ask, over)
    }

    /// A host has answered. Says whether its entries come back.
    pub fn heard(&mut self, id: &NodeId, now: Instant) -> bool {
        let Some(host) = self.0.get_mut(id) else { return false };
        host.since = now;
        std::mem::take(&mut host.gone)
    }

    /// While this host itself is cut off from the store, no grace time runs.
    pub fn pause(&mut self, now: Instant) {
        self.0.values_mut().filter(|host| !host.gone).for_each(|host| host.since = now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_silence_all_the_while_takes_entries_away() {
        let grace = Duration::from_secs(900);
        let at = |start: Instant, seconds| start + Duration::from_secs(seconds);
        let (start, mut silence) = (Instant::now(), Silence::default());
        let id: NodeId = "b".repeat(32).parse().unwrap();
        let down: BTreeSet<NodeId> = [id.clone()].into();
        assert!(!silence.know(&down, start));
        assert_eq!(silence.due(grace, at(start, 10)), (vec![], false));
        assert_eq!(silence.due(grace, at(start, 30)), (vec![id.clone()], false));
        assert_eq!(silence.due(grace, at(start, 31)), (vec![], false), "one at a time");
        // It answers once: the time begins anew.
        assert!(!silence.heard(&id, at(start, 800)));
        assert!(!silence.due(grace, at(start, 1000)).1 && silence.gone().is_empty());
        // The store is away: nobody's time runs.
        silence.pause(at(start, 1600));
        assert!(!silence.due(grace, at(start, 1800)).1);
        assert!(silence.due(grace, at(start, 2500)).1 && silence.gone() == down);
        assert!(!silence.due(grace, at(start, 2600)).1, "once");
        // It answers, or it is there again: its entries come back.
        assert!(silence.heard(&id, at(start, 2700)) && silence.gone().is_empty());
        assert!(silence.due(grace, at(start, 3700)).1);
        assert!(silence.know(&BTreeSet::new(), at(start, 3800)) && silence.gone().is_empty());
    }
}
