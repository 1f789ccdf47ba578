//! What the loop waits for, by one poll(2).

use super::super::check::Checks;
use super::super::client::Client;
use super::super::log::Stream;
use super::{MAX_INPUT, Shim};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::Instant;

impl Shim {
    pub(super) fn wait(&self) -> Ready {
        let mut what = vec![Source::Signal, Source::Listener];
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        for (index, client) in self.clients.iter().enumerate() {
            // While the container does not read its stdin, its clients' input waits.
            let mut flags = if self.input.len() > MAX_INPUT { PollFlags::empty() } else { PollFlags::IN };
            flags.set(PollFlags::OUT, client.wants_to_write());
            what.push(Source::Client(index));
            fds.push(PollFd::from_borrowed_fd(client.fd(), flags));
            if let Some(lent) = client.lent() {
                what.push(Source::Lent(index));
                fds.push(PollFd::from_borrowed_fd(lent, PollFlags::IN));
            }
        }
        if let Some(starter) = &self.starter {
            what.push(Source::Starter);
            fds.push(PollFd::new(starter, PollFlags::IN));
        }
        // The client that starts and attaches must get all output: the end waits for its word, too.
        if let (Some(running), None) = (&self.running, &self.starter) {
            what.push(Source::Exit);
            fds.push(PollFd::new(&running.pidfd, PollFlags::IN));
            if !self.clients.iter().any(Client::is_behind) {
                for stream in [Stream::Stdout, Stream::Stderr] {
                    if let Some(output) = running.output(stream) {
                        what.push(Source::Output(stream));
                        fds.push(PollFd::from_borrowed_fd(output, PollFlags::IN));
                    }
                }
            }
            if let (Some(stdin), false) = (running.input(), self.input.is_empty()) {
                what.push(Source::Stdin);
                fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::OUT));
            }
        }
        if let Some((control, output)) = self.checks.as_ref().and_then(Checks::descriptors) {
            what.push(Source::Check);
            fds.push(PollFd::from_borrowed_fd(control, PollFlags::IN));
            if let Some(output) = output {
                what.push(Source::CheckOutput);
                fds.push(PollFd::from_borrowed_fd(output, PollFlags::IN));
            }
        }
        let timeout = self.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: t.subsec_nanos().into() });
        let _ = poll(&mut fds, timeout.as_ref());
        let mut ready = Ready::default();
        for (source, fd) in what.into_iter().zip(&fds) {
            if !fd.revents().is_empty() {
                ready.add(source);
            }
        }
        ready
    }

    fn next_deadline(&self) -> Option<Instant> {
        [self.restart_at, self.kill_at, self.tidy_at, self.checks.as_ref().and_then(Checks::deadline)]
            .into_iter()
            .flatten()
            .min()
    }
}

/// What poll(2) watches.
enum Source {
    Signal,
    Starter,
    Listener,
    Client(usize),
    Lent(usize),
    Exit,
    Output(Stream),
    Stdin,
    Check,
    CheckOutput,
}

/// What poll(2) found.
#[derive(Default)]
pub(super) struct Ready {
    pub signal: bool,
    pub starter: bool,
    pub listener: bool,
    pub exited: bool,
    pub stdin: bool,
    pub check: bool,
    pub check_output: bool,
    pub clients: Vec<usize>,
    pub lent: Vec<usize>,
    pub outputs: Vec<Stream>,
}

impl Ready {
    fn add(&mut self, source: Source) {
        match source {
            Source::Signal => self.signal = true,
            Source::Starter => self.starter = true,
            Source::Listener => self.listener = true,
            Source::Exit => self.exited = true,
            Source::Stdin => self.stdin = true,
            Source::Check => self.check = true,
            Source::CheckOutput => self.check_output = true,
            Source::Client(index) => self.clients.push(index),
            Source::Lent(index) => self.lent.push(index),
            Source::Output(stream) => self.outputs.push(stream),
        }
    }
}
