//! The command line of rcr. What it does is in `rcr_engine`.
//!
//! | room | what is in it |
//! |---|---|
//! | [`cli`] | the command line's grammar |
//! | [`flags`] | flags → requests |
//! | [`cmd`] | one file per verb, or per family of verbs: a request, and what came of it as text |
//! | [`term`] | the terminal: relays, progress, tables, questions |
//! | [`report`] | the only printer of errors |

// An error that can't be told must not become a crash: `report` writes to stderr, nobody else.
#![deny(clippy::print_stderr)]

pub mod cli;
pub mod cmd;
pub mod flags;
pub mod report;
pub mod term;
