//! Steps that come and go one by one: what of them stays, what goes, what is new, and who took whose place. Ops are compared as values;
//! there may be thousands.

use super::change::is_same_object;
use super::effect::Place;
use super::op::Op;
use super::step::{Outcome, Plan, Step};
use std::collections::HashSet;

/// Steps with what they did.
pub type Done = Vec<(Step, Outcome)>;

/// How what was done differs from what is wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub stay: Done,
    pub go: Done,
    pub fresh: Vec<Step>,
}

/// Compares what was done with what is wanted.
pub fn compare(was: Done, wanted: Plan) -> Difference {
    let asked: HashSet<&Op> = wanted.steps.iter().map(|step| &step.op).collect();
    // What was only intended when the last netd ended may be there or not: it is made anew.
    let (stay, go): (Done, Done) = was.into_iter().partition(|(step, outcome)| {
        !matches!(outcome, Outcome::Intended | Outcome::Skipped) && asked.contains(&step.op)
    });
    let has: HashSet<&Op> = stay.iter().map(|(step, _)| &step.op).collect();
    let fresh = wanted.steps.into_iter().filter(|step| !has.contains(&step.op)).collect();
    Difference { stay, go, fresh }
}

/// What steps have put into a kernel, and the places that they took there.
#[derive(Debug, Default)]
pub struct Places {
    ops: HashSet<Op>,
    places: HashSet<Place>,
}

impl Places {
    /// Takes one in.
    pub fn add(&mut self, op: &Op) {
        self.ops.insert(op.clone());
        self.places.extend(op.place());
    }

    /// Whether one of them is the same, or has the place that this one had.
    pub fn has(&self, op: &Op) -> bool {
        self.ops.contains(op) || op.place().is_some_and(|place| self.places.contains(&place))
    }
}

/// What of a step is not a plan's own, which may be about the same object.
pub fn beside(step: Step, plan: &Plan) -> Option<Step> {
    let op = step.op.with_elements(|owed| !plan.elements().any(|one| one.is_same_key(owed)))?;
    let step = Step { op, ..step };
    let (makes, place) = (step.op.makes(), step.op.place());
    let same = |other: &Step| {
        other.op.scope() == step.op.scope()
            && (other.op == step.op
                || is_same_object(other, &step)
                || (makes.is_some() && other.op.makes() == makes)
                || (place.is_some() && other.op.place() == place))
    };
    let taken = plan.steps.iter().any(same);
    (!taken).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{HostOp, Purpose, VxlanOp};
    use netd_api::Mac;

    fn forward(mac: u8, to: &str) -> VxlanOp {
        VxlanOp::Forward { link: "vx-a".parse().unwrap(), mac: Mac([2, 0, 0, 0, 0, mac]), to: to.parse().unwrap() }
    }

    fn op(op: VxlanOp) -> Op {
        Op::Host(HostOp::from(op))
    }

    fn plan(ops: &[VxlanOp]) -> Plan {
        let mut plan = Plan::default();
        ops.iter().for_each(|op| plan.host(Purpose::Peers, op.clone(), ""));
        plan
    }

    #[test]
    fn what_stays_is_left_alone_and_what_was_only_intended_is_made_anew() {
        let (a, b, c) = (forward(1, "192.0.2.1"), forward(2, "192.0.2.1"), forward(3, "192.0.2.1"));
        let outcomes = [Outcome::Created, Outcome::Intended, Outcome::Created];
        let was = plan(&[a.clone(), b.clone(), c.clone()]).steps.into_iter().zip(outcomes).collect();
        let Difference { stay, go, fresh } = compare(was, plan(&[a.clone(), b.clone()]));
        let ops = |done: &Done| done.iter().map(|(step, _)| step.op.clone()).collect::<Vec<_>>();
        assert_eq!((ops(&stay), ops(&go)), (vec![op(a)], vec![op(b.clone()), op(c)]));
        assert_eq!(fresh.into_iter().map(|step| step.op).collect::<Vec<_>>(), [op(b)]);
    }

    #[test]
    fn an_entry_that_took_anothers_place_is_not_undone_with_it() {
        let mut made = Places::default();
        made.add(&op(forward(1, "192.0.2.2")));
        assert!(made.has(&op(forward(1, "192.0.2.1"))), "the same MAC, elsewhere");
        assert!(!made.has(&op(forward(2, "192.0.2.2"))));
        // One more destination of broadcasts takes nobody's place; it stands by itself.
        let flood = |to: &str| op(VxlanOp::Flood { link: "vx-a".parse().unwrap(), to: to.parse().unwrap() });
        made.add(&flood("192.0.2.2"));
        assert!(made.has(&flood("192.0.2.2")) && !made.has(&flood("192.0.2.1")));
    }
}
