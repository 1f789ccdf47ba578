//! The side of `rcr` on the socket to `rcr-registry`.

use super::wire::{Answer, Call, Refusal, RefusalKind, Reply, Request, Session};
use crate::{Doing, Error, Reference, layer};
use rcr_base::{FrameError, ImageLimits, ImagesConfig, recv_frame, send_frame};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

type Waiting = Arc<Mutex<Calls>>;

/// The pending requests.
#[derive(Default)]
struct Calls {
    last: u64,
    under_way: HashMap<u64, Sender<Answer>>,
    /// The process has ended.
    ended: bool,
}

/// A process that talks to one repository. Dropping this ends it.
pub struct Remote {
    socket: UnixStream,
    waiting: Waiting,
    reader: Option<JoinHandle<()>>,
    child: Child,
    noise: Noise,
    limits: ImageLimits,
}

/// What the process writes to stderr, cut short: a panic, or an exhausted memory limit.
type Noise = Arc<Mutex<String>>;
const MAX_NOISE: u64 = 400;

/// The errors of a socket whose other side is closed.
const GONE: [io::ErrorKind; 2] = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];

/// An answer that is still to come.
pub struct Pending {
    answers: Receiver<Answer>,
    noise: Noise,
    memory: u64,
}

impl Remote {
    /// Starts the process.
    pub fn open(host: &str, repository: &str, config: &ImagesConfig) -> Result<Self, Error> {
        let program = rcr_base::sibling("rcr-registry");
        let start = || -> io::Result<(UnixStream, Child)> {
            let (ours, theirs) = UnixStream::pair()?;
            let stdin: OwnedFd = theirs.into();
            let mut command = Command::new(&program);
            command.current_dir("/").stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped());
            // Both spellings are in use; the first one that is set counts.
            command.env("NO_PROXY", no_proxy()).env("no_proxy", no_proxy());
            command.envs(config.credentials.iter().map(|folder| ("DOCKER_CONFIG", folder)));
            // Its last output becomes a line of the error.
            command.env("RUST_BACKTRACE", "0");
            Ok((ours, command.spawn()?))
        };
        let (socket, mut child) = start().doing(|| format!("cannot start `{}`", program.display()))?;
        let session = Session { host: host.to_owned(), repository: repository.to_owned(), config: config.clone() };
        let (waiting, noise) = (Waiting::default(), Noise::default());
        let stderr = child.stderr.take().map(|stderr| (stderr, noise.clone()));
        let mut remote = Self { socket, waiting, reader: None, child, noise, limits: config.limits };
        remote.send(&session, None)?;
        let listener = std::thread::spawn(move || stderr.map(|(stderr, noise)| listen(stderr, &noise)));
        let (socket, waiting) =
            (remote.socket.try_clone().doing(|| "cannot talk to rcr-registry".into())?, remote.waiting.clone());
        let reader = std::thread::spawn(move || {
            while let Ok((reply, _)) = recv_frame::<Reply>(&socket) {
                let Ok(mut waiting) = waiting.lock() else { break };
                let last = !matches!(reply.answer, Answer::Again(_));
                if let Some(to) = waiting.under_way.get(&reply.id) {
                    let _ = to.send(reply.answer);
                }
                if last {
                    waiting.under_way.remove(&reply.id);
                }
            }
            // Tells all that still wait that nothing more comes, and why.
            let _ = listener.join();
            if let Ok(mut waiting) = waiting.lock() {
                waiting.ended = true;
                waiting.under_way.clear();
            }
        });
        remote.reader = Some(reader);
        Ok(remote)
    }

    fn send<T: serde::Serialize>(&self, message: &T, fd: Option<&OwnedFd>) -> Result<(), Error> {
        let fds: Vec<_> = fd.iter().map(|fd| fd.as_fd()).collect();
        let sent = send_frame(&self.socket, message, &fds).map_err(|error| match error {
            FrameError::Io(error) => error,
            error => io::Error::other(error),
        });
        sent.doing(|| "cannot talk to rcr-registry".into())
    }

    /// Sends a request; the descriptor goes with it.
    pub fn ask(&self, call: Call, fd: Option<OwnedFd>) -> Result<Pending, Error> {
        let (sender, receiver) = channel();
        let lost = || Error::Io { doing: "cannot talk to rcr-registry".into(), source: io::ErrorKind::Other.into() };
        // Held while it is sent, so that frames of several threads do not mix.
        let mut waiting = self.waiting.lock().map_err(|_| lost())?;
        waiting.last += 1;
        let id = waiting.last;
        // If the process has ended, or does so now, the waiting side is told why.
        if !waiting.ended {
            waiting.under_way.insert(id, sender);
            if let Err(error) = self.send(&Request { id, call }, fd.as_ref()) {
                match &error {
                    Error::Io { source, .. } if GONE.contains(&source.kind()) => {}
                    _ => return Err(error),
                }
            }
        }
        Ok(Pending { answers: receiver, noise: self.noise.clone(), memory: self.limits.memory })
    }

    /// A manifest or an index, whole.
    pub fn manifest(&self, target: &str, again: &dyn Fn(&str)) -> Result<Vec<u8>, Error> {
        self.document(Call::Manifest { target: target.to_owned() }, again)
    }

    /// A small blob, whole.
    pub fn small_blob(&self, digest: &str, size: u64, again: &dyn Fn(&str)) -> Result<Vec<u8>, Error> {
        self.document(Call::Blob { digest: digest.to_owned(), offset: 0, size }, again)
    }

    fn document(&self, call: Call, again: &dyn Fn(&str)) -> Result<Vec<u8>, Error> {
        let (read, write) = io::pipe().doing(|| "cannot make a pipe".into())?;
        let pending = self.ask(call, Some(write.into()))?;
        let mut bytes = Vec::new();
        let got =
            read.take(self.limits.document + 1).read_to_end(&mut bytes).doing(|| "cannot read a document".into())?;
        if got as u64 > self.limits.document {
            return Err(Error::limit("document", format!("a document has more than {} bytes", self.limits.document)));
        }
        pending.wait(again)?;
        Ok(bytes)
    }

    /// Ends all transfers.
    pub fn stop(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Pending {
    /// Waits for the last answer: true if the request asked whether something exists, and it does.
    pub fn wait(self, again: &dyn Fn(&str)) -> Result<bool, Error> {
        loop {
            match self.answers.recv() {
                Ok(Answer::Done) => return Ok(true),
                Ok(Answer::Exists(there)) => return Ok(there),
                Ok(Answer::Again(why)) => again(&why),
                Ok(Answer::Failed(refusal)) => return Err(Error::Registry(refusal)),
                Err(_) => return Err(self.lost()),
            }
        }
    }

    /// The process ended before it answered.
    fn lost(&self) -> Error {
        let noise = self.noise.lock().map(|noise| noise.clone()).unwrap_or_default();
        if layer::out_of_memory(&noise) {
            let why = format!("it takes more than {} bytes of memory to talk to its registry", self.memory);
            return Error::limit("memory", why);
        }
        let causes = Some(layer::clean(&noise)).filter(|noise| !noise.is_empty()).into_iter().collect();
        Error::Registry(Refusal { kind: RefusalKind::Other, message: "rcr-registry ended early".into(), causes })
    }
}

/// Hosts to reach without a proxy: the user's list, and this machine itself, which no proxy knows.
fn no_proxy() -> OsString {
    let said = ["NO_PROXY", "no_proxy"].into_iter().find_map(std::env::var_os).filter(|said| !said.is_empty());
    let mut all = said.map_or_else(OsString::new, |mut said| {
        said.push(",");
        said
    });
    all.push("localhost,127.0.0.0/8,::1");
    all
}

/// Keeps the beginning of the output, and discards the rest.
fn listen(mut stderr: impl Read, noise: &Noise) {
    let mut said = Vec::new();
    let _ = stderr.by_ref().take(MAX_NOISE).read_to_end(&mut said);
    if let Ok(mut noise) = noise.lock() {
        *noise = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
    }
    let _ = io::copy(&mut stderr, &mut io::sink());
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.stop();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Checks credentials at a registry and saves them where docker does.
pub fn login(host: &str, user: &str, password: &str, config: &ImagesConfig) -> Result<(), Error> {
    let host = host_of(host)?;
    let call = Call::Login { user: user.to_owned(), password: password.to_owned() };
    Remote::open(&host, "rcr/login", config)?.ask(call, None)?.wait(&|_| ()).map(drop)
}

/// Removes a registry's credentials; false if there were none.
pub fn logout(host: &str, config: &ImagesConfig) -> Result<bool, Error> {
    Remote::open(&host_of(host)?, "rcr/login", config)?.ask(Call::Logout, None)?.wait(&|_| ())
}

/// The host in what a user may write: a host, or the beginning of a URL.
fn host_of(text: &str) -> Result<String, Error> {
    let host = text.trim_start_matches("https://").trim_start_matches("http://");
    let host = host.split('/').next().unwrap_or_default();
    let host = if host == "index.docker.io" { crate::reference::DOCKER_HUB } else { host };
    // A name without a dot is a host here, and only here.
    let probe = if host.contains(['.', ':']) { format!("{host}/x") } else { format!("{host}:1/x") };
    probe.parse::<Reference>()?;
    Ok(host.to_owned())
}
