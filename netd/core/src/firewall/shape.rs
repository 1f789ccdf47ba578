//! Which chains and rules of the host's table there are: those that can do something with the elements there are.

use super::table::{Chain, Match, Rule, Verdict, host_table};
use super::{Datum, Element, Set};
use netd_api::IfName;
use std::collections::BTreeSet;

/// The chains that these sets need, which are those that have elements. What is left out could match no packet, or
/// would change nothing for one that it matches. `states`: somebody may look at connections' states, so all are
/// tracked.
pub fn needed(used: &BTreeSet<Set>, states: bool) -> Vec<Chain> {
    let mut chains = host_table().chains;
    for chain in &mut chains {
        let rules = std::mem::take(&mut chain.rules);
        let mut rules: Vec<Rule> = rules.into_iter().filter_map(|rule| living(rule, used, states)).collect();
        // Behind a verdict on all packets nothing is reached.
        if let Some(at) = rules.iter().position(|rule| rule.matches.is_empty() && ends(rule.verdict)) {
            rules.truncate(at + 1);
        }
        // The chains' policy is to accept.
        while rules.last().is_some_and(|rule| matches!(rule.verdict, Verdict::Accept | Verdict::Return)) {
            rules.pop();
        }
        chain.rules = rules;
    }
    chains.retain(|chain| !chain.rules.is_empty());
    chains
}

/// The links of the flow table: a flow comes in by one, and leaves by another.
pub fn flow_links<'a>(elements: impl IntoIterator<Item = &'a Element>) -> BTreeSet<IfName> {
    let of_flows = elements.into_iter().filter(|one| matches!(one.set, Set::Flows | Set::FlowPorts));
    let link = |datum: &Datum| if let Datum::Link(name) = datum { Some(name.clone()) } else { None };
    of_flows.flat_map(|one| one.key.iter().filter_map(link)).collect()
}

fn ends(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Accept | Verdict::Drop | Verdict::Return)
}

/// The rule without conditions that always hold, or nothing if one never does.
fn living(mut rule: Rule, used: &BTreeSet<Set>, states: bool) -> Option<Rule> {
    let never = |one: &Match| match one {
        Match::In(_, set) => !used.contains(set),
        Match::Untracked => states,
        _ => false,
    };
    let idle = match rule.verdict {
        Verdict::DnatMap(_, map) => !used.contains(&map),
        Verdict::Untrack => states,
        _ => false,
    };
    if idle || rule.matches.iter().any(never) {
        return None;
    }
    rule.matches.retain(|one| !matches!(one, Match::NotIn(_, set) if !used.contains(set)));
    Some(rule)
}

/// What becomes of a chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ChainChange<'a> {
    /// It goes, with its rules.
    Remove(&'a Chain),
    /// It comes.
    Add(&'a Chain),
    /// It gets these rules in place of its own.
    Rewrite(&'a Chain),
}

/// What leads from these chains to those.
pub fn changes<'a>(from: &'a [Chain], to: &'a [Chain]) -> Vec<ChainChange<'a>> {
    let find = |among: &'a [Chain], name| among.iter().find(|chain| chain.name == name);
    let gone = from.iter().filter(|chain| find(to, chain.name).is_none()).map(ChainChange::Remove);
    let there = to.iter().filter_map(|chain| match find(from, chain.name) {
        None => Some(ChainChange::Add(chain)),
        Some(old) if old != chain => Some(ChainChange::Rewrite(chain)),
        Some(_) => None,
    });
    gone.chain(there).collect()
}

#[cfg(test)]
mod tests {
    use super::super::table::Load;
    use super::*;

    fn names(used: &[Set], states: bool) -> Vec<&'static str> {
        needed(&used.iter().copied().collect(), states).iter().map(|chain| chain.name).collect()
    }

    #[test]
    fn all_of_it_is_there_when_all_sets_are_used() {
        let all: BTreeSet<Set> = Set::ALL.into_iter().collect();
        let (whole, needed) = (host_table().chains, needed(&all, false));
        for (whole, needed) in whole.iter().zip(&needed) {
            let accepts = |rule: &Rule| matches!(rule.verdict, Verdict::Accept | Verdict::Return);
            let idle = whole.rules.iter().rev().take_while(|rule| accepts(rule)).count();
            assert_eq!(whole.rules[..whole.rules.len() - idle], needed.rules, "{}", whole.name);
        }
        assert_eq!(whole.len(), needed.len());
    }

    #[test]
    fn a_chain_is_there_while_something_needs_it() {
        let network = [Set::Bridges, Set::Outbound, Set::Icc, Set::Home4, Set::Nat4, Set::Guard];
        assert_eq!(names(&network, false), ["arrive", "leave", "forward", "input"]);
        let with = |more: &[Set]| names(&[&network[..], more].concat(), false);
        assert_eq!(with(&[Set::Publish4]), ["arrive", "publish", "publish-local", "leave", "forward", "input"]);
        assert_eq!(with(&[Set::Internal]), with(&[]), "a return in front of nothing is no reason");
        assert!(with(&[Set::Internal, Set::Relayed4]).contains(&"publish"));
        assert!(with(&[Set::Overlays]).contains(&"clamp") && with(&[Set::Overlays]).contains(&"own-only"));
        assert!(with(&[Set::WireGuard]).contains(&"no-tunnel"));
        assert!(!with(&[Set::Tunnels]).contains(&"encrypted-only"));
        assert!(with(&[Set::Tunnels, Set::Encrypted]).contains(&"encrypted-only"));
    }

    #[test]
    fn nothing_is_forwarded_into_wireguard() {
        let chains = needed(&[Set::Bridges, Set::WireGuard].into(), false);
        let chain = chains.iter().find(|chain| chain.name == "no-tunnel").unwrap();
        for load in [&[Load::Oif], &[Load::Iif]] {
            let drops =
                |rule: &Rule| rule.matches == [Match::In(load, Set::WireGuard)] && rule.verdict == Verdict::Drop;
            assert!(chain.rules.iter().any(drops), "{load:?}");
        }
        // In a chain of its own, in front: no verdict of another one takes a packet past it.
        let forward = chains.iter().find(|chain| chain.name == "forward").unwrap();
        assert!(chain.hook == forward.hook && chain.priority < forward.priority);
    }

    #[test]
    fn a_condition_that_always_holds_is_none() {
        // Nobody may send to the tunnels, since no host is known.
        let tunnels = needed(&[Set::Tunnels].into(), false);
        let tunnels = tunnels.iter().find(|chain| chain.name == "tunnels").unwrap();
        assert_eq!(tunnels.rules.len(), 2);
        assert!(tunnels.rules.iter().all(|rule| rule.verdict == Verdict::Drop && rule.matches.len() == 3));
        // Without a bridge the host's own ports are nobody's to close.
        assert!(!names(&[Set::Guard], false).contains(&"input"));
    }

    #[test]
    fn whoever_looks_at_states_sees_them() {
        let untracks = |states| {
            let chains = needed(&[Set::Bridges, Set::Neighbours, Set::OwnMacs].into(), states);
            chains.iter().flat_map(|c| &c.rules).filter(|rule| rule.verdict == Verdict::Untrack).count()
        };
        assert_eq!((untracks(false), untracks(true)), (1, 0));
    }

    #[test]
    fn a_change_touches_what_differs() {
        let before = needed(&[Set::Bridges, Set::Home4, Set::Guard].into(), false);
        let after = needed(&[Set::Bridges, Set::Home4, Set::Guard, Set::Icc, Set::Publish4].into(), false);
        assert_eq!(changes(&before, &before), []);
        let told = |change: &ChainChange| match change {
            ChainChange::Add(chain) => format!("+{}", chain.name),
            ChainChange::Remove(chain) => format!("-{}", chain.name),
            ChainChange::Rewrite(chain) => format!("~{}", chain.name),
        };
        let tell = |from, to| changes(from, to).iter().map(told).collect::<Vec<_>>();
        assert_eq!(tell(&before, &after), ["+publish", "+publish-local", "~forward"]);
        assert_eq!(tell(&after, &before), ["-publish", "-publish-local", "~forward"]);
    }
}
