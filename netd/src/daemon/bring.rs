//! Kernel objects that come and go one by one: what a journal says is there is brought to what a plan wants.

use super::state::Daemon;
use crate::kernel::{Journal, JournalState};
use crate::plan::{Observed, Op, Outcome, Plan, Step, is_same_object, turned};
use crate::store::{Change, Durability, StoreError};
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
        let mut was: Done = before.map(|j| j.plan.steps.into_iter().zip(j.outcomes).collect()).unwrap_or_default();
        let tuned = match self.retune(&mut was, &wanted) {
            Ok(tuned) => tuned,
            Err(why) => return (journal(was), Err(why)),
        };
        let (mut stay, go, fresh) = compare(was, wanted);
        if go.is_empty() && fresh.is_empty() {
            let now = journal(stay);
            let noted = if tuned { self.note(key, now.as_ref(), Durability::Durable) } else { Ok(()) };
            return (now, noted.map_err(|error| error.to_string()));
        }
        // Durable before the effect: what goes and what comes.
        let coming = fresh.iter().map(|step| (step.clone(), Outcome::Intended));
        let all = journal(stay.iter().chain(&go).cloned().chain(coming).collect());
        if let Err(error) = self.note(key, all.as_ref(), Durability::Durable) {
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
        if let Err(error) = self.note(key, now.as_ref(), Durability::Lazy) {
            failed.push(error.to_string());
        }
        (now, if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) })
    }

    /// Writes down what is there; where that is nothing, nothing is kept.
    fn note(&mut self, key: &str, journal: Option<&Journal>, durability: Durability) -> Result<(), StoreError> {
        let change = match journal {
            None => Change::Delete(key.to_owned()),
            Some(journal) => Change::put(key, journal)?,
        };
        self.store.txn(&[change], durability)
    }

    /// Links of which only the MTU is to be another get it: making them anew would take along what is on them. Says whether there were any.
    fn retune(&mut self, was: &mut Done, wanted: &Plan) -> Result<bool, String> {
        let mut tuned = false;
        let links = was.iter_mut().filter(|(step, outcome)| *outcome == Outcome::Created && step.op.makes().is_some());
        for (step, _) in links {
            let Some(after) = wanted.steps.iter().find(|after| is_same_object(step, after)) else { continue };
            let plan = Plan { steps: turned(step, after, &Observed::default()) };
            if plan.steps.is_empty() {
                continue;
            }
            self.kernel.apply(&plan, None).map_err(|error| format!("{error}: {}", error.cause))?;
            step.op = after.op.clone();
            tuned = true;
        }
        Ok(tuned)
    }
}

/// Absent where there is nothing.
fn journal(all: Done) -> Option<Journal> {
    let (steps, outcomes): (Vec<Step>, Vec<Outcome>) = all.into_iter().unzip();
    (!steps.is_empty()).then_some(Journal { plan: Plan { steps }, outcomes, state: JournalState::Up })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netd_api::Mac;

    fn op(mac: u8, to: &str) -> Op {
        Op::Forward { link: "vx-a".parse().unwrap(), mac: Mac([2, 0, 0, 0, 0, mac]), to: to.parse().unwrap() }
    }

    fn plan(ops: &[Op]) -> Plan {
        let mut plan = Plan::default();
        ops.iter().for_each(|op| plan.host(op.clone(), ""));
        plan
    }

    #[test]
    fn what_stays_is_left_alone_and_what_was_only_intended_is_made_anew() {
        let (a, b, c) = (op(1, "192.0.2.1"), op(2, "192.0.2.1"), op(3, "192.0.2.1"));
        let outcomes = [Outcome::Created, Outcome::Intended, Outcome::Created];
        let was = plan(&[a.clone(), b.clone(), c.clone()]).steps.into_iter().zip(outcomes).collect();
        let (stay, go, fresh) = compare(was, plan(&[a.clone(), b.clone()]));
        let ops = |done: &Done| done.iter().map(|(step, _)| step.op.clone()).collect::<Vec<_>>();
        assert_eq!((ops(&stay), ops(&go)), (vec![a], vec![b.clone(), c]));
        assert_eq!(fresh.iter().map(|step| &step.op).collect::<Vec<_>>(), [&b]);
    }

    #[test]
    fn an_entry_that_took_anothers_place_is_not_undone_with_it() {
        let mut made = Places::default();
        made.add(&op(1, "192.0.2.2"));
        assert!(made.has(&op(1, "192.0.2.1")), "the same MAC, elsewhere");
        assert!(!made.has(&op(2, "192.0.2.2")));
        // One more destination of broadcasts takes nobody's place; it stands by itself.
        let flood = |to: &str| Op::Flood { link: "vx-a".parse().unwrap(), to: to.parse().unwrap() };
        made.add(&flood("192.0.2.2"));
        assert!(made.has(&flood("192.0.2.2")) && !made.has(&flood("192.0.2.1")));
    }
}
