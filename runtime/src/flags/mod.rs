//! Flags → requests: what was written, as values that the engine takes.

pub mod container;
pub mod network;
pub mod resources;
mod storage;
