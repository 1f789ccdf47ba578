//! How a plan reads: the one form of dry runs and golden files. `=` is there, `+` made, `~` changed, `?` asked for, `!` announced,
//! `-` forgotten.

use super::diff::{Observed, missing};
use super::effect::Row;
use super::op::Scope;
use super::step::{Plan, Step};
use netd_api::{PlanPart, PlanRow, PlanStep};

/// The plan as text with its reasons. What `observed` has already is marked `=`.
pub fn show(title: &str, plan: &Plan, observed: Option<&Observed>) -> String {
    show_seen(title, plan, observed).text(true)
}

/// The plan for people. What `observed` has already is marked `=`.
pub fn show_seen(title: &str, plan: &Plan, observed: Option<&Observed>) -> PlanPart {
    let lacking = observed.map(|seen| missing(plan, seen));
    show_there(title, plan, |step| {
        step.op.scope() == Scope::Host && lacking.as_ref().is_some_and(|l| !l.steps.contains(step))
    })
}

/// The plan for people. The steps whose effect is `there` are marked `=`.
pub fn show_there(title: &str, plan: &Plan, there: impl Fn(&Step) -> bool) -> PlanPart {
    let shown = plan.steps.iter().filter_map(|step| one(step, there(step)));
    PlanPart { title: title.to_owned(), steps: shown.collect() }
}

/// A step; nothing, if it has nothing to show.
fn one(step: &Step, there: bool) -> Option<PlanStep> {
    let rows = step.op.rows();
    let mark = if there { '=' } else { rows.first()?.mark };
    let scope = match step.op.scope() {
        Scope::Host => "host",
        Scope::Container => "container",
    };
    let rows = rows.into_iter().map(|Row { kind, name, what, .. }| PlanRow { kind: kind.to_owned(), name, what });
    Some(PlanStep { scope: scope.to_owned(), mark, rows: rows.collect(), why: step.why.to_owned() })
}
