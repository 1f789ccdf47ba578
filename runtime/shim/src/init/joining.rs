//! The child joins another container's IPC namespace, and takes that one's `/dev/shm`. Allocates nothing.

use super::handshake::{Failure, Stage};
use nix::errno::Errno;
use rcr_base::errno;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::OpenTreeFlags;
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// statfs(2) magic of tmpfs (uapi/linux/magic.h).
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Joins the IPC namespace of the process behind a pidfd. Returns a copy of its `/dev/shm`, mounted nowhere yet; none if
/// it has none.
pub fn join_ipc(other: BorrowedFd) -> Result<Option<OwnedFd>, Failure> {
    let failed = |e| Failure::at(Stage::JoinIpc)(errno(e));
    move_into_thread_name_spaces(other, ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION).map_err(failed)?;
    // Only who is in a mount namespace may copy what is mounted there (open_tree(2)).
    let own = rustix::fs::open(c"/proc/thread-self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let own = own.map_err(failed)?;
    move_into_thread_name_spaces(other, ThreadNameSpaceType::MOUNT).map_err(failed)?;
    let found = shared_memory();
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Mount)).map_err(failed)?;
    found.map_err(Failure::at(Stage::JoinIpc))
}

/// The other container chooses what lies there: no link is followed, and only a tmpfs is taken.
fn shared_memory() -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let folder = match rustix::fs::openat2(rustix::fs::CWD, c"/dev/shm", flags, Mode::empty(), resolve) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        other => other.map_err(errno)?,
    };
    if rustix::fs::fstatfs(&folder).map_err(errno)?.f_type != TMPFS_MAGIC {
        return Ok(None);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(folder.as_fd(), c"", flags).map(Some).map_err(errno)
}
