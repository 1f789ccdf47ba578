//! Signals that rcr forwards while it is attached: read from a descriptor, so that no handler runs.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rcr_base::{Doing, Error, Kind, Outcome};
use std::os::fd::{AsFd, BorrowedFd};

/// What is forwarded; SIGWINCH becomes the terminal's new size.
const WATCHED: [Signal; 9] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
    Signal::SIGALRM,
    Signal::SIGWINCH,
];

/// Blocked signals, waiting to be read.
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks them from now on.
    pub fn block() -> Outcome<Self> {
        let set: SigSet = WATCHED.into_iter().collect();
        set.thread_block().doing(|| "cannot block signals")?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        fd.map(Self).doing(|| "cannot listen for signals")
    }

    /// The next one that has come.
    pub fn next(&self) -> Option<i32> {
        self.0.read_signal().ok().flatten().map(|info| info.ssi_signo as i32)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Signals that end a program that does not forward them.
pub const ENDING: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// A signal ended us, not the container.
pub fn interrupted(signal: i32) -> Error {
    Error::new(Kind::Interrupted(signal), "interrupted").hint("the container keeps running")
}

/// For a user who wants to leave a container that does not end: the third such signal ends us.
#[derive(Default)]
pub struct Insistence {
    asked: u32,
}

impl Insistence {
    const ENOUGH: u32 = 3;

    /// Counts one forwarded signal.
    pub fn check(&mut self, signal: i32) -> Outcome<()> {
        if [libc::SIGINT, libc::SIGTERM].contains(&signal) {
            self.asked += 1;
        }
        if self.asked < Self::ENOUGH {
            return Ok(());
        }
        Err(Error::new(Kind::Interrupted(signal), "interrupted")
            .caused_by(format!("{} signals were forwarded, and the program did not end", Self::ENOUGH))
            .hint("the container keeps running; `rcr kill` or `rcr rm -f` ends it"))
    }
}
