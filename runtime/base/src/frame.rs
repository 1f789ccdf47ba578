//! Blocking framing over a unix stream socket: length-prefixed JSON with descriptors beside it.

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The largest frame that is accepted, in bytes.
pub const MAX_FRAME: usize = 4 << 20;

/// Descriptors that one frame may carry, if who receives it takes so many ([`recv_many`]). The kernel takes 253
/// (`SCM_MAX_FD`, unix(7)).
pub const MAX_FDS: usize = 128;

/// Descriptors that [`recv_frame`] takes: who sends more, sends them in vain.
const FEW: usize = 4;

/// Why a frame could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side is gone.
    #[error("the peer closed the connection")]
    Closed,
    /// The frame has this many bytes, more than [`MAX_FRAME`].
    #[error("frame of {0} bytes is over the limit of {MAX_FRAME}")]
    TooLarge(usize),
    /// The bytes are not the JSON of the expected type.
    #[error("malformed frame: {0}")]
    Json(#[from] serde_json::Error),
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Sends one frame, with descriptors beside its first byte.
pub fn send_frame<T: Serialize>(socket: &UnixStream, message: &T, fds: &[BorrowedFd]) -> Result<(), FrameError> {
    let body = serde_json::to_vec(message)?;
    if body.len() > MAX_FRAME {
        return Err(FrameError::TooLarge(body.len()));
    }
    let head = (body.len() as u32).to_le_bytes();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    // The room is rounded up to whole words, and might hold one more.
    if fds.len() > MAX_FDS || (!fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds))) {
        return Err(FrameError::Io(io::ErrorKind::InvalidInput.into()));
    }
    let iov = [IoSlice::new(&head), IoSlice::new(&body)];
    let sent = loop {
        match rustix::net::sendmsg(socket, &iov, &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => continue,
            other => break other.map_err(io::Error::from)?,
        }
    };
    // A stream may take less than all of it: the rest goes by plain writes, the descriptors have gone already.
    let mut rest: Vec<u8> = Vec::new();
    if sent < head.len() {
        rest.extend_from_slice(&head[sent..]);
        rest.extend_from_slice(&body);
    } else {
        rest.extend_from_slice(&body[sent - head.len()..]);
    }
    let mut writer = socket;
    writer.write_all(&rest)?;
    Ok(())
}

/// Receives one frame and the descriptors that came with it (close-on-exec): a few, as requests have them.
pub fn recv_frame<T: DeserializeOwned>(socket: &UnixStream) -> Result<(T, Vec<OwnedFd>), FrameError> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(FEW))];
    recv(socket, &mut space, FEW)
}

/// The same with up to [`MAX_FDS`] descriptors, from somebody who is trusted with that many of ours.
pub fn recv_many<T: DeserializeOwned>(socket: &UnixStream) -> Result<(T, Vec<OwnedFd>), FrameError> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FDS))];
    recv(socket, &mut space, MAX_FDS)
}

fn recv<T: DeserializeOwned>(
    socket: &UnixStream,
    space: &mut [MaybeUninit<u8>],
    most: usize,
) -> Result<(T, Vec<OwnedFd>), FrameError> {
    let mut head = [0u8; 4];
    let (got, mut fds) = recv_head(socket, &mut head, space)?;
    // The room is rounded up to whole words: the kernel may have found place for one more.
    fds.truncate(most);
    let mut reader = socket;
    reader.read_exact(&mut head[got..]).map_err(closed)?;
    let len = u32::from_le_bytes(head) as usize;
    if len > MAX_FRAME {
        return Err(FrameError::TooLarge(len));
    }
    let mut body = vec![0u8; len];
    reader.read_exact(&mut body).map_err(closed)?;
    Ok((serde_json::from_slice(&body)?, fds))
}

fn closed(error: io::Error) -> FrameError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Closed,
        _ => FrameError::Io(error),
    }
}

fn recv_head(
    socket: &UnixStream,
    head: &mut [u8; 4],
    space: &mut [MaybeUninit<u8>],
) -> Result<(usize, Vec<OwnedFd>), FrameError> {
    let mut control = RecvAncillaryBuffer::new(space);
    let mut iov = [IoSliceMut::new(head)];
    let message = loop {
        match rustix::net::recvmsg(socket, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => continue,
            other => break other.map_err(io::Error::from)?,
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            fds.extend(some);
        }
    }
    match message.bytes {
        0 => Err(FrameError::Closed),
        got => Ok((got, fds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_frame_carries_a_message_and_a_descriptor() {
        let (a, b) = UnixStream::pair().unwrap();
        let (pipe, _keep) = nix::unistd::pipe().unwrap();
        let sent = "x".repeat(300_000);
        let copy = sent.clone();
        let writer = std::thread::spawn(move || send_frame(&a, &copy, &[pipe.as_fd()]).unwrap());
        let (got, fds) = recv_frame::<String>(&b).unwrap();
        writer.join().unwrap();
        assert_eq!(got, sent);
        assert_eq!(fds.len(), 1);
        assert!(matches!(recv_frame::<String>(&b), Err(FrameError::Closed)));
    }

    #[test]
    fn who_takes_few_gets_no_more_and_who_takes_many_gets_all() {
        let (pipe, _keep) = nix::unistd::pipe().unwrap();
        let all = vec![pipe.as_fd(); MAX_FDS];
        let (a, b) = UnixStream::pair().unwrap();
        send_frame(&a, &1u8, &all).unwrap();
        assert_eq!(recv_many::<u8>(&b).unwrap().1.len(), MAX_FDS);
        send_frame(&a, &2u8, &all).unwrap();
        let (got, fds) = recv_frame::<u8>(&b).unwrap();
        assert_eq!((got, fds.len() <= FEW), (2, true));
        assert!(send_frame(&a, &3u8, &vec![pipe.as_fd(); MAX_FDS + 1]).is_err());
    }

    #[test]
    fn oversized_and_truncated_frames_are_refused() {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert!(matches!(recv_frame::<String>(&b), Err(FrameError::TooLarge(_))));
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(&[9, 0, 0, 0, b'{']).unwrap();
        drop(a);
        assert!(matches!(recv_frame::<String>(&b), Err(FrameError::Closed)));
    }
}
