//! The command line of rcr. What it does is in `rcr_engine`.
//!
//! | room | what is in it |
//! |---|---|
//! | [`cli`] | the command line's grammar |
//! | [`cmd`] | one file per verb: grammar → request, value → text |
//! | [`report`] | the only printer of errors |

// An error that can't be told must not become a crash: `report` writes to stderr, nobody else.
#![deny(clippy::print_stderr)]

pub mod cli;
pub mod cmd;
pub mod report;
