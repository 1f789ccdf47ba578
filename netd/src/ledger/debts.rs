//! What could not be undone. A debt stays in the store below `debt/`, and is tried again at growing intervals until it
//! is paid.

use netd_core::plan::{Outcome, Plan, Step, beside};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Below it the debts are in the store.
pub const PREFIX: &str = "debt/";
/// How long the first trial waits; each one after it waits twice as long, up to `SELDOM`.
const SOON: Duration = Duration::from_secs(1);
pub(super) const SELDOM: Duration = Duration::from_secs(300);

/// Steps that could not be undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Debt {
    /// The key of the journal that they stood in.
    pub of: String,
    pub steps: Vec<Step>,
    pub outcomes: Vec<Outcome>,
}

pub(super) struct Owed {
    pub(super) debt: Debt,
    pub(super) due: Instant,
    pub(super) wait: Duration,
}

/// All debts by number.
#[derive(Default)]
pub(super) struct Debts {
    pub(super) owed: BTreeMap<u64, Owed>,
    /// Records of debts that are none any more, to be deleted with the next transaction.
    pub(super) over: Vec<String>,
}

/// The store's key of a debt.
pub(super) fn key(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

impl Debts {
    /// Takes a debt in, which is tried soon.
    pub(super) fn add(&mut self, number: u64, debt: Debt) {
        self.owed.insert(number, Owed { debt, due: Instant::now() + SOON, wait: SOON });
    }

    /// Objects that a plan takes over are no debts any more: they go with its journal.
    pub(super) fn taken_over(&mut self, plan: &Plan) {
        if self.owed.is_empty() {
            return;
        }
        for (number, owed) in &mut self.owed {
            let all = std::mem::take(&mut owed.debt.steps).into_iter().zip(std::mem::take(&mut owed.debt.outcomes));
            let (steps, outcomes) = all.filter_map(|(step, outcome)| Some((beside(step, plan)?, outcome))).unzip();
            (owed.debt.steps, owed.debt.outcomes) = (steps, outcomes);
            if owed.debt.steps.is_empty() {
                self.over.push(key(*number));
            }
        }
        self.owed.retain(|_, owed| !owed.debt.steps.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netd_core::plan::{LinkOp, Purpose};

    fn step(op: LinkOp) -> Step {
        Step::host(Purpose::Link, op, "")
    }

    #[test]
    fn what_a_plan_makes_again_is_owed_no_more() {
        let mac = "02:00:00:00:00:01".parse().unwrap();
        let bridge = |name: &str, mtu| LinkOp::Bridge { name: name.parse().unwrap(), mac, mtu, alias: "rcr:x".into() };
        let mut debts = Debts::default();
        let (steps, outcomes) =
            (vec![step(bridge("br-a", 1500)), step(bridge("br-b", 1500))], vec![Outcome::Created; 2]);
        debts.add(7, Debt { of: "journal/network/x".into(), steps, outcomes });
        let mut plan = Plan::default();
        plan.host(Purpose::Link, bridge("br-a", 1400), "");
        debts.taken_over(&plan);
        assert_eq!(debts.owed[&7].debt.steps, [step(bridge("br-b", 1500))]);
        assert_eq!((debts.owed[&7].debt.outcomes.len(), debts.over.len()), (1, 0));
        plan.host(Purpose::Link, bridge("br-b", 1500), "");
        debts.taken_over(&plan);
        assert!(debts.owed.is_empty());
        assert_eq!(debts.over, [key(7)]);
    }
}
