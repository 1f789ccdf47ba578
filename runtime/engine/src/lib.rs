//! The runtime as a library. A front (the command line, an API, an OCI runtime) makes a request, and gets a value, a stream or an
//! [`rcr_base::Error`]. Nothing here prints, asks, or ends the process; what is worth saying on the way goes to the front's
//! [`Reporter`].

#![deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)]

pub mod boot;
pub mod bundle;
pub mod cgroup;
pub mod config;
pub mod create;
pub mod dirs;
pub mod events;
pub mod exec;
pub mod files;
mod force;
pub mod images;
pub mod info;
pub mod instance;
pub mod limits;
pub mod list;
pub mod logs;
pub mod many;
pub mod monitor;
pub mod names;
pub mod net;
pub mod networks;
pub mod nodes;
pub mod remove;
pub mod rename;
pub mod spawn;
pub mod start;
pub mod stop;
pub mod store;
mod sys;
pub mod system;
mod undo;
pub mod volumes;
pub mod words;
