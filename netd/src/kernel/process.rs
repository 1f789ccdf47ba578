//! Becoming a daemon: before any thread exists, one process becomes two, and the first ends when the second is ready.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{SigHandler, SigSet, Signal};
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, setsid};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Tells the waiting parent that the socket answers.
#[derive(Debug)]
pub struct Ready(Option<File>);

impl Ready {
    /// For a daemon in the foreground: nobody waits.
    pub fn nobody() -> Self {
        Self(None)
    }

    /// Lets the parent end well. Dropping it without makes the parent fail with `error` written before.
    pub fn say(self) {
        if let Some(mut pipe) = self.0 {
            // The parent may be gone; then nobody needs to know.
            let _ = pipe.write_all(b"R");
        }
    }

    /// Tells the parent why it failed; where nobody waits the text comes back.
    pub fn fail(self, text: &str) -> Option<String> {
        match self.0 {
            Some(mut pipe) => {
                drop(pipe.write_all(format!("E{text}").as_bytes()));
                None
            }
            None => Some(text.to_owned()),
        }
    }
}

/// Which of the two processes goes on.
pub enum Daemonized {
    /// The one that waited, with what went wrong, if something did.
    Parent(Option<String>),
    Child(Ready),
}

/// Forks. The parent waits for word from the child. Must be called before any thread exists.
pub fn daemonize() -> Result<Daemonized, Errno> {
    forget_the_caller()?;
    let (read, write) = pipe()?;
    // SAFETY: the process has one thread here, so the child may do whatever it likes.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => {
            drop(write);
            let mut said = Vec::new();
            let heard = File::from(read).read_to_end(&mut said);
            if heard.is_ok() && said == b"R" {
                return Ok(Daemonized::Parent(None));
            }
            let text = String::from_utf8_lossy(said.get(1..).unwrap_or_default()).into_owned();
            let silent = || "error: netd ended before it was ready\n".to_owned();
            Ok(Daemonized::Parent(Some(if text.is_empty() { silent() } else { text })))
        }
        ForkResult::Child => {
            drop(read);
            setsid()?;
            Ok(Daemonized::Child(Ready(Some(File::from(write)))))
        }
    }
}

/// Drops what came over from whoever needed a daemon: a foreground `rcr run` blocks the signals that it passes on, and with
/// SIGTERM blocked nothing would end us but SIGKILL; a descriptor that somebody left open would stay open as long as we run.
fn forget_the_caller() -> Result<(), Errno> {
    SigSet::empty().thread_set_mask()?;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: the default action has no handler that could be wrong.
        unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
    }
    // SAFETY: nothing in this process owns a descriptor above the standard three yet.
    Errno::result(unsafe { libc::close_range(3, libc::c_uint::MAX, 0) }).map(drop)
}

impl Ready {
    /// Cuts the ties to the terminal that netd was started from, and moves to `/`.
    pub fn detach(&self) -> std::io::Result<()> {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        std::env::set_current_dir("/")
    }
}

/// Locks the pid file and writes our number into it. Nothing if another netd has it.
pub fn lock_pid_file(path: &Path) -> std::io::Result<Option<Flock<File>>> {
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0)?;
            writeln!(lock, "{}", std::process::id())?;
            Ok(Some(lock))
        }
        Err((_, Errno::EAGAIN)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}
