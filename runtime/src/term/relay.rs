//! Connects our terminal or pipes to a container: frames to and from the shim, one poll(2).

use super::signal::{Insistence, Signals};
use super::sink::{Sink, unwritten};
use super::terminal::{self, DetachKeys, RawMode};
use rcr_base::{Doing, Error, Kind, Outcome, timings};
use rcr_engine::monitor::Attached;
use rcr_engine::monitor::protocol::{self, kind, push_frame};
use rcr_engine::parse::keys::Keys;
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// What to relay, and how.
pub struct Relayed {
    /// The container's end.
    pub container: Attached,
    pub signals: Signals,
    pub detach_keys: Keys,
    /// Whether signals are forwarded to the container. With a terminal they never are: its keys are, and ending us or
    /// closing the window leaves the container alone.
    pub sig_proxy: bool,
    /// Which of stdout and stderr are shown.
    pub shown: [bool; 2],
}

/// How it ended.
pub enum End {
    Exited(i32),
    /// By the detach keys; the container keeps running.
    Detached,
}

impl End {
    pub fn code(&self) -> i32 {
        match self {
            End::Exited(code) => *code,
            End::Detached => 0,
        }
    }
}

/// Relays until the container ends, or the user detaches.
pub fn relay(what: Relayed) -> Outcome<End> {
    let Attached { stream, stdin, terminal } = what.container;
    let _raw = if terminal && stdin { RawMode::enter()? } else { None };
    let sink = |fd| Sink::new(fd).doing(|| "cannot use the standard streams");
    let mut relay = Relay {
        keys: DetachKeys::new(if terminal { what.detach_keys } else { Keys::default() }),
        stream,
        signals: what.signals,
        stdin: stdin.then(|| io::stdin().as_fd().try_clone_to_owned()).transpose().doing(|| "cannot read the input")?,
        terminal,
        sig_proxy: what.sig_proxy && !terminal,
        shown: what.shown,
        received: Vec::new(),
        outgoing: Vec::new(),
        sinks: [sink(rustix::stdio::stdout())?, sink(rustix::stdio::stderr())?],
        insistence: Insistence::default(),
        code: None,
    };
    relay.stream.set_nonblocking(true).doing(|| "cannot talk to the container's shim")?;
    relay.send_size()?;
    relay.run()
}

struct Relay {
    stream: UnixStream,
    signals: Signals,
    /// Until its end.
    stdin: Option<OwnedFd>,
    terminal: bool,
    sig_proxy: bool,
    shown: [bool; 2],
    keys: DetachKeys,
    received: Vec<u8>,
    /// Frames that the shim has not taken yet: until it has, we read no more input, but still output.
    outgoing: Vec<u8>,
    /// Our stdout and stderr. While one has no room, we take no more from the shim.
    sinks: [Sink; 2],
    insistence: Insistence,
    /// The exit code, which waits until the output before it is written.
    code: Option<i32>,
}

impl Relay {
    fn run(&mut self) -> Outcome<End> {
        loop {
            if let Some(code) = self.code.filter(|_| !self.is_behind()) {
                return Ok(End::Exited(code));
            }
            let ready = self.wait();
            for sink in &mut self.sinks {
                sink.flush().map_err(unwritten)?;
            }
            if ready.signals {
                self.on_signals()?;
            }
            if ready.stdin && self.on_stdin()? {
                return Ok(End::Detached);
            }
            if ready.shim {
                self.on_shim()?;
            }
        }
    }

    fn is_behind(&self) -> bool {
        self.sinks.iter().any(Sink::is_behind)
    }

    fn wait(&self) -> Ready {
        let mut flags = if self.is_behind() || self.code.is_some() { PollFlags::empty() } else { PollFlags::IN };
        flags.set(PollFlags::OUT, !self.outgoing.is_empty());
        // poll(2) reports a shim that is gone even when we did not ask: look only at what we asked for.
        let shim = if flags.is_empty() { None } else { Some(PollFd::new(&self.stream, flags)) };
        let mut fds = vec![PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
        let (has_shim, has_stdin) = (shim.is_some(), self.stdin.is_some() && self.outgoing.is_empty());
        fds.extend(shim);
        if let Some(stdin) = self.stdin.as_ref().filter(|_| has_stdin) {
            fds.push(PollFd::new(stdin, PollFlags::IN));
        }
        for sink in self.sinks.iter().filter(|sink| sink.is_behind()) {
            fds.push(PollFd::from_borrowed_fd(sink.as_fd(), PollFlags::OUT));
        }
        let _ = poll(&mut fds, None);
        let ready = |i: usize| fds.get(i).is_some_and(|fd: &PollFd| !fd.revents().is_empty());
        Ready { signals: ready(0), shim: has_shim && ready(1), stdin: has_stdin && ready(1 + usize::from(has_shim)) }
    }

    fn send(&mut self, kind: u8, payload: &[u8]) -> Outcome<()> {
        push_frame(&mut self.outgoing, kind, payload);
        self.flush()
    }

    fn flush(&mut self) -> Outcome<()> {
        while !self.outgoing.is_empty() {
            match (&self.stream).write(&self.outgoing) {
                Ok(sent) => drop(self.outgoing.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The container has just ended: its last words are still to be read.
                Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                    self.outgoing.clear();
                }
                Err(error) => return Err(error).doing(|| "cannot talk to the container's shim"),
            }
        }
        Ok(())
    }

    fn send_size(&mut self) -> Outcome<()> {
        if !self.terminal {
            return Ok(());
        }
        match terminal::size() {
            Some((rows, columns)) => {
                let ([r0, r1], [c0, c1]) = (rows.to_le_bytes(), columns.to_le_bytes());
                self.send(kind::RESIZE, &[r0, r1, c0, c1])
            }
            None => Ok(()),
        }
    }

    fn on_signals(&mut self) -> Outcome<()> {
        while let Some(signal) = self.signals.next() {
            if signal == libc::SIGWINCH {
                self.send_size()?;
            } else if self.sig_proxy {
                self.send(kind::SIGNAL, &signal.to_le_bytes())?;
                self.insistence.check(signal)?;
            } else if super::signal::ENDING.contains(&signal) {
                return Err(super::signal::interrupted(signal));
            }
            if signal == libc::SIGHUP && terminal::is_hung_up() {
                return Err(super::signal::interrupted(signal));
            }
        }
        Ok(())
    }

    /// True: the user detached.
    fn on_stdin(&mut self) -> Outcome<bool> {
        let Some(stdin) = &self.stdin else { return Ok(false) };
        let mut buffer = [0u8; 16 * 1024];
        match rustix::io::read(stdin, &mut buffer) {
            Ok(0) => {
                self.stdin = None;
                self.send(kind::CLOSE_STDIN, &[])?;
            }
            Ok(got) => {
                let (bytes, detached) = self.keys.filter(&buffer[..got]);
                if !bytes.is_empty() {
                    self.send(kind::STDIN, &bytes)?;
                }
                return Ok(detached);
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            // A terminal that is gone, or a stdin that was closed: there is no more input.
            Err(_) => {
                self.stdin = None;
                self.send(kind::CLOSE_STDIN, &[])?;
            }
        }
        Ok(false)
    }

    fn on_shim(&mut self) -> Outcome<()> {
        self.flush()?;
        if self.is_behind() || self.code.is_some() {
            return Ok(());
        }
        let mut buffer = [0u8; 64 * 1024];
        let got = match self.stream.read(&mut buffer) {
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                return Ok(());
            }
            other => other.doing(|| "cannot read from the container's shim")?,
        };
        if got == 0 {
            return Err(Error::new(Kind::Invalid, "the container's shim is gone")
                .hint("`rcr ps -a` shows what became of the container"));
        }
        self.received.extend_from_slice(&buffer[..got]);
        while let Some((frame, payload)) = protocol::take_frame(&mut self.received).map_err(|len| {
            Error::new(Kind::Invalid, "the container's shim sent a malformed frame")
                .caused_by(format!("a frame of {len} bytes"))
        })? {
            let taken = match (frame, payload.as_slice()) {
                (kind::STDOUT, bytes) if self.shown[0] => self.sinks[0].push(bytes).map(drop),
                (kind::STDERR, bytes) if self.shown[1] => self.sinks[1].push(bytes).map(drop),
                (kind::TIMINGS, moments) => {
                    timings::add(serde_json::from_slice(moments).unwrap_or_default());
                    Ok(())
                }
                (kind::EXIT, &[a, b, c, d]) => {
                    self.code = Some(i32::from_le_bytes([a, b, c, d]));
                    return Ok(());
                }
                _ => Ok(()),
            };
            taken.map_err(unwritten)?;
        }
        Ok(())
    }
}

/// What poll(2) found.
struct Ready {
    signals: bool,
    shim: bool,
    stdin: bool,
}
