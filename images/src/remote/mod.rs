//! Talking to registries, through `rcr-registry`: a process that has the network and nothing else.

mod client;
pub mod credentials;
pub mod document;
mod pull;
mod push;
mod tidy;
pub mod wire;

pub use client::{Remote, login, logout};
pub use pull::{Event, Platform, Pulled, pull};
pub use push::push;
