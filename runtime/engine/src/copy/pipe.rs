//! A stream from one thread to another.

use rcr_base::{Doing, Error, Kind, Outcome};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

/// One side writes a stream in a thread of its own, the other reads it here. If both fail, the one that failed first
/// says why. `undo` takes back what was made of a stream that did not come to its end.
pub fn join<A: Send, B>(
    writing: impl FnOnce(&mut dyn Write) -> Outcome<A> + Send,
    reading: impl FnOnce(OwnedFd) -> Outcome<B>,
    undo: impl FnOnce(B),
) -> Outcome<(A, B)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).doing(|| "cannot create a pipe")?;
    let (written, got) = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let mut pipe = Pipe { file: write.into(), closed: false };
            let written = writing(&mut pipe);
            (written, pipe.closed)
        });
        let got = reading(read);
        (thread.join(), got)
    });
    let dead = |_| (Err(Error::new(Kind::System, "the copying thread ended without an answer")), false);
    match (written.unwrap_or_else(dead), got) {
        ((Ok(written), _), Ok(got)) => Ok((written, got)),
        ((Ok(_), _) | (Err(_), true), Err(failure)) => Err(failure),
        ((Err(failure), _), Ok(got)) => {
            undo(got);
            Err(failure)
        }
        ((Err(failure), false), Err(_)) => Err(failure),
    }
}

/// The writing end; it knows whether anybody reads.
struct Pipe {
    file: File,
    closed: bool,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        self.closed |= written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
