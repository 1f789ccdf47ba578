//! The command line of rcr. What it does is in `rcr_engine`.
//!
//! | room | what is in it |
//! |---|---|
//! | [`cli`] | the command line's grammar |
//! | [`flags`] | flags → requests |
//! | [`cmd`] | one file per verb, or per family of verbs: makes the request, prints the result |
//! | [`term`] | the terminal: relays, progress, tables, questions |
//! | [`completion`] | what a shell asks while somebody types |
//! | [`template`] | `--format`: Go's templates |
//! | [`report`] | the only printer of errors |

// An error that can't be printed must not become a crash: only `report` writes to stderr.
#![deny(clippy::print_stderr)]

pub mod cli;
pub mod cmd;
pub mod completion;
pub mod flags;
pub mod report;
pub mod template;
pub mod term;
