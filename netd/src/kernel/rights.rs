//! Descriptors that come over a unix socket (unix(7), `SCM_RIGHTS`).

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Receives what was sent at once into `buffer`, and the descriptor beside it, if there is one: how many bytes, and
/// that.
pub fn receive_fd(stream: &impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut iov = [IoSliceMut::new(buffer)];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let message = recvmsg::<()>(stream.as_fd().as_raw_fd(), &mut iov, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    if message.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control
            && let Some(fd) = fds.first()
        {
            // SAFETY: the kernel just installed this descriptor for us; nobody else owns it.
            return Ok((message.bytes, Some(unsafe { OwnedFd::from_raw_fd(*fd) })));
        }
    }
    Ok((message.bytes, None))
}

/// Sends bytes with a descriptor beside them, without waiting for room.
pub fn send_fd(stream: &UnixStream, bytes: &[u8], fd: BorrowedFd<'_>) -> io::Result<()> {
    let (fds, flags) = ([fd.as_raw_fd()], MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
    let beside = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(bytes)], &beside, flags, None)?;
    Ok(())
}
