//! Flags → requests: what was written, as values that the engine takes.

pub mod container;
mod lan;
pub mod network;
mod network_mode;
mod overlay;
mod storage;
pub mod text;
