//! `rcr-unpack`: one layer from stdin to files, in one pass.
//!
//! ```text
//! stdin → read, hash, keep → decompress → tar entries → files
//!                                       ↘ hash (diff id)
//! ```
//! Each arrow is a bounded queue between threads, so that everything overlaps and memory stays small.

use super::pipe::{self, Pieces};
use super::reporter::Reporter;
use super::wire::{Digests, Job, Report, Trouble};
use super::{packed, sandbox};
use crate::digest::Hasher;
use crate::{Digest, Error};
use std::fs::File;
use std::io::{self};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Does the job in the argument; false if it failed, which the report explains.
pub fn main(job: &str) -> bool {
    let reporter = Reporter::new(Box::new(io::stderr()));
    let report = match prepare(job) {
        Ok((job, kept)) => run(&job, kept, &reporter),
        Err(trouble) => Report::Failed(trouble),
    };
    reporter.say(&report);
    matches!(report, Report::Done(_))
}

fn prepare(job: &str) -> Result<(Job, Option<File>), Trouble> {
    let trouble = |message: &str, errno| Trouble { message: message.to_owned(), errno, limit: None, packed: None };
    sandbox::close_inherited().map_err(|e| trouble("cannot close what was inherited", e.raw_os_error()))?;
    let job: Job = serde_json::from_str(job).map_err(|e| trouble(&e.to_string(), None))?;
    let stdout = || Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    let kept = if job.keep { Some(stdout()) } else { None };
    let kept = kept.transpose().map_err(|e: io::Error| trouble("cannot use the kept file", e.raw_os_error()))?;
    sandbox::for_files(job.limits.memory)
        .map_err(|e| trouble("cannot give up powers before unpacking", e.raw_os_error()))?;
    Ok((job, kept))
}

/// The whole pass. Its threads end before it returns.
fn run(job: &Job, kept: Option<File>, reporter: &Reporter) -> Report {
    let (to_decoder, packed_pieces) = pipe::queue();
    let (to_files, unpacked_pieces) = pipe::queue();
    let (to_hash, hash_pieces) = pipe::queue();
    std::thread::scope(|scope| {
        // The reader comes last: if there is no memory for its thread, the others see the end of their input.
        let threads = || {
            let hashing = thread(scope, job, move || {
                let mut hasher = Hasher::default();
                hash_pieces.iter().for_each(|piece| hasher.update(&piece));
                hasher.finish()
            })?;
            let decoding = thread(scope, job, move || {
                let source = Pieces::new(packed_pieces);
                let to = [to_files, to_hash];
                packed::decode(source, &|piece| packed::spread(&job.limits, reporter, &to, piece))
            })?;
            let reading =
                thread(scope, job, move || packed::read(io::stdin().lock(), kept, job, reporter, to_decoder))?;
            Ok((hashing, decoding, reading))
        };
        let (hashing, decoding, reading) = match threads() {
            Ok(threads) => threads,
            Err(error) => return Report::Failed(trouble(error, None)),
        };
        let written = write(job, Pieces::new(unpacked_pieces), reporter);
        let gone = || Trouble {
            message: "a thread of the unpacker ended early".into(),
            errno: None,
            limit: None,
            packed: None,
        };
        // The decoder ends when nobody takes its output; the reader reads on, so that the packed digest shows who is at
        // fault.
        let decoded = decoding.join().map_err(|_| gone());
        let diff_id = hashing.join().map_err(|_| gone());
        let read = reading.join().map_err(|_| gone());
        match settle(written, decoded, diff_id, read) {
            Ok(digests) => Report::Done(digests),
            Err(trouble) => Report::Failed(trouble),
        }
    })
}

/// Starts a thread; its stack counts against the memory limit.
fn thread<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    job: &Job,
    act: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    let memory = job.limits.memory;
    let spawned = Builder::new().spawn_scoped(scope, act);
    spawned.map_err(|error| Error::limit("memory", format!("{memory} bytes of memory are not enough: {error}")))
}

fn write(job: &Job, mut stream: Pieces, reporter: &Reporter) -> Result<(), Error> {
    if job.unpack {
        let root = Path::new("fs");
        let opaque = super::unpack(&mut stream, root, job.limits)?;
        opaque.into_iter().for_each(|folder| reporter.say(&Report::Opaque(folder)));
    }
    // Bytes after the archive's end count for the digest.
    stream.skip_all();
    Ok(())
}

type Read = Result<(Digest, u64), Error>;

/// One answer from the threads' results: the cause before its consequences.
fn settle(
    written: Result<(), Error>,
    decoded: Result<Result<super::wire::Compression, Error>, Trouble>,
    diff_id: Result<Digest, Trouble>,
    read: Result<Read, Trouble>,
) -> Result<Digests, Trouble> {
    let (packed, size) = read?.map_err(|e| trouble(e, None))?;
    let known = Some((packed.to_string(), size));
    let decoded = decoded?;
    // An archive that ends early because its decompression failed is not at fault; nor is a decoder whose output nobody
    // took.
    let compression = match (decoded, written) {
        (Ok(compression), Ok(())) => compression,
        (Err(Error::Io { source, .. }), Err(error)) if source.kind() == io::ErrorKind::BrokenPipe => {
            return Err(trouble(error, known));
        }
        (Err(error), _) | (Ok(_), Err(error)) => return Err(trouble(error, known)),
    };
    Ok(Digests { packed: packed.to_string(), size, diff_id: diff_id?.to_string(), compression })
}

fn trouble(error: Error, packed: Option<(String, u64)>) -> Trouble {
    let (message, errno, limit) = match error {
        Error::Io { doing, source } if source.raw_os_error().is_some() => (doing, source.raw_os_error(), None),
        Error::Io { doing, source } => (format!("{doing}: {source}"), None, None),
        Error::Hostile(message) => (message, None, None),
        Error::Limit { why, key } => (why, None, Some(key)),
        other => (other.to_string(), None, None),
    };
    Trouble { message, errno, limit, packed }
}
