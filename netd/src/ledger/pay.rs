//! Debts are taken over, read, and tried again.

use super::Ledger;
use super::debts::{Debt, PREFIX, SELDOM, key};
use crate::kernel::{Journal, JournalState, LeftBehind};
use crate::store::{Change, Durability, StoreError};
use netd_core::plan::Plan;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

impl Ledger {
    /// Makes a debt of what is left of a journal; the returned changes write it down.
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

    /// Tries the due debts again. `netns_of`: the namespace of the container that a journal's key names, while it
    /// lives; what was in a namespace that is gone went with it.
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
