//! Datagrams of one socket, received and sent many at a time (recvmmsg(2), sendmmsg(2)), in room that is used again.

use nix::errno::Errno;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::null_mut;

/// Datagrams of one call.
const MOST: usize = 32;
/// Bytes that are read of one; a longer one is cut.
const IN: usize = 4096;
/// Bytes that one may have which is sent.
const OUT: usize = 1232;

/// Room for questions, and for an answer to each.
pub struct Datagrams {
    questions: Vec<u8>,
    answers: Vec<u8>,
    from: [libc::sockaddr_in; MOST],
    /// Bytes of each question, and of its answer; 0: it has none.
    lengths: [(usize, usize); MOST],
    got: usize,
}

/// Room without datagrams.
impl Default for Datagrams {
    fn default() -> Self {
        let nobody =
            libc::sockaddr_in { sin_family: 0, sin_port: 0, sin_addr: libc::in_addr { s_addr: 0 }, sin_zero: [0; 8] };
        let (questions, answers) = (vec![0; MOST * IN], vec![0; MOST * OUT]);
        Self { questions, answers, from: [nobody; MOST], lengths: [(0, 0); MOST], got: 0 }
    }
}

impl Datagrams {
    /// Receives what waits at an IPv4 socket, without waiting for it, in place of what was here. How many came. An error
    /// is taken off the socket: the next call goes on.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.got = 0;
        // SAFETY: headers of zeros are valid: no buffer, no name.
        let mut headers: [libc::mmsghdr; MOST] = unsafe { zeroed() };
        let mut parts = [libc::iovec { iov_base: null_mut(), iov_len: IN }; MOST];
        let rooms = self.questions.chunks_exact_mut(IN).zip(&mut self.from);
        for ((header, part), (room, from)) in headers.iter_mut().zip(&mut parts).zip(rooms) {
            part.iov_base = room.as_mut_ptr().cast();
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = std::ptr::from_mut(from).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        let flags = libc::MSG_DONTWAIT as _;
        // SAFETY: each header points to room that is this value's alone and outlives the call, with its true length.
        let got = unsafe { libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), MOST as u32, flags, null_mut()) };
        self.got = usize::try_from(Errno::result(got)?).unwrap_or_default();
        for (header, lengths) in headers.iter().zip(&mut self.lengths).take(self.got) {
            *lengths = ((header.msg_len as usize).min(IN), 0);
        }
        Ok(self.got)
    }

    /// A question, and the room for its answer.
    pub fn question(&mut self, at: usize) -> (&[u8], &mut [u8]) {
        let long = self.lengths[at].0;
        (&self.questions[at * IN..][..long], &mut self.answers[at * OUT..][..OUT])
    }

    /// Who asked.
    pub fn from(&self, at: usize) -> SocketAddrV4 {
        let from = &self.from[at];
        SocketAddrV4::new(Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)), u16::from_be(from.sin_port))
    }

    /// The first `long` bytes of its room are the answer to a question.
    pub fn answer(&mut self, at: usize, long: usize) {
        self.lengths[at].1 = long.min(OUT);
    }

    /// The answer to a question, if it is not too long.
    pub fn answer_with(&mut self, at: usize, bytes: &[u8]) {
        if let Some(room) = self.answers[at * OUT..][..OUT].get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            self.answer(at, bytes.len());
        }
    }

    /// Sends the answers, without waiting for room in the socket: what finds none is lost, as datagrams may be.
    pub fn send(&mut self, socket: BorrowedFd<'_>) {
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; MOST] = unsafe { zeroed() };
        let mut parts = [libc::iovec { iov_base: null_mut(), iov_len: 0 }; MOST];
        let there = (0..self.got).filter(|at| self.lengths[*at].1 > 0);
        let mut count = 0;
        for (at, (header, part)) in there.zip(headers.iter_mut().zip(&mut parts)) {
            part.iov_base = self.answers[at * OUT..].as_mut_ptr().cast();
            part.iov_len = self.lengths[at].1;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = std::ptr::from_mut(&mut self.from[at]).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            count += 1;
        }
        let mut rest = &mut headers[..count];
        while !rest.is_empty() {
            let flags = libc::MSG_DONTWAIT as _;
            // SAFETY: each header points to bytes and to a name of this value, which outlive the call.
            let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, flags) };
            // The first that can't be sent is left out.
            let done = usize::try_from(sent).unwrap_or_default().max(1).min(rest.len());
            rest = &mut rest[done..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::time::Duration;

    #[test]
    fn many_are_answered_at_once_each_its_own_and_one_that_can_not_be_sent_holds_up_none() {
        let [server, client, other] = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        for socket in [&client, &other] {
            socket.connect(server.local_addr().unwrap()).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        }
        let mut all = Datagrams::default();
        assert_eq!(all.receive(server.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for n in 0..MOST as u8 + 8 {
            client.send(&vec![n; usize::from(n) + 1]).unwrap();
        }
        other.send(&[9; IN + 1]).unwrap();
        assert_eq!(all.receive(server.as_fd()).unwrap(), MOST);
        for at in 0..MOST {
            let (question, room) = all.question(at);
            assert_eq!(question, vec![at as u8; at + 1]);
            room[0] = question[0];
            // Every second one, one of them to where nothing can be sent.
            all.answer(at, at % 2);
        }
        all.from[3].sin_port = 0;
        all.send(server.as_fd());
        let mut buffer = [0; 8];
        for at in (1..MOST as u8).step_by(2).filter(|at| *at != 3) {
            assert_eq!((client.recv(&mut buffer).unwrap(), buffer[0]), (1, at));
        }
        assert_eq!(all.receive(server.as_fd()).unwrap(), 9);
        assert_eq!(all.question(8).0, [9; IN], "one that is too long is cut");
        assert_eq!(std::net::SocketAddr::V4(all.from(8)), other.local_addr().unwrap());
        all.answer_with(8, b"whole");
        all.answer_with(7, &[0; OUT + 1]);
        all.send(server.as_fd());
        assert_eq!(other.recv(&mut buffer).unwrap(), 5);
        client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(client.recv(&mut buffer).is_err(), "what was answered before is not sent again");
    }
}
