//! Containers: what was asked ([`config`]), where it is kept ([`store`]), how it is ([`state`], [`process`]).

pub mod process;
pub mod state;
