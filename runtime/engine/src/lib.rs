//! The runtime as a library. A front (the command line, an API, an OCI runtime) makes a request, and gets a value, a stream or an
//! [`rcr_base::Error`]. Nothing here prints, asks, or ends the process; what is worth saying on the way goes to the front's
//! [`Reporter`].

#![deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)]

pub mod boot;
pub mod bundle;
pub mod cgroup;
pub mod config;
pub mod dirs;
pub mod files;
pub mod instance;
pub mod limits;
pub mod names;
pub mod net;
pub mod remove;
pub mod spawn;
pub mod start;
pub mod store;
mod sys;
pub mod system;
mod undo;
pub mod volumes;
