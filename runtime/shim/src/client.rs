//! One connection to `shim.sock`.

use super::protocol::{self, MAX_LINE, Request, Response, push_frame, take_frame};
use nix::errno::Errno;
use rcr_base::timings::Moment;
use rustix::io::Errno as Unfit;
use rustix::net::{SocketFlags, accept_with};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// While this many bytes wait for a client that does not read, the container's output is not read either.
const HIGH_WATER: usize = 1 << 18;

/// A pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(10);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Its first line is not here yet.
    New,
    /// netd, or another program that keeps the network namespace.
    Netns,
    /// Streams output, and input if it asked for it.
    Attached {
        /// Whether its input is the container's.
        stdin: bool,
    },
    /// Waits for the end.
    Waiting,
    /// Has its answer; closed when all of it is sent.
    Done,
}

/// What a client asks for.
#[derive(Debug)]
pub enum Event {
    /// A request.
    Request(Request),
    /// The word `netns`.
    Netns,
    /// A frame of an attached client: its kind and its payload.
    Frame(u8, Vec<u8>),
    /// Something that can't be understood, and why.
    Malformed(String),
    /// The client has gone.
    Closed,
}

/// One client.
pub struct Client {
    stream: UnixStream,
    /// What it is for.
    pub role: Role,
    /// The other side has closed, or can't be written to.
    pub gone: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    /// A socket of this client's, whose connections are accepted here and passed on to it.
    lent: Option<OwnedFd>,
}

impl Client {
    /// Takes over a connection and makes it non-blocking.
    pub fn new(stream: UnixStream, role: Role) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, role, gone: false, input: Vec::new(), output: Vec::new(), lent: None })
    }

    /// For poll(2).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Whether something is queued for it.
    pub fn wants_to_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Whether so much output is queued for it that the container must wait, too.
    pub fn is_behind(&self) -> bool {
        self.output.len() > HIGH_WATER
    }

    /// Whether it can be dropped.
    pub fn is_finished(&self) -> bool {
        self.gone || (self.role == Role::Done && self.output.is_empty())
    }

    /// Reads what has arrived and returns the requests in it.
    pub fn read(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut buffer = [0u8; 16 * 1024];
        match crate::passing::recv_fd(self.stream.as_fd(), &mut buffer) {
            Ok((0, _)) => events.push(Event::Closed),
            // netd says nothing but this.
            Ok((got, lent)) if self.role == Role::Netns => {
                let lent = lent.filter(|_| buffer[..got].contains(&protocol::LISTENS));
                self.lent = lent.or_else(|| self.lent.take());
            }
            Ok((got, _)) => {
                self.input.extend_from_slice(&buffer[..got]);
                self.parse(&mut events);
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => events.push(Event::Closed),
        }
        events
    }

    /// The socket that it has lent.
    pub fn lent(&self) -> Option<BorrowedFd<'_>> {
        self.lent.as_ref().map(AsFd::as_fd)
    }

    /// Accepts what waits at the lent socket and passes it on. What does not get through is closed, as by a program that
    /// has no room for it.
    pub fn pass_on(&mut self) {
        let Some(lent) = &self.lent else { return };
        match accept_with(lent, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(connection) => {
                let _ = crate::passing::send_fd(self.stream.as_fd(), &[protocol::LISTENS], connection.as_fd());
            }
            // It went again.
            Err(Unfit::AGAIN | Unfit::INTR | Unfit::CONNABORTED) => {}
            // Nothing that listens.
            Err(Unfit::INVAL | Unfit::NOTSOCK | Unfit::OPNOTSUPP) => self.lent = None,
            // Out of descriptors, say: it is reported again.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }

    fn parse(&mut self, events: &mut Vec<Event>) {
        if self.role == Role::New {
            let Some(end) = self.input.iter().position(|b| *b == b'\n') else {
                if self.input.len() > MAX_LINE {
                    events.push(Event::Malformed("the request is too long".into()));
                }
                return;
            };
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let event = match line.trim_ascii() {
                b"netns" => Event::Netns,
                json => match serde_json::from_slice::<Request>(json) {
                    Ok(request) => Event::Request(request),
                    Err(error) => Event::Malformed(error.to_string()),
                },
            };
            if let Event::Request(Request::Attach { stdin }) = &event {
                self.role = Role::Attached { stdin: *stdin };
            }
            events.push(event);
        }
        while let Role::Attached { .. } = self.role {
            match take_frame(&mut self.input) {
                Ok(Some((kind, payload))) => events.push(Event::Frame(kind, payload)),
                Ok(None) => break,
                Err(len) => {
                    events.push(Event::Malformed(format!("a frame of {len} bytes is too long")));
                    break;
                }
            }
        }
    }

    /// Queues output of the container.
    pub fn push_output(&mut self, kind: u8, bytes: &[u8]) {
        push_frame(&mut self.output, kind, bytes);
    }

    /// Queues moments, for who takes frames.
    pub fn push_timings(&mut self, moments: &[Moment]) {
        if let (Role::Attached { .. }, false) = (&self.role, moments.is_empty()) {
            push_frame(&mut self.output, protocol::kind::TIMINGS, &serde_json::to_vec(moments).unwrap_or_default());
        }
    }

    /// Queues the exit code: as a frame or as a line, as this client speaks.
    pub fn push_exit(&mut self, code: i32) {
        match self.role {
            Role::Attached { .. } => push_frame(&mut self.output, protocol::kind::EXIT, &code.to_le_bytes()),
            _ => self.push_response(&Response::Exit(code)),
        }
        self.role = Role::Done;
    }

    /// Queues an answer and ends the conversation once it is sent.
    pub fn answer(&mut self, response: &Response) {
        self.push_response(response);
        self.role = Role::Done;
    }

    fn push_response(&mut self, response: &Response) {
        if let Ok(mut line) = serde_json::to_vec(response) {
            line.push(b'\n');
            self.output.append(&mut line);
        }
    }

    /// Sends the network namespace; without a descriptor the container runs in the host's. The byte behind the first
    /// says whether the container is healthy, and another one follows whenever that changes; the third says that a
    /// socket may be lent. The connection stays open until the container ends.
    pub fn answer_netns(&mut self, netns: Option<&OwnedFd>, healthy: bool) {
        self.role = Role::Netns;
        let word = [if netns.is_some() { b'n' } else { b'h' }, health_byte(healthy), protocol::LISTENS];
        match netns {
            Some(netns) => self.gone |= crate::passing::send_fd(self.stream.as_fd(), &word, netns.as_fd()).is_err(),
            None => self.output.extend(word),
        }
    }

    /// Tells who keeps the network namespace that the container's health is another one now.
    pub fn push_health(&mut self, healthy: bool) {
        if self.role == Role::Netns {
            self.output.push(health_byte(healthy));
            self.flush();
        }
    }

    /// Sends what is queued, as much as the client takes.
    pub fn flush(&mut self) {
        while !self.gone && !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(sent) if sent > 0 => drop(self.output.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.gone = true,
            }
        }
    }
}

fn health_byte(healthy: bool) -> u8 {
    if healthy { protocol::HEALTHY } else { protocol::NOT_HEALTHY }
}
