//! Plans for people: what would be done to a kernel, or what was done, step by step.

use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// A plan, in the order in which it is carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// What is done for whom.
    pub parts: Vec<PlanPart>,
}

/// The steps for one object, or a sentence where there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanPart {
    /// `attach c1 to blue (bridge)`.
    pub title: String,
    /// In order.
    pub steps: Vec<PlanStep>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// `host` or `container`.
    pub scope: String,
    /// `+` is made, `=` is there, `~` is changed, `-` is removed or forgotten, `?` is asked for, `!` is announced.
    pub mark: char,
    /// What it makes: one in most steps; a set of elements has several.
    pub rows: Vec<PlanRow>,
    /// Why it is there, or why it stands where it stands; may be empty.
    pub why: String,
}

/// An object of the kernel, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRow {
    /// `link`, `addr`, `route`, …
    pub kind: String,
    /// The link, the set, the key.
    pub name: String,
    /// What it is, or gets.
    pub what: String,
}

impl PlanView {
    /// A sentence instead of steps: nothing is done.
    pub fn saying(title: impl Into<String>) -> Self {
        Self { parts: vec![PlanPart { title: title.into(), steps: Vec::new() }] }
    }

    /// As text. `reasons`: every row with the reason of its step, as golden files have it; else one line a step.
    pub fn text(&self, reasons: bool) -> String {
        self.parts.iter().map(|part| part.text(reasons)).collect()
    }
}

impl PlanPart {
    /// As text, see [`PlanView::text`].
    pub fn text(&self, reasons: bool) -> String {
        let mut text = format!("{}\n", self.title);
        for step in &self.steps {
            let shown = if reasons { step.rows.len() } else { 1 };
            for PlanRow { kind, name, what } in step.rows.iter().take(shown) {
                let PlanStep { scope, mark, rows, why } = step;
                let more = match rows.len() - 1 {
                    more if more > 0 && !reasons => format!(", and {more} more"),
                    _ => String::new(),
                };
                let why = if reasons && !why.is_empty() { format!("  # {why}") } else { String::new() };
                let line = format!("  {scope:<10} {mark} {kind:<7} {name:<15} {what}{more}");
                // Writing to a String can't fail.
                let _ = writeln!(text, "{}{why}", line.trim_end());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_line_and_has_its_reason_where_that_is_wanted() {
        let row = |what: &str| PlanRow { kind: "nft".into(), name: "set".into(), what: what.into() };
        let step = PlanStep { scope: "host".into(), mark: '+', rows: vec![row("a"), row("b")], why: "why".into() };
        let view = PlanView { parts: vec![PlanPart { title: "title".into(), steps: vec![step] }] };
        assert_eq!(view.text(false), "title\n  host       + nft     set             a, and 1 more\n");
        assert_eq!(
            view.text(true),
            "title\n  host       + nft     set             a  # why\n  host       + nft     set             b  # why\n"
        );
        assert_eq!(PlanView::saying("nothing").text(true), "nothing\n");
    }
}
