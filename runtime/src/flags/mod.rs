//! Flags → requests: what was written, as values that the engine takes.

pub mod container;
pub mod network;
mod resources;
mod storage;
