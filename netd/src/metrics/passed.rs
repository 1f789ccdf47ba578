//! What passed a network. The kernel counts by link, and a container's link goes with it: what it counted stays in its
//! network's sum, which therefore never falls.

use netd_api::{ContainerId, NetworkId, Traffic};
use std::collections::BTreeMap;

/// What containers received and what they sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Both {
    pub received: Traffic,
    pub sent: Traffic,
}

/// The sums, and what the links had when they were last looked at.
#[derive(Debug, Default)]
pub struct Passed {
    sums: BTreeMap<NetworkId, Both>,
    last: BTreeMap<(NetworkId, ContainerId), Both>,
}

impl Passed {
    /// Adds what passed since the last look. `seen`: the links of all containers now; `networks`: those that there are.
    pub fn look<'a>(
        &mut self,
        seen: BTreeMap<(NetworkId, ContainerId), Both>,
        networks: impl Iterator<Item = &'a NetworkId>,
    ) {
        let mut before = std::mem::take(&mut self.sums);
        self.sums = networks.map(|id| (id.clone(), before.remove(id).unwrap_or_default())).collect();
        for (key, now) in &seen {
            let Some(sum) = self.sums.get_mut(&key.0) else { continue };
            let then = self.last.get(key).copied().unwrap_or_default();
            sum.received = grown(sum.received, then.received, now.received);
            sum.sent = grown(sum.sent, then.sent, now.sent);
        }
        self.last = seen;
    }

    /// A network's sum.
    pub fn of(&self, network: &NetworkId) -> Both {
        self.sums.get(network).copied().unwrap_or_default()
    }
}

/// A link that counted less than before is another one: all it has counted is new.
fn grown(sum: Traffic, then: Traffic, now: Traffic) -> Traffic {
    let more = |then: u64, now: u64| now.checked_sub(then).unwrap_or(now);
    Traffic {
        packets: sum.packets.wrapping_add(more(then.packets, now.packets)),
        bytes: sum.bytes.wrapping_add(more(then.bytes, now.bytes)),
        dropped: sum.dropped.wrapping_add(more(then.dropped, now.dropped)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(container: &str) -> (NetworkId, ContainerId) {
        ("a".repeat(64).parse().unwrap(), container.repeat(64).parse().unwrap())
    }

    fn both(bytes: u64) -> Both {
        let traffic = Traffic { packets: 1, bytes, dropped: 0 };
        Both { received: traffic, sent: Traffic { bytes: bytes * 2, ..traffic } }
    }

    #[test]
    fn a_sum_never_falls_whoever_comes_and_goes() {
        let mut passed = Passed::default();
        let network = key("1").0;
        let steps: [(&[(&str, u64)], u64); 6] = [
            (&[("1", 100)], 100),
            (&[("1", 150), ("2", 10)], 160),
            // One goes.
            (&[("2", 10)], 160),
            // It starts again: a new link.
            (&[("1", 5), ("2", 30)], 185),
            (&[("1", 3), ("2", 30)], 188),
            (&[], 188),
        ];
        for (links, sum) in steps {
            let seen = links.iter().map(|(name, bytes)| (key(name), both(*bytes))).collect();
            passed.look(seen, [&network].into_iter());
            assert_eq!(passed.of(&network).received.bytes, sum, "{links:?}");
            assert_eq!(passed.of(&network).sent.bytes, sum * 2, "{links:?}");
        }
        passed.look(BTreeMap::new(), [].into_iter());
        assert_eq!(passed.of(&network), Both::default(), "a network that is gone is forgotten");
    }
}
