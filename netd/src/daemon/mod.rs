//! The single writer: requests, kernel events, the ends of shims and the clock meet in one queue, one thread works it off.
//!
//! Connections have a thread each, which only frames and waits; names and relays live in a small async runtime; neither
//! touches state. So there is no lock on anything that matters.

mod adopt;
mod answer;
mod claim;
mod cluster;
mod dhcp;
mod encryption;
mod foreign;
mod guests;
mod host_names;
mod lan;
mod mtu;
mod networks;
mod options;
mod publish;
mod repair;
mod sandbox;
mod server;
mod shared_calls;
mod silence;
mod state;
mod update;

pub use options::{Options, main};
pub use state::{Daemon, Input};
