//! netd: the network daemon of rcr. What it decides is in `netd-core`; here is what it does.
//!
//! | room | what is in it |
//! |---|---|
//! | [`kernel`] | EFFECTS: does and undoes what a plan says; netlink, nftables, sysctls, namespaces |
//! | [`ledger`] | the only place that journals, applies and undoes; owns the store and the kernel |
//! | [`dns`] | names: zone, server, forwarding |
//! | [`relay`] | what the kernel can't translate: `[::1]`, and a family that the container doesn't have |
//! | [`store`] | what outlives netd; `shared`, with its engines `etcd` and `memory`: what hosts share |
//! | [`cluster`] | several hosts over a shared store: who is where, what is claimed |
//! | [`metrics`] | numbers for Prometheus: what is counted, and the socket that a scrape comes by |
//! | [`random`], [`clock`], [`errors`], [`log`] | random bytes; the time of day; errors as text; netd's log |
//! | [`daemon`] | the single writer, the socket, adoption after a restart |

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod clock;
pub mod cluster;
pub mod daemon;
pub mod dns;
pub mod errors;
pub mod kernel;
pub mod ledger;
pub mod log;
pub mod metrics;
pub mod random;
pub mod relay;
pub mod store;
