//! Terminals: the controlling terminal, and window sizes.

use super::check;
use nix::errno::Errno;
use rustix::pty::OpenptFlags;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Makes a terminal the controlling one of this new session (ioctl_tty(2), TIOCSCTTY).
pub fn set_controlling(tty: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: the request takes an integer.
    check(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSCTTY, 0) } as libc::c_long).map(drop)
}

/// Opens the other side of a terminal, by its master: as long as somebody holds it, the terminal is not hung up when its last program
/// closes it, and the next one may open it. systemd and logins do that.
pub fn hold(master: BorrowedFd) -> Result<OwnedFd, Errno> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    rustix::pty::ioctl_tiocgptpeer(master, flags).map_err(|error| Errno::from_raw(error.raw_os_error()))
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
