//! One layer into the store: the side of `rcr-unpack` that has privileges, and trusts nothing it reports.

use crate::folder::private_folder;
use crate::unpack::wire::{Digests, Job, Report, Trouble};
use crate::{Digest, Doing, Error, Store, unpack};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// The longest line of a report, in bytes.
const MAX_LINE: u64 = 64 << 10;
/// How much other output is kept, in bytes: a few lines.
const MAX_NOISE: usize = 200;
/// How often files go to the disk while more are unpacked: less is left to wait for when the layer is synced.
const WRITE_BACK: Duration = Duration::from_secs(1);

/// An unpacked layer.
#[derive(Debug, Clone)]
pub struct Passed {
    /// Of the packed bytes.
    pub digest: Digest,
    /// Packed bytes.
    pub size: u64,
    /// Of the unpacked bytes.
    pub diff_id: Digest,
    /// How it is packed.
    pub compression: unpack::wire::Compression,
    /// Folders to be marked.
    opaque: Vec<Vec<u8>>,
}

/// Why a layer could not be unpacked.
#[derive(Debug)]
pub struct Stopped {
    /// What went wrong.
    pub error: Error,
    /// Digest and size of the packed bytes, if all of them were read.
    pub packed: Option<(Digest, u64)>,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self { error, packed: None }
    }
}

/// Unpacks a layer in a process of its own, which writes the files to `fs` below `folder`.
///
/// `input` has the packed bytes; `kept` is the file that keeps them; what it already holds comes before `input`.
pub fn pass(
    folder: &Path,
    input: OwnedFd,
    kept: Option<File>,
    job: &Job,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Passed, Stopped> {
    let mut child = start(folder, input, kept, job)?;
    let stderr = child.stderr.take();
    let (told, written) = writing_back(folder, || stderr.map(|stderr| listen(stderr, progress)).transpose());
    let status = child.wait().doing(|| "cannot wait for rcr-unpack".into())?;
    let told = told.doing(|| "cannot read the report of rcr-unpack".into())?.unwrap_or_default();
    match told.last {
        Some(Report::Done(digests)) if status.success() => {
            written.doing(|| format!("cannot write what is in `{}` to the disk", folder.display()))?;
            Ok(passed(digests, told.opaque)?)
        }
        Some(Report::Failed(trouble)) => Err(stopped(trouble)),
        _ => Err(ended(status, &told.noise, job).into()),
    }
}

/// Does something while a thread writes to the disk what comes into the folder meanwhile. The kernel tells of a failed
/// write once: the thread's answer counts as that of the sync at the end does.
fn writing_back<T>(folder: &Path, work: impl FnOnce() -> T) -> (T, io::Result<()>) {
    let (working, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let write = move || {
            let folder = File::open(folder)?;
            while ended.recv_timeout(WRITE_BACK) == Err(RecvTimeoutError::Timeout) {
                rustix::fs::syncfs(&folder)?;
            }
            Ok(())
        };
        // Without it all is written at the end.
        let writer = std::thread::Builder::new().spawn_scoped(scope, write);
        let done = work();
        drop(working);
        let written = writer
            .map_or(Ok(()), |writer| writer.join().unwrap_or_else(|_| Err(io::Error::other("a thread ended early"))));
        (done, written)
    })
}

fn start(folder: &Path, input: OwnedFd, kept: Option<File>, job: &Job) -> Result<Child, Error> {
    if job.unpack {
        let root = folder.join("fs");
        let make = || {
            private_folder(&root)?;
            fs::set_permissions(&root, fs::Permissions::from_mode(0o755))
        };
        make().doing(|| format!("cannot create `{}`", root.display()))?;
    }
    let program = rcr_base::sibling("rcr-unpack");
    let job = serde_json::to_string(job).map_err(|e| Error::Hostile(e.to_string()))?;
    let mut command = Command::new(&program);
    command.arg(job).current_dir(folder).env_clear().stdin(input).stderr(Stdio::piped());
    match kept {
        Some(file) => command.stdout(file),
        None => command.stdout(Stdio::null()),
    };
    command.spawn().doing(|| format!("cannot start `{}`", program.display()))
}

/// A whole report.
#[derive(Default)]
struct Told {
    last: Option<Report>,
    opaque: Vec<Vec<u8>>,
    /// The first lines that were not a report: those of a panic.
    noise: String,
}

fn listen(stderr: impl Read, progress: &mut dyn FnMut(u64, u64)) -> io::Result<Told> {
    let mut told = Told::default();
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(told);
        }
        match serde_json::from_slice(&line) {
            Ok(Report::Progress { packed, unpacked }) => progress(packed, unpacked),
            Ok(Report::Opaque(folder)) => told.opaque.push(folder),
            Ok(last) => told.last = Some(last),
            Err(_) if told.noise.len() < MAX_NOISE => {
                told.noise = format!("{} {}", told.noise, String::from_utf8_lossy(&line).trim()).trim().to_owned();
            }
            Err(_) => {}
        }
    }
}

fn passed(digests: Digests, opaque: Vec<Vec<u8>>) -> Result<Passed, Error> {
    let parse = |text: &str| text.parse().map_err(|why| Error::Hostile(format!("rcr-unpack says `{text}`: {why}")));
    Ok(Passed {
        digest: parse(&digests.packed)?,
        size: digests.size,
        diff_id: parse(&digests.diff_id)?,
        compression: digests.compression,
        opaque,
    })
}

fn stopped(trouble: Trouble) -> Stopped {
    let packed = trouble.packed.and_then(|(digest, size)| Some((digest.parse().ok()?, size)));
    let message = clean(&trouble.message);
    let error = match (trouble.errno, trouble.limit) {
        (Some(errno), _) => Error::Io { doing: message, source: io::Error::from_raw_os_error(errno) },
        (None, Some(key)) => Error::Limit { why: message, key },
        (None, None) => Error::Hostile(message),
    };
    Stopped { error, packed }
}

/// One line of printable text: names from an archive may contain control characters.
pub(crate) fn clean(text: &str) -> String {
    const MOST: usize = 400;
    let escaped = text.chars().flat_map(|c| match c.is_control() {
        true => c.escape_default().collect::<Vec<_>>(),
        false => vec![c],
    });
    escaped.take(MOST).collect()
}

/// It ended without an error of its own.
fn ended(status: ExitStatus, noise: &str, job: &Job) -> Error {
    if out_of_memory(noise) {
        let memory = job.limits.memory;
        return Error::limit("memory", format!("it takes more than {memory} bytes of memory to unpack"));
    }
    Error::Hostile(format!("rcr-unpack {}", end(status, noise)))
}

/// Whether this is the message of a program that has reached its memory limit.
pub(crate) fn out_of_memory(noise: &str) -> bool {
    ["memory allocation of", "failed to spawn thread", "cannot start a thread"]
        .iter()
        .any(|words| noise.contains(words))
}

/// How one of our programs ended early, on one line.
fn end(status: ExitStatus, noise: &str) -> String {
    use std::os::unix::process::ExitStatusExt;
    let said = if noise.is_empty() { String::new() } else { format!(": {}", clean(noise)) };
    match status.signal() {
        Some(signal) => format!("was killed by signal {signal}{said}"),
        None => format!("ended with code {}{said}", status.code().unwrap_or(-1)),
    }
}

/// Marks the opaque folders of an unpacked layer, whose `fs` is in `folder`.
pub(crate) fn mark(folder: &Path, passed: &Passed) -> io::Result<()> {
    unpack::mark_opaque(&folder.join("fs"), &passed.opaque)
}

impl Store {
    /// Makes an unpacked layer visible: marked, synced, then renamed. `folder` holds its `fs`.
    pub(crate) fn commit_layer(&self, folder: &Path, passed: &Passed) -> Result<(), Error> {
        let target = self.layer(&passed.diff_id);
        let target = target.parent().unwrap_or(&target);
        let commit = || -> io::Result<()> {
            mark(folder, passed)?;
            rustix::fs::syncfs(File::open(folder)?)?;
            match fs::rename(folder, target) {
                // The same layer exists already; one copy is enough.
                Err(_) if target.join("fs").is_dir() => Ok(()),
                other => other,
            }?;
            File::open(self.root().join("layers"))?.sync_all()
        };
        commit().doing(|| "cannot put the layer into the store".into())
    }

    /// Makes a packed layer visible. Its writer has synced it.
    pub(crate) fn commit_blob(&self, file: &Path, digest: &Digest) -> Result<(), Error> {
        let blob = self.blob(digest);
        let commit = || {
            fs::rename(file, &blob)?;
            blob.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        commit().doing(|| format!("cannot put `{digest}` into the store"))
    }
}
