//! netd: the network daemon of rcr.
//!
//! | room | what is in it |
//! |---|---|
//! | [`model`] | networks, attachments, facts: what the pure rooms speak about |
//! | [`drivers`] | PURE: what a network and an attachment need, as plans; one file per driver |
//! | [`plan`] | PURE: `op` what can be done to a kernel, `diff` what a kernel lacks, `show` how a plan reads |
//! | [`firewall`] | PURE: the nftables tables as data |
//! | [`ipam`] | PURE: subnets and addresses |
//! | [`ports`] | PURE: published ports, who has which |
//! | [`marks`] | PURE: the marks that objects of ours carry |
//! | [`keys`] | PURE: this host's WireGuard keys |
//! | [`kernel`] | EFFECTS: does and undoes what a plan says; netlink, nftables, sysctls, namespaces |
//! | [`ledger`] | the only place that journals, applies and undoes; owns the store and the kernel |
//! | [`dns`] | names: zone, server, forwarding |
//! | [`relay`] | what the kernel can't translate: `[::1]`, and a family that the container doesn't have |
//! | [`store`] | what outlives netd; `shared`, with its engines `etcd` and `memory`: what hosts share |
//! | [`cluster`] | several hosts over a shared store: who is where, what is claimed |
//! | [`random`], [`clock`], [`errors`], [`log`] | random bytes; the time of day; errors as text; netd's log |
//! | [`daemon`] | the single writer, the socket, adoption after a restart |

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod clock;
pub mod cluster;
pub mod daemon;
pub mod dns;
pub mod drivers;
pub mod errors;
pub mod firewall;
pub mod ipam;
pub mod kernel;
pub mod keys;
pub mod ledger;
pub mod log;
pub mod marks;
pub mod model;
pub mod plan;
pub mod ports;
pub mod random;
pub mod relay;
pub mod store;
