//! The journal: what was going to be done, written down before, and what came of it.

use crate::plan::{Outcome, Plan};
use serde::{Deserialize, Serialize};

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
