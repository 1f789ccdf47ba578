//! Kernel objects that come and go one by one: what a journal says is there is brought to what a plan wants.

use super::Ledger;
use crate::kernel::{Journal, JournalState};
use crate::store::{Change, Durability, StoreError};
use netd_core::plan::{Difference, Done, Observed, Outcome, Places, Plan, Step, compare, is_same_object, turned};

impl Ledger {
    /// Brings what a journal says is there to what a plan wants: first what is new, which may take the place of what
    /// was, then what has to go. So nobody is without it for a moment. What fails is tried again with the next change.
    /// `owner` says what stands afterwards.
    pub fn bring(&mut self, key: &str, owner: &mut Option<Journal>, wanted: Plan) -> Result<(), String> {
        let mut was: Done =
            owner.take().map(|j| j.plan.steps.into_iter().zip(j.outcomes).collect()).unwrap_or_default();
        if let Err(why) = self.retune(key, &mut was, &wanted) {
            *owner = journal(was);
            return Err(why);
        }
        let difference = compare(was, wanted);
        if difference.go.is_empty() && difference.fresh.is_empty() {
            *owner = journal(difference.stay);
            return Ok(());
        }
        self.exchange(key, difference, owner)
    }

    /// Makes what is new, then removes what has to go.
    fn exchange(&mut self, key: &str, difference: Difference, owner: &mut Option<Journal>) -> Result<(), String> {
        let Difference { mut stay, go, fresh } = difference;
        // Durable before the effect: what goes and what comes.
        let coming = fresh.iter().map(|step| (step.clone(), Outcome::Intended));
        let all = journal(stay.iter().chain(&go).cloned().chain(coming).collect());
        if let Err(error) = self.note(key, all.as_ref(), Durability::Durable) {
            stay.extend(go);
            *owner = journal(stay);
            return Err(error.to_string());
        }
        let (mut made, mut missed) = (Places::default(), Places::default());
        let (mut failed, mut left) = (Vec::new(), Vec::new());
        for step in fresh {
            let plan = Plan { steps: vec![step.clone()] };
            self.debts.taken_over(&plan);
            match self.kernel.apply(&plan, None) {
                Ok(done) => {
                    made.add(&step.op);
                    stay.extend(done.into_iter().map(|outcome| (step.clone(), outcome)));
                }
                Err(error) => {
                    missed.add(&step.op);
                    failed.push(format!("{error}: {}", error.cause));
                    left.extend(error.left);
                }
            }
        }
        let go: Done = go.into_iter().filter(|(step, _)| !made.has(&step.op)).collect();
        // What was to be replaced, and is not, is better than nothing.
        let (kept, go): (Done, Done) = go.into_iter().partition(|(step, _)| missed.has(&step.op));
        stay.extend(kept);
        let (steps, outcomes): (Vec<Step>, Vec<Outcome>) = go.into_iter().unzip();
        left.extend(self.kernel.undo(&steps, &outcomes, None));
        failed.extend(left.iter().map(ToString::to_string));
        *owner = journal(stay);
        let noted = entry(key, owner.as_ref()).and_then(|it| self.note_undone(key, vec![it], &left, Durability::Lazy));
        failed.extend(noted.err().map(|error| error.to_string()));
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Writes down what is there; where that is nothing, nothing is kept.
    fn note(&mut self, key: &str, journal: Option<&Journal>, durability: Durability) -> Result<(), StoreError> {
        self.store.txn(&[entry(key, journal)?], durability)
    }

    /// Links of which only the MTU differs get it: making them anew would take along what is on them.
    fn retune(&mut self, key: &str, was: &mut Done, wanted: &Plan) -> Result<(), String> {
        // A change of MTU that a crash cut short may have been done or not: what the link's own step says counts again.
        let cut = |(step, outcome): &(Step, Outcome)| *outcome == Outcome::Intended && step.op.is_mtu();
        let (short, rest): (Done, Done) = std::mem::take(was).into_iter().partition(cut);
        *was = rest;
        let (steps, outcomes): (Vec<Step>, Vec<Outcome>) = short.into_iter().unzip();
        self.kernel.undo(&steps, &outcomes, None);
        let links = was.iter().filter(|(step, outcome)| *outcome == Outcome::Created && step.op.makes().is_some());
        let pairs = links.filter_map(|(step, _)| Some((step, wanted.steps.iter().find(|w| is_same_object(step, w))?)));
        let plan = Plan { steps: pairs.flat_map(|(step, after)| turned(step, after, &Observed::default())).collect() };
        if plan.steps.is_empty() {
            return Ok(());
        }
        let coming = plan.steps.iter().map(|step| (step.clone(), Outcome::Intended));
        let all = journal(was.iter().cloned().chain(coming).collect());
        self.note(key, all.as_ref(), Durability::Durable).map_err(|error| error.to_string())?;
        let done = self.kernel.apply(&plan, None).map_err(|error| format!("{error}: {}", error.cause));
        if done.is_ok() {
            for (step, _) in
                was.iter_mut().filter(|(step, outcome)| *outcome == Outcome::Created && step.op.makes().is_some())
            {
                if let Some(after) = wanted.steps.iter().find(|after| is_same_object(step, after)) {
                    step.op = after.op.clone();
                }
            }
        }
        let noted = self.note(key, journal(was.clone()).as_ref(), Durability::Durable);
        done.and(noted.map_err(|error| error.to_string()))
    }
}

/// The change that makes an entry what it is to be.
fn entry(key: &str, journal: Option<&Journal>) -> Result<Change, StoreError> {
    journal.map_or_else(|| Ok(Change::Delete(key.to_owned())), |journal| Change::put(key, journal))
}

/// Absent where there is nothing.
fn journal(all: Done) -> Option<Journal> {
    let (steps, outcomes): (Vec<Step>, Vec<Outcome>) = all.into_iter().unzip();
    (!steps.is_empty()).then_some(Journal { plan: Plan { steps }, outcomes, state: JournalState::Up })
}
