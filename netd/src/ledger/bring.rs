//! Kernel objects that come and go one by one: what a journal says is there is brought to what a plan wants.

use super::Ledger;
use crate::kernel::{Journal, JournalState};
use crate::store::{Change, Durability, StoreError};
use netd_core::plan::{Observed, Op, Outcome, Plan, Step, is_same_object, turned};
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
    // A step that was only intended when the last netd ended may be there or not: it is made again.
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

impl Ledger {
    /// Brings what a journal says is there to what a plan wants: first what is new, which may take the place of what
    /// was, then what has to go. So nobody is without it for a moment. What fails is tried again with the next change.
    /// Returns what stands.
    pub fn bring(&mut self, key: &str, before: Option<Journal>, wanted: Plan) -> (Option<Journal>, Result<(), String>) {
        let mut was: Done = before.map(|j| j.plan.steps.into_iter().zip(j.outcomes).collect()).unwrap_or_default();
        if let Err(why) = self.retune(key, &mut was, &wanted) {
            return (journal(was), Err(why));
        }
        let (mut stay, go, fresh) = compare(was, wanted);
        if go.is_empty() && fresh.is_empty() {
            return (journal(stay), Ok(()));
        }
        // Durable before the effect: what goes and what comes.
        let coming = fresh.iter().map(|step| (step.clone(), Outcome::Intended));
        let all = journal(stay.iter().chain(&go).cloned().chain(coming).collect());
        if let Err(error) = self.note(key, all.as_ref(), Durability::Durable) {
            stay.extend(go);
            return (journal(stay), Err(error.to_string()));
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
        let now = journal(stay);
        let noted = entry(key, now.as_ref()).and_then(|it| self.note_undone(key, vec![it], &left, Durability::Lazy));
        failed.extend(noted.err().map(|error| error.to_string()));
        (now, if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) })
    }

    /// Writes down what is there; where that is nothing, nothing is kept.
    fn note(&mut self, key: &str, journal: Option<&Journal>, durability: Durability) -> Result<(), StoreError> {
        self.store.txn(&[entry(key, journal)?], durability)
    }

    /// Links of which only the MTU differs get it: making them anew would take along what is on them.
    fn retune(&mut self, key: &str, was: &mut Done, wanted: &Plan) -> Result<(), String> {
        // A change of MTU that a crash cut short may have been done or not: what the link's own step says counts again.
        let cut =
            |(step, outcome): &(Step, Outcome)| *outcome == Outcome::Intended && matches!(step.op, Op::Mtu { .. });
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
