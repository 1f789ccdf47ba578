//! What netd decides: no effect, no clock, no chance. Same arguments, same answer.
//!
//! | room | what is in it |
//! |---|---|
//! | [`model`] | networks, attachments, facts: what all rooms speak about |
//! | [`drivers`] | what a network and an attachment need, as plans; one file per driver |
//! | [`plan`] | `op` what can be done to a kernel, `diff` what a kernel lacks, `show` how a plan reads |
//! | [`firewall`] | the nftables tables as data |
//! | [`ipam`] | subnets and addresses |
//! | [`ports`] | published ports, who has which |
//! | [`marks`] | the marks that objects of ours carry |
//! | [`picture`] | this host's networks as one value, for whoever shows or explains them |
//! | [`seen`] | what was seen of a kernel, as values |
//! | [`why`] | why one can't reach another: what is known and seen becomes the way from hop to hop |
//! | [`graph`] | the topology as nodes and edges |
//! | [`check`] | what a kernel has not as it was made |
//! | [`findings`] | what a host tells the others of that |
//! | [`keys`] | this host's WireGuard keys |
//! | [`schema`] | the keys of the shared store and what is in them; hostile values end here |

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod check;
pub mod drivers;
pub mod findings;
pub mod firewall;
pub mod graph;
pub mod ipam;
pub mod keys;
pub mod marks;
pub mod model;
pub mod picture;
pub mod plan;
pub mod ports;
pub mod schema;
pub mod seen;
pub mod why;
