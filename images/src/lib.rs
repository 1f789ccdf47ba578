//! Images of rcr: a content-addressed OCI layout, layers unpacked once per diff id, and an unpacker that hostile bytes
//! cannot harm.
//!
//! | room | what is in it |
//! |---|---|
//! | [`mod@reference`], [`digest`] | names and digests, checked on creation |
//! | [`store`] | the layout on disk: blobs, index, unpacked layers |
//! | [`layer`] | one layer into the store, through a process that can do nothing else |
//! | [`import`] | an image from a root file system |
//! | [`archive`] | load and save: archives and folders of OCI and of Docker |
//! | [`remote`] | pull and push, through a process that has the network and nothing else |
//! | [`compress`] | gzip |
//! | [`unpack`] | bytes of a tar → file operations (pure) → a folder (by descriptor) |
#![warn(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

pub mod archive;
pub mod compress;
pub mod digest;
mod error;
mod folder;
pub mod import;
pub mod layer;
mod parallel;
pub mod reference;
pub mod remote;
pub mod store;
pub mod unpack;

pub use digest::Digest;
pub use error::{Doing, Error, offline};
pub use import::Recipe;
pub use reference::Reference;
pub use store::{Check, Fault, Image, ImageSummary, Pruned, Removed, Store, Users};
