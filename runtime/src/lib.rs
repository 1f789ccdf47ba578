//! rcr: the container runtime.

pub mod bundle;
pub mod container;
pub mod init;
pub mod shim;
pub mod sys;
