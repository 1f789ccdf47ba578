//! Terminals: the controlling terminal, and window sizes.

use super::check;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Makes a terminal the controlling one of this new session (ioctl_tty(2), TIOCSCTTY).
pub fn set_controlling(tty: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: the request takes an integer.
    check(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSCTTY, 0) } as libc::c_long).map(drop)
}

/// Sets a terminal's size in characters.
pub fn set_size(tty: BorrowedFd, rows: u16, columns: u16) -> Result<(), Errno> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request reads one winsize, alive during the call.
    check(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } as libc::c_long).map(drop)
}

/// A terminal's size: rows, columns.
pub fn size(tty: BorrowedFd) -> Result<(u16, u16), Errno> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request writes one winsize, alive during the call.
    check(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) } as libc::c_long)?;
    Ok((size.ws_row, size.ws_col))
}
