//! Log services of the host: syslog (RFC 3164, RFC 5424) and the systemd journal (its native protocol). A service that
//! does not take a line at once loses it: the container never waits.

use super::stream::Stream;
use crate::config::{LogService, SyslogConfig, SyslogForm, SyslogTarget};
use std::io;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Severities (RFC 5424, 6.2.1).
const ERROR: u8 = 3;
const INFORMATIONAL: u8 = 6;

/// An open way to a service.
pub enum Service {
    /// To a syslog.
    Syslog(SyslogConfig, Socket),
    /// To the journal: what stands in every entry, and where it goes.
    Journal(Vec<u8>, UnixDatagram, PathBuf),
}

/// Datagrams to one place.
pub enum Socket {
    /// A path: the service may be started again behind it.
    Unix(UnixDatagram, PathBuf),
    /// An address.
    Udp(UdpSocket),
}

impl Service {
    /// Errors: there is no service behind a path.
    pub fn open(config: LogService) -> io::Result<Self> {
        match config {
            LogService::Syslog(config) => {
                let socket = match &config.target {
                    SyslogTarget::Unix(path) => Socket::Unix(unix(path)?, path.clone()),
                    SyslogTarget::Udp(address) => {
                        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                        let socket = UdpSocket::bind(any)?;
                        socket.connect(address)?;
                        socket.set_nonblocking(true)?;
                        Socket::Udp(socket)
                    }
                };
                Ok(Self::Syslog(config, socket))
            }
            LogService::Journal { socket, fields } => {
                let mut head = Vec::new();
                fields.iter().for_each(|(name, value)| field(&mut head, name, value));
                Ok(Self::Journal(head, unix(&socket)?, socket))
            }
        }
    }

    /// Sends one line.
    pub fn send(&mut self, stream: Stream, line: &str) {
        let severity = if stream == Stream::Stderr { ERROR } else { INFORMATIONAL };
        let _ = match self {
            Self::Syslog(config, socket) => {
                let text = message(config, severity, line, &jiff::Zoned::now());
                match socket {
                    Socket::Unix(socket, path) => socket.send_to(text.as_bytes(), path),
                    Socket::Udp(socket) => socket.send(text.as_bytes()),
                }
            }
            Self::Journal(head, socket, path) => {
                let mut entry = head.clone();
                field(&mut entry, "PRIORITY", &severity.to_string());
                field(&mut entry, "MESSAGE", line);
                socket.send_to(&entry, path)
            }
        };
    }
}

fn unix(path: &Path) -> io::Result<UnixDatagram> {
    let probe = UnixDatagram::unbound()?;
    probe.connect(path)?;
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn message(config: &SyslogConfig, severity: u8, line: &str, now: &jiff::Zoned) -> String {
    let SyslogConfig { facility, tag, host, pid, form, .. } = config;
    let priority = facility * 8 + severity;
    match form {
        SyslogForm::Rfc3164 => {
            // The day has a space before it, not a zero (RFC 3164, 4.1.2).
            let time = now.strftime("%b %e %H:%M:%S");
            format!("<{priority}>{time} {host} {tag}[{pid}]: {line}")
        }
        SyslogForm::Rfc5424 { microseconds } => {
            let time = if *microseconds {
                now.strftime("%Y-%m-%dT%H:%M:%S%.6f%:z")
            } else {
                now.strftime("%Y-%m-%dT%H:%M:%S%:z")
            };
            format!("<{priority}>1 {time} {host} {tag} {pid} {tag} - {line}")
        }
    }
}

/// `NAME=value`, or with the value's length where it has a line's end (systemd, "Journal native protocol").
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_the_form_of_their_service() {
        let now: jiff::Zoned = "2026-01-02T03:04:05.678901+01:00[+01:00]".parse().unwrap();
        let config = |form| SyslogConfig {
            target: SyslogTarget::Unix("/dev/log".into()),
            facility: 3,
            tag: "web".into(),
            host: "box".into(),
            pid: 7,
            form,
        };
        let of = |form| message(&config(form), ERROR, "hello", &now);
        assert_eq!(of(SyslogForm::Rfc3164), "<27>Jan  2 03:04:05 box web[7]: hello");
        let exact = of(SyslogForm::Rfc5424 { microseconds: true });
        assert_eq!(exact, "<27>1 2026-01-02T03:04:05.678901+01:00 box web 7 web - hello");
        let mut entry = Vec::new();
        field(&mut entry, "A", "b");
        field(&mut entry, "C", "d\ne");
        assert_eq!(entry, b"A=b\nC\n\x03\0\0\0\0\0\0\0d\ne\n");
    }

    #[test]
    fn a_service_gets_every_line_and_none_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let open =
            || Service::open(LogService::Journal { socket: path.clone(), fields: vec![("A".into(), "b".into())] });
        assert!(open().is_err());
        let theirs = UnixDatagram::bind(&path).unwrap();
        open().unwrap().send(Stream::Stdout, "hello");
        let mut buffer = [0; 100];
        let got = theirs.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..got], b"A=b\nPRIORITY=6\nMESSAGE=hello\n");
    }
}
