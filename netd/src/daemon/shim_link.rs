//! The shim's socket, as netd uses it: it hands over the container's namespace, and says whether the container is
//! healthy.

use crate::kernel::receive_fd;
use netd_api::{ApiError, ContainerId, ErrorKind};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

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
pub const LISTENS: u8 = b'l';

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
