//! Files between a container and the host, or a tar stream. The container may run, and change everything meanwhile: what
//! is read or written is below its root, or below the folder that was named on the host, and nowhere else.
//!
//! | file | what |
//! |---|---|
//! | `root`, `view` | a container's root as a descriptor; what it has written over its image |
//! | `place` | what a path names, by Docker's rules |
//! | `pack`, `pipe`, `unpack` | a tree → tar → a tree |

pub(crate) mod pack;
pub(crate) mod pipe;
mod place;
pub(crate) mod root;
mod unpack;
pub(crate) mod view;

pub use unpack::Owner;

use crate::events::subjects;
use crate::instance::Instance;
use crate::store::Container;
use place::Source;
use rcr_base::{Doing, Outcome};
use root::with_root;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use unpack::{Target, Unpacked, unpack};

/// How files are copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct How {
    /// Owners are kept. Else they are root's in the container, and the caller's on the host.
    pub archive: bool,
    /// A link that is named as the source is what it leads to.
    pub follow: bool,
}

/// What was copied.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Bytes of all files.
    pub bytes: u64,
    /// Devices, which are not copied.
    pub left_out: Vec<PathBuf>,
}

/// A file or a folder of a container → a path of the host, absolute.
pub fn to_host(instance: &Instance, name: &str, path: &str, to: &Path, how: How) -> Outcome<Copied> {
    let doing = || format!("cannot copy `{name}:{path}` to `{}`", to.display());
    let path = absolute(path);
    let copy = |root: BorrowedFd, container: &Container| {
        let source = place::source(root, &path, how.follow)?;
        note(instance, container, "archive-path");
        let host = host_root()?;
        let destination = place::destination(host.as_fd(), to, &source)?;
        // Links that are there lead to the folder; those that come with the stream lead nowhere.
        let folder = place::open(host.as_fd(), &destination.folder, OFlags::DIRECTORY);
        let folder = folder.doing(|| format!("open `{}`", destination.folder.display()))?;
        let caller = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let owner = if how.archive { Owner::Kept } else { Owner::Fixed(caller.0, caller.1) };
        let target = Target { root: folder.as_fd(), folder: Path::new(""), follow: false, owner };
        through_a_pipe(source, Path::new(&destination.name), &target)
    };
    with_root(instance, name, false, copy).doing(doing)
}

/// A file or a folder of the host → a path of a container.
pub fn to_container(instance: &Instance, from: &Path, name: &str, path: &str, how: How) -> Outcome<Copied> {
    let doing = || format!("cannot copy `{}` to `{name}:{path}`", from.display());
    let path = absolute(path);
    let copy = |root: BorrowedFd, container: &Container| {
        let source = place::source(host_root()?.as_fd(), from, how.follow)?;
        let destination = place::destination(root, &path, &source)?;
        let owner = if how.archive { Owner::Kept } else { Owner::Fixed(0, 0) };
        note(instance, container, "extract-to-dir");
        let target = Target { root, folder: &destination.folder, follow: true, owner };
        through_a_pipe(source, Path::new(&destination.name), &target)
    };
    with_root(instance, name, true, copy).doing(doing)
}

/// A file or a folder of a container → a tar stream.
pub fn to_stream(instance: &Instance, name: &str, path: &str, to: impl Write + Send, how: How) -> Outcome<Copied> {
    let inside = absolute(path);
    let copy = |root: BorrowedFd, container: &Container| {
        let source = place::source(root, &inside, how.follow)?;
        note(instance, container, "archive-path");
        let options = pack::Options { content_only: source.name.is_empty(), ..pack::Options::default() };
        let bytes = pack::pack(source.object, Path::new(&source.name), to, options)?;
        Ok(Copied { bytes, ..Copied::default() })
    };
    with_root(instance, name, false, copy).doing(|| format!("cannot copy `{name}:{path}`"))
}

/// A tar stream → a folder of a container that exists. Owners are as the stream says.
pub fn from_stream(instance: &Instance, from: impl Read + Send, name: &str, path: &str) -> Outcome<Copied> {
    let inside = absolute(path);
    let copy = |root: BorrowedFd, container: &Container| {
        place::open(root, &inside, OFlags::DIRECTORY).doing(|| format!("open the folder `{}`", inside.display()))?;
        note(instance, container, "extract-to-dir");
        let target = Target { root, folder: &inside, follow: true, owner: Owner::Kept };
        let Unpacked { left_out } = unpack(from, &target)?;
        Ok(Copied { bytes: 0, left_out })
    };
    with_root(instance, name, true, copy).doing(|| format!("cannot copy an archive to `{name}:{path}`"))
}

/// Docker's words for the two directions.
fn note(instance: &Instance, container: &Container, action: &str) {
    subjects::container(&instance.dirs, &container.config).note(action);
}

/// Paths of a container begin at its root, as with Docker.
fn absolute(path: &str) -> PathBuf {
    PathBuf::from(format!("/{}", path.trim_start_matches('/')))
}

fn host_root() -> Outcome<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(c"/", flags, Mode::empty()).map_err(io::Error::from).doing(|| "cannot open `/`")
}

/// Packs in one thread and unpacks in another: both sides are one stream.
fn through_a_pipe(source: Source, name: &Path, target: &Target) -> Outcome<Copied> {
    let options = pack::Options { content_only: name.as_os_str().is_empty(), ..pack::Options::default() };
    let packing = move |to: &mut dyn Write| pack::pack(source.object, name, to, options);
    let (bytes, Unpacked { left_out }) = pipe::join(packing, |read| unpack(File::from(read), target), drop)?;
    Ok(Copied { bytes, left_out })
}
