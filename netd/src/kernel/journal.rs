//! The journal: what was going to be done, written down before, and what came of it; and what is left of it where it can't be undone.

use netd_core::plan::{Outcome, Plan, Step};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a journal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    /// Written before the first effect. A restart that finds it undoes it.
    Applying,
    Up,
    /// A restart that finds it goes on undoing.
    Releasing,
}

/// One owner's plan with its outcomes. The owner is in the store's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    pub state: JournalState,
    pub plan: Plan,
    pub outcomes: Vec<Outcome>,
}

impl Journal {
    /// A plan about to be applied: every step is intended.
    pub fn intend(plan: Plan) -> Self {
        let outcomes = vec![Outcome::Intended; plan.steps.len()];
        Self { state: JournalState::Applying, plan, outcomes }
    }
}

/// Something that could not be undone.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftBehind {
    pub what: String,
    /// What removes it.
    pub command: String,
    /// The step that is not undone, and what it had done.
    pub step: Step,
    pub outcome: Outcome,
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (remove it with `{}`)", self.what, self.command)
    }
}
