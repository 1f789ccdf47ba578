//! Terminals that no program has open.

use nix::errno::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use std::os::fd::{BorrowedFd, OwnedFd};

/// Opens the other side of a terminal by its master: while it is held, the terminal does not hang up when its last
/// program closes it, and the next one may open it. systemd and logins do that.
pub fn hold(master: BorrowedFd) -> Result<OwnedFd, Errno> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    ioctl_tiocgptpeer(master, flags).map_err(|error| Errno::from_raw(error.raw_os_error()))
}
