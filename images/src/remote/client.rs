//! The side of `rcr` of the socket to `rcr-registry`.

use super::wire::{Answer, Call, Refusal, Reply, Request, Session};
use crate::{Doing, Error, Reference, helper};
use netd_api::{ImagesConfig, recv_frame, send_frame};
use std::collections::HashMap;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

type Waiting = Arc<Mutex<(u64, HashMap<u64, Sender<Answer>>)>>;

/// A process that talks to one repository. It ends with this.
pub struct Remote {
    socket: UnixStream,
    waiting: Waiting,
    reader: Option<JoinHandle<()>>,
    child: Child,
    limit: u64,
}

/// An answer that is under way.
pub struct Pending(Receiver<Answer>);

impl Remote {
    /// Starts the process.
    pub fn open(host: &str, repository: &str, config: &ImagesConfig) -> Result<Self, Error> {
        let program = helper::find("rcr-registry");
        let start = || -> io::Result<(UnixStream, Child)> {
            let (ours, theirs) = UnixStream::pair()?;
            let stdin: OwnedFd = theirs.into();
            let child = Command::new(&program).current_dir("/").stdin(stdin).stdout(Stdio::null()).spawn()?;
            Ok((ours, child))
        };
        let (socket, child) = start().doing(|| format!("cannot start `{}`", program.display()))?;
        let session = Session { host: host.to_owned(), repository: repository.to_owned(), config: config.clone() };
        let waiting = Waiting::default();
        let mut remote = Self { socket, waiting, reader: None, child, limit: config.limits.document };
        remote.send(&session, None)?;
        let (socket, waiting) =
            (remote.socket.try_clone().doing(|| "cannot talk to rcr-registry".into())?, remote.waiting.clone());
        let reader = std::thread::spawn(move || {
            while let Ok((reply, _)) = recv_frame::<Reply>(&socket) {
                let Ok(mut waiting) = waiting.lock() else { break };
                let last = !matches!(reply.answer, Answer::Again(_));
                if let Some(to) = waiting.1.get(&reply.id) {
                    let _ = to.send(reply.answer);
                }
                if last {
                    waiting.1.remove(&reply.id);
                }
            }
            // Whoever still waits learns that nothing more comes.
            if let Ok(mut waiting) = waiting.lock() {
                waiting.1.clear();
            }
        });
        remote.reader = Some(reader);
        Ok(remote)
    }

    fn send<T: serde::Serialize>(&self, message: &T, fd: Option<&OwnedFd>) -> Result<(), Error> {
        let fds: Vec<_> = fd.iter().map(|fd| fd.as_raw_fd()).collect();
        send_frame(&self.socket, message, &fds)
            .map_err(|e| Error::Io { doing: "cannot talk to rcr-registry".into(), source: io::Error::other(e) })
    }

    /// Asks for something. The descriptor is handed over.
    pub fn ask(&self, call: Call, fd: Option<OwnedFd>) -> Result<Pending, Error> {
        let (sender, receiver) = channel();
        let lost = || Error::Io { doing: "cannot talk to rcr-registry".into(), source: io::ErrorKind::Other.into() };
        // Held while it is sent: frames of several threads do not mix.
        let mut waiting = self.waiting.lock().map_err(|_| lost())?;
        waiting.0 += 1;
        let id = waiting.0;
        waiting.1.insert(id, sender);
        self.send(&Request { id, call }, fd.as_ref())?;
        Ok(Pending(receiver))
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
        let got = read.take(self.limit + 1).read_to_end(&mut bytes).doing(|| "cannot read a document".into())?;
        if got as u64 > self.limit {
            return Err(Error::limit("document", format!("a document has more than {} bytes", self.limit)));
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
    /// Waits for the last answer: true where the question was whether something exists, and it does.
    pub fn wait(self, again: &dyn Fn(&str)) -> Result<bool, Error> {
        loop {
            match self.0.recv() {
                Ok(Answer::Done) => return Ok(true),
                Ok(Answer::Exists(there)) => return Ok(there),
                Ok(Answer::Again(why)) => again(&why),
                Ok(Answer::Failed(refusal)) => return Err(Error::Registry(refusal)),
                Err(_) => {
                    return Err(Error::Registry(Refusal {
                        kind: super::wire::RefusalKind::Other,
                        message: "rcr-registry ended early".into(),
                        causes: Vec::new(),
                    }));
                }
            }
        }
    }
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

/// Checks credentials at a registry and keeps them as docker does.
pub fn login(host: &str, user: &str, password: &str, config: &ImagesConfig) -> Result<(), Error> {
    let host = host_of(host)?;
    let call = Call::Login { user: user.to_owned(), password: password.to_owned() };
    Remote::open(&host, "rcr/login", config)?.ask(call, None)?.wait(&|_| ()).map(drop)
}

/// Forgets a registry's credentials; false if there were none.
pub fn logout(host: &str, config: &ImagesConfig) -> Result<bool, Error> {
    Remote::open(&host_of(host)?, "rcr/login", config)?.ask(Call::Logout, None)?.wait(&|_| ())
}

/// The host out of what a user may write: a host, or the beginning of a URL.
fn host_of(text: &str) -> Result<String, Error> {
    let host = text.trim_start_matches("https://").trim_start_matches("http://");
    let host = host.split('/').next().unwrap_or_default();
    let host = if host == "index.docker.io" { crate::reference::DOCKER_HUB } else { host };
    // A name without a dot is a host here, and only here.
    let probe = if host.contains(['.', ':']) { format!("{host}/x") } else { format!("{host}:1/x") };
    probe.parse::<Reference>()?;
    Ok(host.to_owned())
}
