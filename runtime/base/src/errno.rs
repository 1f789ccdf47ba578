//! An errno in words.

use nix::errno::Errno;
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
    let errno = Errno::from_raw(number);
    let mut text = errno.desc().to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    format!("{text} ({errno:?})")
}

/// rustix has an errno type of its own; its values have no names to print.
pub fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}
