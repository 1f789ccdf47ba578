//! Plans: what is to be done to a kernel, as data. No I/O, no clock, no randomness: same input, same plan.

mod change;
mod diff;
mod op;
mod show;

pub use change::{change, is_same_object, turned};
pub use diff::{LinkSeen, Observed, missing};
pub use op::{Child, Op, Outcome, Plan, Scope, Step};
pub use show::show;
