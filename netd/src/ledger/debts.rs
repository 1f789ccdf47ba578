//! What could not be undone: it stays in the store, below `debt/`, and is tried again, more and more seldom, until it is gone.

use super::Ledger;
use crate::kernel::{Journal, JournalState, LeftBehind};
use crate::plan::{Op, Outcome, Plan, Step, is_same_object};
use crate::store::{Change, Durability, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Below it the debts are in the store.
pub const PREFIX: &str = "debt/";
/// How long the first trial waits; each one after it waits twice as long, up to `SELDOM`.
const SOON: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(300);

/// Steps that could not be undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Debt {
    /// The key of the journal that they stood in.
    pub of: String,
    pub steps: Vec<Step>,
    pub outcomes: Vec<Outcome>,
}

struct Owed {
    debt: Debt,
    due: Instant,
    wait: Duration,
}

/// All debts by number.
#[derive(Default)]
pub(super) struct Debts {
    owed: BTreeMap<u64, Owed>,
    /// Records of debts that are none any more, to be deleted with the next transaction.
    over: Vec<String>,
}

fn key(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

impl Debts {
    fn add(&mut self, number: u64, debt: Debt) {
        self.owed.insert(number, Owed { debt, due: Instant::now() + SOON, wait: SOON });
    }

    /// Objects that a plan makes its own are owed no more: they go with its journal.
    pub(super) fn taken_over(&mut self, plan: &Plan) {
        if self.owed.is_empty() {
            return;
        }
        for (number, owed) in &mut self.owed {
            let all = std::mem::take(&mut owed.debt.steps).into_iter().zip(std::mem::take(&mut owed.debt.outcomes));
            let (steps, outcomes) = all.filter_map(|(step, outcome)| Some((without(step, plan)?, outcome))).unzip();
            (owed.debt.steps, owed.debt.outcomes) = (steps, outcomes);
            if owed.debt.steps.is_empty() {
                self.over.push(key(*number));
            }
        }
        self.owed.retain(|_, owed| !owed.debt.steps.is_empty());
    }
}

/// What of a step is still owed beside a plan that may be about the same object.
fn without(mut step: Step, plan: &Plan) -> Option<Step> {
    if let Op::Elements { elements } = &mut step.op {
        elements.retain(|owed| !plan.elements().any(|one| one.is_same_key(owed)));
        return (!elements.is_empty()).then_some(step);
    }
    let same = |other: &Step| {
        other.scope == step.scope
            && (other.op == step.op
                || is_same_object(other, &step)
                || (step.op.makes().is_some() && other.op.makes() == step.op.makes())
                || (step.op.place().is_some() && other.op.place() == step.op.place()))
    };
    (!plan.steps.iter().any(same)).then_some(step)
}

impl Ledger {
    /// Takes what is left of a journal over; the changes write it down.
    pub(super) fn owe(&mut self, of: &str, left: &[LeftBehind]) -> Vec<Change> {
        let mut changes: Vec<Change> = std::mem::take(&mut self.debts.over).into_iter().map(Change::Delete).collect();
        if left.is_empty() {
            return changes;
        }
        let (steps, outcomes) = left.iter().map(|one| (one.step.clone(), one.outcome.clone())).unzip();
        let debt = Debt { of: of.to_owned(), steps, outcomes };
        let number = self.debts.owed.last_key_value().map_or(0, |(last, _)| last + 1);
        // A debt that can't be written as JSON: there is none.
        changes.extend(Change::put(key(number), &debt));
        self.debts.add(number, debt);
        changes
    }

    /// Reads what the last netd owed.
    pub fn load_debts(&mut self) -> Result<(), StoreError> {
        for (number, debt) in self.records::<Debt>(PREFIX)? {
            match number.parse() {
                Ok(number) => self.debts.add(number, debt),
                Err(_) => self.store.txn(&[Change::Delete(format!("{PREFIX}{number}"))], Durability::Lazy)?,
            }
        }
        Ok(())
    }

    /// Tries again what is due. `netns_of`: the namespace of whoever a journal's key names, while it lives; what was in one that is gone
    /// went with it.
    pub fn pay_debts(&mut self, now: Instant, netns_of: impl Fn(&str) -> Option<OwnedFd>) {
        let due: Vec<u64> = self.debts.owed.iter().filter(|(_, owed)| owed.due <= now).map(|(n, _)| *n).collect();
        for number in due {
            let Some(mut owed) = self.debts.owed.remove(&number) else { continue };
            let Debt { of, steps, outcomes } = owed.debt;
            let netns = netns_of(&of);
            let (plan, state) = (Plan { steps }, JournalState::Releasing);
            let journal = Journal { plan, outcomes, state };
            let left = self.kernel.undo(&journal.plan.steps, &journal.outcomes, netns.as_ref().map(AsFd::as_fd));
            let change = if left.is_empty() {
                self.log.line(format!("what `{of}` had left behind is gone now"));
                Ok(Change::Delete(key(number)))
            } else {
                let (steps, outcomes) = left.into_iter().map(|one| (one.step, one.outcome)).unzip();
                owed.debt = Debt { of, steps, outcomes };
                owed.wait = (owed.wait * 2).min(SELDOM);
                owed.due = now + owed.wait;
                let change = Change::put(key(number), &owed.debt);
                self.debts.owed.insert(number, owed);
                change
            };
            let noted = change.and_then(|change| self.store.txn(&[change], Durability::Lazy));
            self.log_failed(noted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Scope;

    fn step(op: Op) -> Step {
        Step { scope: Scope::Host, op, why: "" }
    }

    #[test]
    fn what_a_plan_makes_again_is_owed_no_more() {
        let mac = "02:00:00:00:00:01".parse().unwrap();
        let bridge = |name: &str, mtu| Op::Bridge { name: name.parse().unwrap(), mac, mtu, alias: "rcr:x".into() };
        let mut debts = Debts::default();
        let (steps, outcomes) =
            (vec![step(bridge("br-a", 1500)), step(bridge("br-b", 1500))], vec![Outcome::Created; 2]);
        debts.add(7, Debt { of: "journal/network/x".into(), steps, outcomes });
        let mut plan = Plan::default();
        plan.host(bridge("br-a", 1400), "");
        debts.taken_over(&plan);
        assert_eq!(debts.owed[&7].debt.steps, [step(bridge("br-b", 1500))]);
        assert_eq!((debts.owed[&7].debt.outcomes.len(), debts.over.len()), (1, 0));
        plan.host(bridge("br-b", 1500), "");
        debts.taken_over(&plan);
        assert!(debts.owed.is_empty());
        assert_eq!(debts.over, [key(7)]);
    }
}
