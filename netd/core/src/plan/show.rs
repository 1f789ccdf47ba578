//! How a plan reads: the one text of dry runs and golden files. `=` is there, `+` made, `~` changed, `?` asked for, `!` announced,
//! `-` forgotten.

use super::diff::{Observed, missing};
use super::effect::Row;
use super::op::Scope;
use super::step::{Plan, Step};
use std::fmt::Write;

/// The plan as text. What `observed` has already is marked `=`.
pub fn show(title: &str, plan: &Plan, observed: Option<&Observed>) -> String {
    let lacking = observed.map(|seen| missing(plan, seen));
    show_there(title, plan, |step| {
        step.op.scope() == Scope::Host && lacking.as_ref().is_some_and(|l| !l.steps.contains(step))
    })
}

/// The plan as text. The steps whose effect is `there` are marked `=`.
pub fn show_there(title: &str, plan: &Plan, there: impl Fn(&Step) -> bool) -> String {
    let mut text = format!("{title}\n");
    plan.steps.iter().for_each(|step| lines(&mut text, step, there(step)));
    text
}

fn lines(text: &mut String, step: &Step, there: bool) {
    let scope = match step.op.scope() {
        Scope::Host => "host",
        Scope::Container => "container",
    };
    let why = if step.why.is_empty() { String::new() } else { format!("  # {}", step.why) };
    for Row { mark, kind, name, what } in step.op.rows() {
        let mark = if there { '=' } else { mark };
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {scope:<10} {mark} {kind:<7} {name:<15} {what}{why}");
    }
}
