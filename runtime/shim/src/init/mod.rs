//! The container's child process: what it will do is compiled beforehand ([`plan`]), turned into C strings
//! ([`compiled`]), and then run without allocating, locking or logging ([`child`]). It reports through a socket
//! ([`handshake`]).

pub mod child;
pub mod compiled;
pub mod creds;
pub mod handshake;
mod joining;
pub mod mounts;
mod open;
pub mod plan;
pub mod resolve;
pub mod user;
