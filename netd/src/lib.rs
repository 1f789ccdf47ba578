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
//! | [`kernel`] | EFFECTS: applies plans, journals and undoes them; netlink, nftables, sysctls, namespaces |
//! | [`dns`] | names: zone, server, forwarding |
//! | [`relay`] | what the kernel can't translate: `[::1]`, and a family that the container doesn't have |
//! | [`store`] | what outlives netd; `shared`, with its engines `etcd` and `memory`: what hosts share |
//! | [`cluster`] | several hosts over a shared store: who is where, what is claimed |
//! | [`daemon`] | the single writer, the socket, adoption after a restart |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod cluster;
pub mod daemon;
pub mod dns;
pub mod drivers;
pub mod firewall;
pub mod ipam;
pub mod kernel;
pub mod model;
pub mod plan;
pub mod ports;
pub mod relay;
pub mod store;
