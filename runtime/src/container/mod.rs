//! Containers: what was asked ([`config`]), where it is kept ([`store`]), how it is ([`state`], [`process`]), what comes up with the
//! machine ([`boot`]), what a new volume begins with ([`seed`]).

pub mod boot;
pub mod config;
pub mod copy;
pub mod lifecycle;
pub mod limits;
pub mod names;
pub mod network;
pub mod seed;
pub mod spawn;
pub mod store;
