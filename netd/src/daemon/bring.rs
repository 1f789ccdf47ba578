//! Kernel objects that come and go one by one: what a journal says is there is brought to what a plan wants.

use super::state::Daemon;
use crate::kernel::{Journal, JournalState};
use crate::plan::{Op, Outcome, Plan, Step};
use crate::store::{Change, Durability};
use std::collections::HashSet;

/// Steps with what they did.
type Done = Vec<(Step, Outcome)>;

/// There may be thousands of steps: they are compared by their text.
fn text(op: &Op) -> String {
    serde_json::to_string(op).unwrap_or_default()
}

/// What stays, what goes, and what is new.
fn compare(was: Done, wanted: Plan) -> (Done, Done, Vec<Step>) {
    let asked: HashSet<String> = wanted.steps.iter().map(|step| text(&step.op)).collect();
    // What was only intended when the last netd ended may be there or not: it is made anew.
    let (stay, go): (Done, Done) = was.into_iter().partition(|(step, outcome)| {
        !matches!(outcome, Outcome::Intended | Outcome::Skipped) && asked.contains(&text(&step.op))
    });
    let has: HashSet<String> = stay.iter().map(|(step, _)| text(&step.op)).collect();
    let fresh = wanted.steps.into_iter().filter(|step| !has.contains(&text(&step.op))).collect();
    (stay, go, fresh)
}

/// What steps have put into the kernel, and the places that they took there.
#[derive(Default)]
struct Places(HashSet<String>);

impl Places {
    fn add(&mut self, op: &Op) {
        self.0.extend([Some(text(op)), op.place()].into_iter().flatten());
    }

    fn has(&self, op: &Op) -> bool {
        self.0.contains(&text(op)) || op.place().is_some_and(|place| self.0.contains(&place))
    }
}

impl Daemon {
    /// Brings what a journal says is there to what a plan wants: first what is new, which may take the place of what was, then what has
    /// to go. So nobody is without it for a moment. What fails is tried again with the next change.
    pub(super) fn bring_journal(
        &mut self,
        key: &str,
        before: Option<Journal>,
        wanted: Plan,
    ) -> (Option<Journal>, Result<(), String>) {
        let was = before.map(|j| j.plan.steps.into_iter().zip(j.outcomes).collect()).unwrap_or_default();
        let (mut stay, go, fresh) = compare(was, wanted);
        if go.is_empty() && fresh.is_empty() {
            return (journal(stay), Ok(()));
        }
        // Durable before the effect: what goes and what comes.
        let coming = fresh.iter().map(|step| (step.clone(), Outcome::Intended));
        let all = journal(stay.iter().chain(&go).cloned().chain(coming).collect());
        let intent = Change::put(key, &all).and_then(|change| self.store.txn(&[change], Durability::Durable));
        if let Err(error) = intent {
            stay.extend(go);
            return (journal(stay), Err(error.to_string()));
        }
        let (mut made, mut missed, mut failed) = (Places::default(), Places::default(), Vec::new());
        for step in fresh {
            match self.kernel.apply(&Plan { steps: vec![step.clone()] }, None) {
                Ok(done) => {
                    made.add(&step.op);
                    stay.extend(done.into_iter().map(|outcome| (step.clone(), outcome)));
                }
                Err(error) => {
                    missed.add(&step.op);
                    failed.push(format!("{error}: {}", error.cause));
                }
            }
        }
        let go: Done = go.into_iter().filter(|(step, _)| !made.has(&step.op)).collect();
        // What was to be replaced, and is not, is better than nothing.
        let (kept, go): (Done, Done) = go.into_iter().partition(|(step, _)| missed.has(&step.op));
        stay.extend(kept);
        let (steps, outcomes): (Vec<Step>, Vec<Outcome>) = go.into_iter().unzip();
        failed.extend(self.kernel.undo(&steps, &outcomes, None).iter().map(ToString::to_string));
        let now = journal(stay);
        let change = match &now {
            None => Ok(Change::Delete(key.to_owned())),
            Some(journal) => Change::put(key, journal),
        };
        if let Err(error) = change.and_then(|change| self.store.txn(&[change], Durability::Lazy)) {
            failed.push(error.to_string());
        }
        (now, if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) })
    }
}

/// Absent where there is nothing.
fn journal(all: Done) -> Option<Journal> {
    let (steps, outcomes): (Vec<Step>, Vec<Outcome>) = all.into_iter().unzip();
    (!steps.is_empty()).then_some(Journal { plan: Plan { steps }, outcomes, state: JournalState::Up })
}
