//! netd on real kernels, in network namespaces of the tests' own.

mod bridge;
mod cluster;
mod dhcp;
mod journal;
mod lab;
mod lan;
mod metrics;
mod neighbours;
mod nftables;
mod ports;
mod recovery;
mod redirect;
mod store_errors;
mod store_full;
mod update;
