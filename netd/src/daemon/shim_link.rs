//! The shim's socket, as netd uses it: it hands over the container's namespace, says whether the container is healthy,
//! ends with it, and lends its waiting: it accepts who asks for names by TCP, and passes the connection on.

use super::host::Host;
use super::input::Input;
use super::records::Sandbox;
use crate::kernel::{receive_fd, send_fd};
use netd_api::{ApiError, ContainerId, ErrorKind};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use tokio::io::Interest;

/// How long a shim may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A shim's connection, with the namespace that it keeps.
pub struct ShimLink {
    pub stream: UnixStream,
    /// Absent where the container has none of its own.
    pub netns: Option<OwnedFd>,
    /// Whether its container is healthy. A shim of an older rcr does not say.
    pub healthy: bool,
    /// Whether it takes the resolver's listening socket. A shim of an older rcr does not.
    pub listens: bool,
}

/// What a shim says behind the first two bytes if it listens, and what netd says beside the socket.
const LISTENS: u8 = b'l';

/// Whether these bytes of a shim's say that its container is healthy: the last one counts. Nothing: they don't say.
pub fn health_in(bytes: &[u8]) -> Option<bool> {
    bytes.iter().rev().find_map(|byte| match byte {
        b'+' => Some(true),
        b'-' => Some(false),
        _ => None,
    })
}

/// Connects to a shim and asks for its namespace.
pub fn reach_shim(id: &ContainerId, socket: &Path) -> Result<ShimLink, ApiError> {
    let talk = || -> io::Result<ShimLink> {
        let mut stream = rcr_base::connect(socket, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"netns\n")?;
        let mut word = [0u8; 3];
        let (got, netns) = receive_fd(&stream, &mut word)?;
        stream.set_read_timeout(None)?;
        let word = &word[..got];
        let (healthy, listens) = (health_in(word).unwrap_or(false), word.contains(&LISTENS));
        Ok(ShimLink { stream, netns, healthy, listens })
    };
    talk().map_err(|error| {
        let what = format!("cannot reach the shim of container `{}` at `{}`", id.short(), socket.display());
        ApiError::new(ErrorKind::NotFound, what).caused_by(error.to_string())
    })
}

impl Host {
    /// Waits for a shim's end in the background, lends it the resolver's listening socket, and takes from it what comes
    /// by that.
    pub(super) fn follow(&self, sandbox: &mut Sandbox, shim: ShimLink) {
        let (id, generation, inbox) = (sandbox.record.id.clone(), sandbox.generation, self.sender.clone());
        let ShimLink { stream, listens, .. } = shim;
        let door = sandbox.service.as_mut().filter(|_| listens).and_then(|service| {
            // What can't be lent stays here.
            service.lend(|socket| send_fd(&stream, &[LISTENS], socket)).ok()?;
            Some(service.door())
        });
        let _inside = self.runtime.enter();
        let stream = stream.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(stream));
        let Ok(stream) = stream else { return };
        self.runtime.spawn(async move {
            loop {
                let mut buffer = [0u8; 64];
                let got = match stream.readable().await {
                    Ok(()) => stream.try_io(Interest::READABLE, || receive_fd(&stream, &mut buffer)),
                    Err(error) => Err(error),
                };
                match got {
                    Ok((got, connection)) => {
                        if let (Some(door), Some(connection)) = (&door, connection) {
                            door.let_in(connection);
                        }
                        if let Some(healthy) = health_in(&buffer[..got]) {
                            let _ = inbox.send(Input::Health(id.clone(), generation, healthy));
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
            // The writer may be gone with netd.
            let _ = inbox.send(Input::ShimGone(id, generation));
        });
    }
}
