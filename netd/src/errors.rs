//! Errors as text.

use nix::errno::Errno;
use std::error::Error;

/// `permission denied (EACCES)`.
pub fn why(error: &std::io::Error) -> String {
    error
        .raw_os_error()
        .map(Errno::from_raw)
        .map_or_else(|| error.to_string(), |errno| format!("{} ({errno:?})", errno.desc().to_lowercase()))
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text.push_str(&format!(": {cause}"));
        at = cause.source();
    }
    text
}
