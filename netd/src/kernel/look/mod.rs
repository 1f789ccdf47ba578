//! What the kernel says when somebody wants a network shown or explained. Nothing here changes anything that stands.
//!
//! These functions are for the threads of connections: each opens a socket of its own, and none waits for the writer.

mod links;
mod rules;

pub use links::{links_here, links_inside};
pub use rules::rules_of_table;
