//! One of our standard streams as the place for the container's output. It never blocks, so that signals and the
//! container's end are noticed.
//!
//! Setting O_NONBLOCK on a descriptor that others share would change it for them. A pipe or a terminal is opened again
//! instead, with flags of its own; what can't be (a socket) gets small pieces, and only when poll(2) says that there is
//! room.

use rcr_base::{Error, Kind};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A pipe that poll(2) calls writable takes this much at once (PIPE_BUF, pipe(7)).
const PIECE: usize = 4096;
/// What one read or splice may move.
pub const CHUNK: usize = 64 * 1024;

/// How much is left to write after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Nothing,
    /// Wait for room first.
    Some,
}

/// stdout or stderr, with the output that it has not taken yet.
pub struct Sink {
    fd: OwnedFd,
    nonblocking: bool,
    pending: Vec<u8>,
    written: usize,
}

impl Sink {
    /// Copies one of our own descriptors; a closed one swallows everything.
    pub fn new(fd: BorrowedFd) -> std::io::Result<Self> {
        let copy = match rustix::io::fcntl_dupfd_cloexec(fd, 3) {
            Err(Errno::BADF) => rustix::fs::open(c"/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?,
            other => other?,
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&copy)?.st_mode);
        let anew = match kind {
            FileType::Fifo | FileType::CharacterDevice => {
                let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                rustix::fs::open(path, flags, Mode::empty()).ok()
            }
            _ => None,
        };
        // Writing to a file never waits for a reader.
        let nonblocking = anew.is_some() || kind == FileType::RegularFile;
        Ok(Self { fd: anew.unwrap_or(copy), nonblocking, pending: Vec::new(), written: 0 })
    }

    /// Whether output waits to be written.
    pub fn is_behind(&self) -> bool {
        self.written < self.pending.len()
    }

    /// Takes more, and writes what it can.
    pub fn push(&mut self, bytes: &[u8]) -> rustix::io::Result<Left> {
        if !self.is_behind() {
            self.pending.clear();
            self.written = 0;
        }
        self.pending.extend_from_slice(bytes);
        if self.nonblocking { self.flush() } else { Ok(self.left()) }
    }

    /// Writes what waits, once poll(2) says that there is room.
    pub fn flush(&mut self) -> rustix::io::Result<Left> {
        while self.is_behind() {
            let rest = &self.pending[self.written..];
            let piece = if self.nonblocking { rest } else { &rest[..rest.len().min(PIECE)] };
            match rustix::io::write(&self.fd, piece) {
                Ok(0) => return Err(Errno::IO),
                Ok(written) => self.written += written,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(Left::Some),
                Err(error) => return Err(error),
            }
            if !self.nonblocking {
                break;
            }
        }
        Ok(self.left())
    }

    fn left(&self) -> Left {
        if self.is_behind() { Left::Some } else { Left::Nothing }
    }

    /// Moves at most `limit` bytes out of a pipe. `None`: the pipe has ended, or its terminal is gone.
    ///
    /// Pages go from pipe to pipe without a copy where both are pipes (splice(2)).
    pub fn fill_from(&mut self, pipe: BorrowedFd, limit: usize) -> rustix::io::Result<Option<usize>> {
        if self.nonblocking && !self.is_behind() {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            match rustix::pipe::splice(pipe, None, &self.fd, None, limit.min(16 * CHUNK), flags) {
                Ok(0) => return Ok(None),
                Ok(moved) => return Ok(Some(moved)),
                // Appended files and terminals can't be spliced to; AGAIN may also mean that the reader has no room.
                Err(Errno::INVAL | Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        let mut buffer = [0u8; CHUNK];
        match rustix::io::read(pipe, &mut buffer[..limit.min(CHUNK)]) {
            Ok(0) => Ok(None),
            Ok(got) => {
                self.push(&buffer[..got])?;
                Ok(Some(got))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Some(0)),
            // A terminal whose last user is gone.
            Err(Errno::IO) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// An output that can't be written. If its reader is gone, we end without a word, as any program in a pipe does.
pub fn unwritten(error: Errno) -> Error {
    if error == Errno::PIPE {
        return crate::report::broken_pipe();
    }
    Error::new(Kind::Invalid, "cannot write the container's output")
        .caused_by(rcr_base::errno_text(error.raw_os_error()))
        .hint("the container keeps running")
}
