//! The socket that a scrape comes by. A thread accepts, each connection has one of its own for one request; there are
//! few, and each has little time. Nothing here knows what the numbers are.

use super::request::{self, Asked, MOST};
use super::text::Form;
use crate::errors::why;
use crate::log::Log;
use rcr_base::{MetricsAddress, readers};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections at a time; one more is closed at once. A Prometheus has one.
const CONNECTIONS: usize = 8;
/// How long a request may take to come, and an answer to be read.
const COMING: Duration = Duration::from_secs(2);
const GOING: Duration = Duration::from_secs(10);
/// How long until an address that somebody else has is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// A pause when there are no descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves from now on, until netd ends. An address that somebody else has stops nothing: the log says so, and it is
/// tried again.
pub fn serve(address: MetricsAddress, log: Log, numbers: impl Fn(Form) -> String + Send + Sync + 'static) {
    let shown = address.to_string();
    let (line, numbers) = (log.clone(), Arc::new(numbers));
    let work = move || {
        let mut said = false;
        let listener = loop {
            match Listener::bind(&address) {
                Ok(listener) => break listener,
                Err(error) if !said => log.line(format!("no metrics at `{address}` yet: {}", why(&error))),
                Err(_) => {}
            }
            said = true;
            std::thread::sleep(AGAIN);
        };
        if said {
            log.line(format!("metrics at `{address}`"));
        }
        accept_forever(&listener, &numbers);
    };
    if let Err(error) = std::thread::Builder::new().name("metrics".into()).stack_size(128 << 10).spawn(work) {
        line.line(format!("no metrics at `{shown}`: {}", why(&error)));
    }
}

/// Removes the socket's file, if it has one.
pub fn unbind(address: &MetricsAddress) {
    if let MetricsAddress::Unix(path) = address {
        let _ = std::fs::remove_file(path);
    }
}

fn accept_forever<F: Fn(Form) -> String + Send + Sync + 'static>(listener: &Listener, numbers: &Arc<F>) {
    let places = Arc::new(());
    loop {
        let Ok(mut stream) = listener.accept() else {
            std::thread::sleep(PAUSE);
            continue;
        };
        // One count is ours.
        if Arc::strong_count(&places) > CONNECTIONS {
            continue;
        }
        let (place, numbers) = (places.clone(), numbers.clone());
        // Without a thread the connection is closed, as one too many is.
        let _ = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
            // Who breaks off a scrape knows it.
            let _ = answer(&mut *stream, &*numbers);
            drop(place);
        });
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn bind(address: &MetricsAddress) -> io::Result<Self> {
        match address {
            MetricsAddress::Tcp(address) => TcpListener::bind(address).map(Self::Tcp),
            MetricsAddress::Unix(path) => bind_unix(path).map(Self::Unix),
        }
    }

    fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept()?.0),
            Self::Unix(listener) => Box::new(listener.accept()?.0),
        })
    }
}

/// A socket that nobody serves any more is replaced; what is no socket is not ours.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let stale = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if stale {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // For root, and for the members of the group that may list.
    let group = readers();
    std::fs::set_permissions(path, PermissionsExt::from_mode(if group.is_some() { 0o660 } else { 0o600 }))?;
    std::os::unix::fs::chown(path, None, group)?;
    Ok(listener)
}

/// A connection with limits on its waits.
trait Stream: Read + Write + Send {
    fn read_within(&self, limit: Duration) -> io::Result<()>;
    fn write_within(&self, limit: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn read_within(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))
    }

    fn write_within(&self, limit: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(limit))
    }
}

impl Stream for UnixStream {
    fn read_within(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))
    }

    fn write_within(&self, limit: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(limit))
    }
}

/// One request, one answer.
fn answer<S: Stream + ?Sized>(stream: &mut S, numbers: &impl Fn(Form) -> String) -> io::Result<()> {
    const PLAIN: &str = "text/plain; charset=utf-8";
    let said = |text: &str| format!("{text}\n");
    let (status, kind, body, head) = match head_of(stream)?.as_deref().map(request::read) {
        None => ("431 Request Header Fields Too Large", PLAIN, said("a request has 8192 bytes at most"), false),
        Some(Asked::Bad) => ("400 Bad Request", PLAIN, said("this is not HTTP/1.1"), false),
        Some(Asked::NotAllowed) => {
            ("405 Method Not Allowed\r\nAllow: GET, HEAD", PLAIN, said("there is only GET"), false)
        }
        Some(Asked::NotFound) => ("404 Not Found", PLAIN, said("the metrics are at /metrics"), false),
        Some(Asked::Numbers { form, head }) => ("200 OK", form.content_type(), numbers(form), head),
    };
    let length = body.len();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    if !head {
        bytes.push_str(&body);
    }
    send(stream, bytes.as_bytes())
}

/// The request's line and headers; nothing: they are too long.
fn head_of<S: Stream + ?Sized>(stream: &mut S) -> io::Result<Option<Vec<u8>>> {
    let until = Instant::now() + COMING;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 2048]);
    loop {
        if let Some(end) = request::end(&bytes) {
            bytes.truncate(end);
            return Ok(Some(bytes));
        }
        if bytes.len() > MOST {
            return Ok(None);
        }
        stream.read_within(left(until)?)?;
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            got => bytes.extend_from_slice(&buffer[..got]),
        }
    }
}

fn send<S: Stream + ?Sized>(stream: &mut S, mut bytes: &[u8]) -> io::Result<()> {
    let until = Instant::now() + GOING;
    while !bytes.is_empty() {
        stream.write_within(left(until)?)?;
        match stream.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            sent => bytes = &bytes[sent..],
        }
    }
    Ok(())
}

/// What is left of a limit; a wait of no time would be one without end.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(request: &[u8]) -> String {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(request).unwrap();
        answer(&mut ours, &|form| format!("{form:?}\n")).unwrap();
        drop(ours);
        let mut text = String::new();
        theirs.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_request_is_answered_and_the_connection_ends() {
        let text = said(b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n");
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0"),
            "{text}"
        );
        assert!(text.ends_with("Content-Length: 12\r\nConnection: close\r\n\r\nOpenMetrics\n"), "{text}");
        let text = said(b"HEAD /metrics HTTP/1.1\r\n\r\n");
        assert!(text.contains("Content-Length: 11\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        assert!(
            said(b"POST /metrics HTTP/1.1\r\n\r\n")
                .starts_with("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n")
        );
        assert!(said(&[b'x'; MOST + 2048]).starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn who_says_nothing_is_not_waited_for_without_end() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        assert!(answer(&mut ours, &|_| String::new()).is_err());
        drop(theirs);
    }

    #[test]
    fn a_socket_that_nobody_serves_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, file) = (folder.path().join("socket"), folder.path().join("file"));
        let first = bind_unix(&socket).unwrap();
        assert_eq!(bind_unix(&socket).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        bind_unix(&socket).unwrap();
        std::fs::write(&file, "x").unwrap();
        assert_eq!(bind_unix(&file).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o007, 0);
    }
}
