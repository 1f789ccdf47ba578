//! rcr: the container runtime.
//!
//! | room | what is in it |
//! |---|---|
//! | [`cli`] | the command line's grammar |
//! | [`cmd`] | one file per verb |
//! | [`container`] | a container's config, state, folders; its lifecycle as named steps with an undo stack |
//! | [`bundle`] | image config + flags → OCI runtime spec → init plan (pure) |
//! | [`init`] | the init plan, and the child that runs it |
//! | [`shim`] | one small process per container: terminal, pipes, log, exit status, restart policy |
//! | [`cgroup`], [`net`], [`files`] | cgroups; netd's client; `/etc/hosts`, `resolv.conf`, `hostname` |
//! | [`report`] | the only printer of errors |
//! | [`sys`] | the runtime's `unsafe` |

// An error that can't be told must not become a crash: `report` writes to stderr, nobody else.
#![deny(clippy::print_stderr)]

pub mod bundle;
pub mod cgroup;
pub mod cli;
pub mod cmd;
pub mod container;
pub mod files;
pub mod net;
pub mod report;
mod sys;
