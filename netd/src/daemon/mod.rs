//! The single writer: requests, kernel events, the ends of shims and the clock meet in one queue, one thread works it
//! off.
//!
//! Connections have a thread each, which only frames and waits; names and relays live in a small async runtime; neither
//! touches state. So there is no lock on anything that matters.

mod adopt;
mod answer;
mod capture;
mod check;
mod cluster;
mod dhcp;
mod encryption;
mod explain;
mod failures;
mod follow;
mod foreign;
mod guests;
mod host;
mod input;
mod lan;
mod metrics;
mod mtu;
mod names;
mod namespace;
mod netns_lock;
mod networks;
mod notes;
mod parts;
mod picture;
mod planned;
mod publish;
mod questions;
mod records;
mod redo;
mod repair;
mod routes;
mod sandbox;
mod server;
mod shared_calls;
mod shim_link;
mod show;
mod silence;
mod silent_hosts;
mod standing;
mod start;
mod state;
mod update;
mod wait;
mod why;
mod why_names;
mod work;
mod writer;

pub use input::Input;
pub use start::{Options, serve};
pub use state::Daemon;
