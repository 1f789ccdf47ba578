//! Unix stream sockets: paths of any length, and connecting with a limit.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Calls `act` with a path to the socket `path` that fits `sun_path` (108 bytes, unix(7)), however deep the folder is:
/// by the descriptor of the folder.
pub fn with_short_path<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    const FITS: usize = 100;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return act(path) };
    if path.as_os_str().len() <= FITS {
        return act(path);
    }
    let folder = File::open(folder)?;
    act(&PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}

/// Connects. If the server's queue is full (it is busy, or stopped), this waits up to `limit`, then fails with
/// `WouldBlock`. Zero does not wait at all.
pub fn connect(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    with_short_path(path, |path| {
        let mut flags = SocketFlags::CLOEXEC;
        flags.set(SocketFlags::NONBLOCK, limit.is_zero());
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        if !limit.is_zero() {
            // The kernel waits for room in the queue as long as for sending (unix_stream_connect).
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(limit))?;
        }
        let address = SocketAddrUnix::new(path)?;
        loop {
            match rustix::net::connect(&socket, &address) {
                Err(Errno::INTR) => {}
                other => break other?,
            }
        }
        if limit.is_zero() {
            rustix::io::ioctl_fionbio(&socket, false)?;
        } else {
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, None)?;
        }
        Ok(socket.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    #[test]
    fn a_path_of_any_length_is_bound_and_connected_to() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(200));
        std::fs::create_dir(&deep).unwrap();
        for path in [dir.path().join("s"), deep.join("s")] {
            let listener = with_short_path(&path, |path| UnixListener::bind(path)).unwrap();
            let mut client = connect(&path, Duration::from_secs(1)).unwrap();
            client.write_all(b"x").unwrap();
            let mut got = [0];
            listener.accept().unwrap().0.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"x");
        }
    }

    #[test]
    fn a_full_queue_ends_the_wait() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = UnixListener::bind(&path).unwrap();
        let mut waiting = Vec::new();
        let error = loop {
            match connect(&path, Duration::ZERO) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 1 << 16);
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let (begin, limit) = (Instant::now(), Duration::from_millis(100));
        assert_eq!(connect(&path, limit).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(begin.elapsed() >= limit);
        assert_eq!(connect(&dir.path().join("none"), limit).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
