//! Several hosts that share overlay networks, by way of a store that all of them reach.
//!
//! | file | what |
//! |---|---|
//! | [`snapshot`] | PURE: what the cluster looks like, from records and changes |
//! | [`held`] | PURE: what a restored store has forgotten, until its hosts say it again |
//! | `between`, `handle` | what passes between the client and those who need it; their way to it |
//! | `bring` | brings the store to what this host has |
//! | [`client`] | the task that keeps the connection and watches |
//! | `writes` | PURE: what is written for addresses and networks, and under which conditions |
//! | [`questions`] | what is asked of all hosts, and their answers |
//! | [`claims`] | what is taken by compare-and-swap before the writer is asked: names, VNIs, subnets, addresses |
//!
//! What others have comes in as a [`Snapshot`]; what this host has goes out as an [`Own`], whole, and the client brings
//! the store to it: after an outage, a lost lease, a restored backup or a restart there is nothing else to do. Only
//! addresses, names and numbers that two hosts could want are claimed one by one, by the connection that needs them,
//! never by the writer.

mod between;
mod bring;
pub mod claims;
pub mod client;
mod handle;
pub mod held;
pub mod questions;
pub mod snapshot;
mod writes;

pub use between::{Asked, Identity, Own};
pub use handle::{Cluster, PATIENCE};
pub use snapshot::Snapshot;
