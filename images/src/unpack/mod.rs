//! From the bytes of a layer to a folder, in two halves.
//!
//! [`entry`] is pure: it turns each tar entry into a checked [`FileOp`], whose paths are relative, without `..`.
//! [`apply`] carries the operations out below an `O_PATH` root, resolving every parent with openat2(2) and
//! `RESOLVE_IN_ROOT`: a layer may write through its own symlinks, and wherever they point, it stays inside.

pub mod apply;
pub mod entry;
mod headers;
pub mod packed;
pub mod pipe;
mod place;
mod reporter;
pub mod sandbox;
mod sparse;
pub mod wire;
pub mod worker;

pub use apply::{unpack, walk};
pub use entry::{FileOp, Limits, Meta};
pub use place::mark_opaque;
