//! The ledger: the only place that writes a journal, and the only one that applies or undoes what stands in it.
//!
//! Before an effect its step is on the disk; what came of it is written after. An [`Intent`] is the proof of the first
//! half: there is no other way to one than [`Ledger::intend`], and nothing is applied without one. What could not be
//! undone stays in the store as a debt, and is tried again until it is gone.
//!
//! | room | what |
//! |---|---|
//! | `bring` | objects that come and go one by one: what a journal says is brought to what a plan wants |
//! | `debts`, `pay` | what could not be undone, and that it is tried again |
//! | `look` | what the kernel says; nothing is changed |
//! | `again` | effects that need no entry, since a journal has them already or the next start does the same |

mod again;
mod bring;
mod debts;
mod dying;
mod look;
mod pay;

pub use again::{RepairError, elements};
pub use debts::Debt;

use crate::kernel::{ApplyError, Journal, JournalState, Kernel, LeftBehind};
use crate::log::Log;
use crate::store::{self, Change, Durability, Store, StoreError};
use debts::Debts;
use netd_core::plan::{Outcome, Plan};
use serde::{Serialize, de::DeserializeOwned};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// See the file's head.
pub struct Ledger {
    store: Box<dyn Store>,
    kernel: Kernel,
    log: Log,
    debts: Debts,
    dying: Vec<dying::Dying>,
}

/// What could not be done.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Nothing was done: it could not be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What had been done is undone, but for what the error names.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// Steps that are on the disk and not done yet.
#[must_use = "what is written down is carried out, or lies in the store for nothing"]
pub struct Intent {
    key: String,
    journal: Journal,
    /// The first step that is yet to be done; those before it stand.
    from: usize,
}

/// Steps of an intent that could not be done, and are undone.
pub struct Unmade {
    pub error: ApplyError,
    /// What stands, as before.
    pub stands: Journal,
}

/// What is done for one owner within an undertaking of several.
pub trait Part {
    /// What is done.
    fn plan(&self) -> &Plan;
}

impl Ledger {
    /// A ledger over what the last netd left.
    pub fn new(store: Box<dyn Store>, kernel: Kernel, log: Log) -> Self {
        Self { store, kernel, log, debts: Debts::default(), dying: Vec::new() }
    }

    /// All records below `prefix`, with the rest of their keys.
    pub fn records<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        store::records(&*self.store, prefix)
    }

    /// Writes records. Those that are journals are the ledger's own business.
    pub fn record(&mut self, changes: &[Change], durability: Durability) -> Result<(), StoreError> {
        self.store.txn(changes, durability)
    }

    /// Writes journals of what stands, and other records, in one transaction.
    pub fn keep(
        &mut self,
        mut with: Vec<Change>,
        journals: &[(String, &Journal)],
        durability: Durability,
    ) -> Result<(), StoreError> {
        for (key, journal) in journals {
            with.push(Change::put(key, journal)?);
        }
        self.store.txn(&with, durability)
    }

    /// Forgets all that is written below these prefixes: the kernel that it was about is gone.
    pub fn forget_all(&mut self, prefixes: &[&str], mut with: Vec<Change>) -> Result<(), StoreError> {
        for prefix in prefixes {
            with.extend(self.store.range(prefix)?.into_iter().map(|(key, _)| Change::Delete(key)));
        }
        self.store.txn(&with, Durability::Durable)
    }

    /// After a disk error: tries to write again, and says whether that works now.
    pub fn settle_store(&mut self) -> Result<bool, StoreError> {
        self.store.settle()
    }

    /// Puts what is lazy on the disk.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.store.flush()
    }

    /// How many journals have something left that could not be undone.
    pub fn debts(&self) -> usize {
        self.debts.owed.len()
    }

    /// Where the records are.
    pub fn describe_store(&self) -> String {
        self.store.describe()
    }

    /// Writes down what is going to be done, on top of what stands, with other records in one transaction. It is on the
    /// disk then.
    pub fn intend(
        &mut self,
        with: Vec<Change>,
        entries: Vec<(String, Journal, Plan)>,
    ) -> Result<Vec<Intent>, StoreError> {
        let intents: Vec<Intent> = entries.into_iter().map(|(key, journal, plan)| on_top(key, journal, plan)).collect();
        self.write(with, &intents)?;
        Ok(intents)
    }

    fn write(&mut self, with: Vec<Change>, intents: &[Intent]) -> Result<(), StoreError> {
        let journals: Vec<(String, &Journal)> = intents.iter().map(|i| (i.key.clone(), &i.journal)).collect();
        self.keep(with, &journals, Durability::Durable)?;
        intents.iter().for_each(|intent| self.debts.taken_over(&intent.journal.plan));
        Ok(())
    }

    /// Applies an intent. The returned journal says what came of each step; the caller has it written.
    pub fn carry_out(&mut self, intent: Intent, netns: Option<BorrowedFd<'_>>) -> Result<Journal, Box<Unmade>> {
        let Intent { key, mut journal, from } = intent;
        let fresh = Plan { steps: journal.plan.steps[from..].to_vec() };
        match self.kernel.apply(&fresh, netns) {
            Ok(outcomes) => {
                journal.outcomes.truncate(from);
                journal.outcomes.extend(outcomes);
                journal.state = JournalState::Up;
                Ok(journal)
            }
            Err(error) => {
                journal.plan.steps.truncate(from);
                journal.outcomes.truncate(from);
                let stands = match from {
                    0 => Ok(Change::Delete(key.clone())),
                    _ => Change::put(&key, &journal),
                };
                // If a crash loses this write, the undo runs once more and finds nothing to do.
                let noted =
                    stands.and_then(|change| self.note_undone(&key, vec![change], &error.left, Durability::Lazy));
                self.log_failed(noted);
                Err(Box::new(Unmade { error, stands: journal }))
            }
        }
    }

    /// Writes a plan down, does it, and writes what came of it.
    pub fn apply(&mut self, key: &str, plan: Plan, netns: Option<BorrowedFd<'_>>) -> Result<Journal, LedgerError> {
        let intent = on_top(key.to_owned(), Journal::intend(Plan::default()), plan);
        self.write(Vec::new(), std::slice::from_ref(&intent))?;
        let done = self.carry_out(intent, netns).map_err(|unmade| unmade.error)?;
        self.keep(Vec::new(), &[(key.to_owned(), &done)], Durability::Durable)?;
        Ok(done)
    }

    /// Undoes a journal, and deletes it. What is left is logged, and owed.
    pub fn undo(&mut self, key: &str, mut journal: Journal, netns: Option<BorrowedFd<'_>>) -> Vec<LeftBehind> {
        journal.state = JournalState::Releasing;
        // If this can't be written, the next netd reads the old entry and undoes it from the start.
        let noted = self.keep(Vec::new(), &[(key.to_owned(), &journal)], Durability::Durable);
        self.log_failed(noted);
        let left = self.take_back(&journal, netns);
        let noted = self.note_undone(key, vec![Change::Delete(key.to_owned())], &left, Durability::Durable);
        self.log_failed(noted);
        left
    }

    /// Undoes the journals of an owner that is gone, the last one first, and deletes its records with them. A netd that
    /// is killed in between leaves the entries as they are, and the next one finds that the owner is gone.
    pub fn release(
        &mut self,
        journals: Vec<(String, Journal, Option<BorrowedFd<'_>>)>,
        mut with: Vec<Change>,
    ) -> Vec<LeftBehind> {
        let mut all = Vec::new();
        for (key, journal, netns) in journals {
            let left = self.take_back(&journal, netns);
            with.extend(self.owe(&key, &left));
            with.push(Change::Delete(key));
            all.extend(left);
        }
        let noted = self.store.txn(&with, Durability::Lazy);
        self.log_failed(noted);
        all
    }

    /// Undoes the steps of a standing journal that `which` selects; the caller writes the journal. Until then the entry
    /// on the disk says too much, which does no harm: undoing what is not there does nothing.
    pub fn undo_steps(
        &mut self,
        key: &str,
        journal: &mut Journal,
        which: impl Fn(&netd_core::plan::Step) -> bool,
        netns: Option<BorrowedFd<'_>>,
    ) -> Vec<LeftBehind> {
        let all = std::mem::take(&mut journal.plan.steps).into_iter().zip(std::mem::take(&mut journal.outcomes));
        let (go, stay): (Vec<_>, Vec<_>) = all.partition(|(step, _)| which(step));
        (journal.plan.steps, journal.outcomes) = stay.into_iter().unzip();
        let (steps, outcomes) = go.into_iter().unzip();
        let left = self.take_back(&Journal { plan: Plan { steps }, outcomes, state: JournalState::Releasing }, netns);
        let noted = self.note_undone(key, Vec::new(), &left, Durability::Lazy);
        self.log_failed(noted);
        left
    }

    /// Does the parts of an undertaking one after the other, all or nothing. The record under `key` is there from
    /// before the first effect until the caller deletes it, with what it writes of the outcome; after a failure, or in
    /// the next netd, it is [`Self::call_off`].
    pub fn undertake<P: Part + Serialize>(
        &mut self,
        key: &str,
        parts: &[P],
        netns_of: impl Fn(&P) -> Option<OwnedFd>,
    ) -> Result<Vec<Vec<Outcome>>, LedgerError> {
        let mut done: Vec<Vec<Outcome>> = Vec::new();
        if parts.iter().all(|part| part.plan().steps.is_empty()) {
            done.resize(parts.len(), Vec::new());
            return Ok(done);
        }
        self.store.txn(&[Change::put(key, &parts)?], Durability::Durable)?;
        for part in parts {
            self.debts.taken_over(part.plan());
            let netns = netns_of(part);
            match self.kernel.apply(part.plan(), netns.as_ref().map(AsFd::as_fd)) {
                Ok(outcomes) => done.push(outcomes),
                Err(mut error) => {
                    for (part, outcomes) in parts.iter().zip(&done).rev() {
                        let netns = netns_of(part);
                        let left = self.kernel.undo(&part.plan().steps, outcomes, netns.as_ref().map(AsFd::as_fd));
                        error.left.extend(left);
                    }
                    let gone = vec![Change::Delete(key.to_owned())];
                    let noted = self.note_undone(key, gone, &error.left, Durability::Durable);
                    self.log_failed(noted);
                    return Err(error.into());
                }
            }
        }
        Ok(done)
    }

    /// Undoes an undertaking that a crash cut short. `netns_of` returns nothing for parts whose owner is gone: they
    /// went with it.
    pub fn call_off<P: Part>(&mut self, key: &str, parts: &[P], netns_of: impl Fn(&P) -> Option<Option<OwnedFd>>) {
        let mut all = Vec::new();
        for part in parts.iter().rev() {
            let Some(netns) = netns_of(part) else { continue };
            let journal = Journal::intend(part.plan().clone());
            all.extend(self.take_back(&journal, netns.as_ref().map(AsFd::as_fd)));
        }
        let noted = self.note_undone(key, vec![Change::Delete(key.to_owned())], &all, Durability::Durable);
        self.log_failed(noted);
    }

    fn take_back(&mut self, journal: &Journal, netns: Option<BorrowedFd<'_>>) -> Vec<LeftBehind> {
        let left = self.kernel.undo(&journal.plan.steps, &journal.outcomes, netns);
        left.iter().for_each(|one| self.log.line(format!("left behind, to be tried again: {one}")));
        left
    }

    /// Writes the result of an undo, and the debts that remain.
    fn note_undone(
        &mut self,
        key: &str,
        mut changes: Vec<Change>,
        left: &[LeftBehind],
        durability: Durability,
    ) -> Result<(), StoreError> {
        changes.extend(self.owe(key, left));
        self.store.txn(&changes, durability)
    }

    fn log_failed(&self, noted: Result<(), StoreError>) {
        if let Err(error) = noted {
            self.log.line(error.to_string());
        }
    }
}

fn on_top(key: String, mut journal: Journal, plan: Plan) -> Intent {
    let from = journal.plan.steps.len();
    journal.plan.steps.extend(plan.steps);
    journal.outcomes.resize(journal.plan.steps.len(), Outcome::Intended);
    Intent { key, journal, from }
}
