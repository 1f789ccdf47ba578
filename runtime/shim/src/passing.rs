//! Descriptors over sockets, beside bytes (unix(7), SCM_RIGHTS). Nothing here allocates: the container's child sends
//! its terminal this way.

use nix::errno::Errno;
use rcr_base::errno;
use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Sends `bytes` with one descriptor beside them.
pub fn send_fd(socket: BorrowedFd, bytes: &[u8], fd: BorrowedFd) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::EINVAL);
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).map(drop).map_err(errno)
}

/// Receives into `buffer`, with the descriptor that came along, if any. 0 bytes: the peer closed.
pub fn recv_fd(socket: BorrowedFd, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut iov = [IoSliceMut::new(buffer)];
    let message = rustix::net::recvmsg(socket, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC).map_err(errno)?;
    let mut got = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            // What is not kept is closed.
            for fd in fds {
                got.get_or_insert(fd);
            }
        }
    }
    Ok((message.bytes, got))
}
