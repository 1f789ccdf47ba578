//! Talking to the shim of a running container.

use crate::config::Process;
use crate::events::subjects;
use crate::instance::Instance;
use crate::store::{Container, Status};
use rcr_base::{Doing, Error, Kind, Outcome, command};
pub use rcr_shim::protocol;
use rcr_shim::protocol::{Request, Response, SOCKET_NAME};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connection with a container's streams.
pub struct Attached {
    /// Frames of [`rcr_shim::protocol`] both ways.
    pub stream: UnixStream,
    /// The container takes input from it.
    pub stdin: bool,
    /// Its streams are one terminal.
    pub terminal: bool,
}

impl Attached {
    pub(crate) fn new(stream: UnixStream, process: &Process, stdin: bool) -> Self {
        Self { stream, stdin: stdin && process.stdin, terminal: process.terminal }
    }
}

/// Connects with the streams of a container that runs; `stdin`: with its input, too, if it has one.
pub fn attach(instance: &Instance, name: &str, stdin: bool) -> Outcome<Attached> {
    let container = instance.containers().find(name)?;
    refuse_paused(&container, "connect to")?;
    let process = &container.config.process;
    let stream = ask(instance, &container, &Request::Attach { stdin: stdin && process.stdin })?;
    subjects::container(&instance.dirs, &container.config).note("attach");
    Ok(Attached::new(stream, process, stdin))
}

/// Nothing comes from a container that is frozen.
pub(crate) fn refuse_paused(container: &Container, verb: &str) -> Outcome<()> {
    if container.state.status != Status::Paused {
        return Ok(());
    }
    let name = &container.config.name;
    Err(Error::new(Kind::Conflict, format!("cannot {verb} container `{name}`"))
        .caused_by("it is paused")
        .hint(format!("{} lets it go on", command::unpause(name))))
}

/// The user has left the streams of a container that goes on.
pub fn detached(instance: &Instance, name: &str) {
    if let Ok(container) = instance.containers().find(name) {
        subjects::container(&instance.dirs, &container.config).note("detach");
    }
}

/// Sends one request to a container's shim.
pub(crate) fn ask(instance: &Instance, container: &Container, request: &Request) -> Outcome<UnixStream> {
    let name = &container.config.name;
    let socket = instance.dirs.container_run(&container.config.id).join(SOCKET_NAME);
    let stream = protocol::connect(&socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Error::new(Kind::Conflict, format!("container `{name}` is not running"))
                .hint(format!("start it with {}", command::start(name)))
        }
        _ => Error::new(Kind::Invalid, format!("cannot reach the shim of container `{name}`"))
            .caused_by(rcr_base::io_text(&error)),
    })?;
    let mut line = serde_json::to_vec(request)
        .map_err(|e| Error::new(Kind::System, "cannot write a request").caused_by(e.to_string()))?;
    line.push(b'\n');
    (&stream).write_all(&line).doing(|| format!("cannot talk to the shim of `{name}`"))?;
    Ok(stream)
}

/// Sends a request and reads the answering line; `None` waits without a limit.
pub(crate) fn request(
    instance: &Instance,
    container: &Container,
    request: &Request,
    patience: Option<Duration>,
) -> Outcome<Response> {
    let stream = ask(instance, container, request)?;
    let mut line = String::new();
    let name = &container.config.name;
    let silent = || format!("the shim of container `{name}` does not answer");
    stream.set_read_timeout(patience).doing(silent)?;
    BufReader::new(stream).read_line(&mut line).doing(silent)?;
    serde_json::from_str(&line).map_err(|e| Error::new(Kind::Unavailable, silent()).caused_by(e.to_string()))
}
