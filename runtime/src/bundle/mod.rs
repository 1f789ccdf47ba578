//! Image config + flags → OCI runtime spec → init plan. Pure.

/// The `PATH` of a container whose image names none.
pub mod seccomp;

pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
