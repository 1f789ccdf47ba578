//! What is spoken on `shim.sock`.
//!
//! A client sends one line: the word `netns`, or a [`Request`] as JSON. `netns` is answered by one byte with the netns
//! descriptor beside it, or alone where that is the host's; the connection then stays open until the container is gone.
//! Behind that byte follow [`HEALTHY`] or [`NOT_HEALTHY`], which comes again whenever it changes, and [`LISTENS`]: the
//! client may send that byte back with a listening socket beside it. The shim accepts there, and passes each connection
//! on beside the same byte: netd has one descriptor less for each container so.
//! `attach` turns the connection into frames: a kind (one byte), a little-endian `u32` length, the payload.

use crate::config::{RemovePaths, RestartPolicy};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The socket's name in the container's run folder.
pub const SOCKET_NAME: &str = "shim.sock";

/// The longest request line, and the longest frame from a client, in bytes.
pub const MAX_LINE: usize = 4096;
/// The limit, in bytes.
pub const MAX_FRAME: usize = 1 << 16;

/// A client's request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Output from now on, and with `stdin` input the other way.
    Attach {
        /// Whether it sends input.
        stdin: bool,
    },
    /// Sends a signal to init. → `ok`.
    Kill {
        /// The signal's number.
        signal: i32,
    },
    /// Asks init to end, with SIGKILL after the timeout, and ends the restart policy. → `exit`.
    Stop {
        /// The signal's number.
        signal: i32,
        /// Seconds until SIGKILL; -1: never.
        timeout: i64,
        /// What is removed with its end, as with `--rm`.
        #[serde(default)]
        remove: Option<RemovePaths>,
    },
    /// → `exit` when the container has ended for good.
    Wait,
    /// Freezes all processes until `Unpause`. → `ok`.
    Pause,
    /// Lets them go on. → `ok`.
    Unpause,
    /// What changes while it runs. → `ok`.
    Update {
        /// What happens when it ends.
        restart: RestartPolicy,
    },
    /// It is called something else from now on. → `ok`.
    Rename {
        /// Its new name.
        name: String,
    },
    /// It is about to be started again: nothing is removed at its end, `--rm` or not. → `ok`.
    Forget,
}

/// A line from the shim to a client that asked for something else than `attach`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Done.
    Ok,
    /// The container has ended with this exit code.
    Exit(i32),
    /// Refused, and why.
    Error(String),
}

/// Frame kinds. From the shim: `STDOUT`, `STDERR`, `TIMINGS` (moments as JSON), `EXIT` (an `i32`). From the client:
/// `STDIN`, `CLOSE_STDIN`, `RESIZE` (rows and columns as `u16`), `SIGNAL` (an `i32`). All little-endian.
pub mod kind {
    /// Input for the container.
    pub const STDIN: u8 = 0;
    /// Output of the container, or of its terminal.
    pub const STDOUT: u8 = 1;
    /// Error output of the container.
    pub const STDERR: u8 = 2;
    /// The end: the exit code.
    pub const EXIT: u8 = 3;
    /// The client's input has ended.
    pub const CLOSE_STDIN: u8 = 4;
    /// The terminal's new size.
    pub const RESIZE: u8 = 5;
    /// A signal for init.
    pub const SIGNAL: u8 = 6;
    /// When what happened at the end, if the starter has asked.
    pub const TIMINGS: u8 = 7;
}

/// Appends one frame to `out`.
pub fn push_frame(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Takes the first whole frame off `buffer`. `Err`: it is longer than [`MAX_FRAME`].
pub fn take_frame(buffer: &mut Vec<u8>) -> Result<Option<(u8, Vec<u8>)>, usize> {
    let Some((head, rest)) = buffer.split_at_checked(5) else { return Ok(None) };
    let len = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if len > MAX_FRAME {
        return Err(len);
    }
    if rest.len() < len {
        return Ok(None);
    }
    let frame = (head[0], rest[..len].to_vec());
    buffer.drain(..5 + len);
    Ok(Some(frame))
}

/// On the connection that keeps the network namespace: the container is healthy now.
pub const HEALTHY: u8 = b'+';
/// It is not, or not yet; one without a check never is.
pub const NOT_HEALTHY: u8 = b'-';
/// Beside a socket that is lent, and beside a connection that came by it.
pub const LISTENS: u8 = b'l';

/// How long a shim may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects to a shim. One that is stopped, with a queue that is full, is given up on.
pub fn connect(socket: &Path) -> io::Result<UnixStream> {
    rcr_base::connect(socket, PATIENCE)
}

/// Asks a shim for its container's network namespace. `None`: the container runs in the host's.
pub fn ask_netns(socket: &Path) -> io::Result<Option<OwnedFd>> {
    let mut stream = connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"netns\n")?;
    let mut answer = [0; 1];
    match crate::passing::recv_fd(stream.as_fd(), &mut answer) {
        Ok((0, _)) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok((_, netns)) => Ok(netns),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let mut wire = Vec::new();
        push_frame(&mut wire, kind::STDOUT, b"hello");
        push_frame(&mut wire, kind::EXIT, &7i32.to_le_bytes());
        for cut in 0..wire.len() {
            let (mut buffer, mut got) = (Vec::new(), Vec::new());
            for part in [&wire[..cut], &wire[cut..]] {
                buffer.extend_from_slice(part);
                while let Some(frame) = take_frame(&mut buffer).unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got, [(kind::STDOUT, b"hello".to_vec()), (kind::EXIT, vec![7, 0, 0, 0])]);
        }
        let mut long = vec![0, 0xff, 0xff, 0xff, 0xff];
        assert!(take_frame(&mut long).is_err());
    }
}
