//! Descriptors: closing, passing, taking over.

use super::check;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Marks every descriptor from `first` on close-on-exec (close_range(2), Linux 5.11), so that no program of a container inherits one.
pub fn cloexec_from(first: RawFd) -> Result<(), Errno> {
    // SAFETY: only sets a flag on descriptors; none is closed here.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Takes over the descriptor `fd` that this process was started with. `None` if it is not open.
pub fn inherited(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the number is in use.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and by our own convention this process was given it to own.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes `to` a copy of `from`, without close-on-exec (dup2(2)).
pub fn dup_onto(from: BorrowedFd, to: RawFd) -> Result<(), Errno> {
    if from.as_raw_fd() == to {
        // SAFETY: clears close-on-exec on an open descriptor.
        return check(unsafe { libc::fcntl(to, libc::F_SETFD, 0) } as libc::c_long).map(drop);
    }
    // SAFETY: what `to` was is closed by the kernel; the callers give only standard descriptors or numbers they planned.
    check(unsafe { libc::dup2(from.as_raw_fd(), to) } as libc::c_long).map(drop)
}

/// Sends `bytes` with one descriptor beside them. Allocates nothing but a control buffer on the stack.
pub fn send_fd(socket: BorrowedFd, bytes: &[u8], fd: BorrowedFd) -> Result<(), Errno> {
    let fds = [fd.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], &control, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// Receives into `buffer`, with the descriptor that came along, if any. 0 bytes: the peer closed.
pub fn recv_fd(socket: BorrowedFd, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = nix::cmsg_space!([RawFd; 2]);
    let mut iov = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut got = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            for fd in fds {
                // SAFETY: the kernel just installed it for us; what is not kept is closed by the drop.
                let owned = unsafe { OwnedFd::from_raw_fd(fd) };
                got.get_or_insert(owned);
            }
        }
    }
    Ok((message.bytes, got))
}

/// The kind of namespace that an open file is (`CLONE_NEWNET`, …; ioctl_ns(2), Linux 4.11). `ENOTTY`: it is none.
pub fn namespace_kind(file: BorrowedFd) -> Result<i32, Errno> {
    /// include/uapi/linux/nsfs.h: `_IO(0xb7, 3)`.
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: the call takes no argument and only returns a number. A device driver that had the same number would be asked
    // with no argument, too.
    check(unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) } as libc::c_long).map(|kind| kind as i32)
}
