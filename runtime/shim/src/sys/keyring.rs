//! Keyrings (keyctl(2)).

use super::check;
use nix::errno::Errno;

/// A session keyring of its own, so that keys of the host's session are out of reach.
pub fn new_session() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    let ret = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<u8>()) };
    match check(ret) {
        // A kernel without keyrings has none to protect.
        Err(Errno::ENOSYS) => Ok(()),
        other => other.map(drop),
    }
}
