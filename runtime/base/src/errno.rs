//! An errno in words.

use std::io;

/// `no such file or directory (ENOENT)`.
pub fn io_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => errno_text(number),
        None => error.to_string(),
    }
}

/// An errno's description and name: `connection refused (ECONNREFUSED)`.
pub fn errno_text(number: i32) -> String {
    let errno = nix::errno::Errno::from_raw(number);
    let mut text = errno.desc().to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    format!("{text} ({errno:?})")
}
