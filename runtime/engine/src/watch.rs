//! Waiting for files to change, without looking at them again and again (inotify(7)).

use nix::errno::Errno;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// Folders that are watched.
pub(crate) struct Watch {
    inotify: OwnedFd,
}

/// Why a wait has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Something is different.
    Changed,
    /// A folder itself is gone: nothing more will be told of it.
    Gone,
    /// It has taken as long as it may.
    Time,
    /// Nobody reads any more.
    Unread,
}

impl Watch {
    /// Watches what is written, appears and disappears in these folders. One that is not there is left out.
    pub(crate) fn folders(folders: &[&Path]) -> Result<Self, Errno> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(rcr_base::errno)?;
        let what = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVE | WatchFlags::DELETE;
        // A file in a folder's place could be watched, too, and nothing would ever come.
        let what = what | WatchFlags::DELETE_SELF | WatchFlags::ONLYDIR;
        for folder in folders {
            match add_watch(&inotify, *folder, what) {
                Ok(_) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(rcr_base::errno(error)),
            }
        }
        Ok(Self { inotify })
    }

    /// Waits for a change since the last call, or since the watch began: no longer than this, and not when the other
    /// side of `reader`, to which the caller writes, is gone.
    pub(crate) fn wait(&self, patience: Option<Duration>, reader: Option<BorrowedFd>) -> Result<Woken, Errno> {
        let limit = patience.and_then(|time| Timespec::try_from(time).ok());
        let mut fds = vec![PollFd::new(&self.inotify, PollFlags::IN)];
        // What nobody reads any more says so without being asked.
        fds.extend(reader.map(|reader| PollFd::from_borrowed_fd(reader, PollFlags::empty())));
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(rcr_base::errno(error)),
        }
        let told = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        match (told(0), told(1)) {
            (_, true) => Ok(Woken::Unread),
            (true, _) => self.drain(),
            _ => Ok(Woken::Time),
        }
    }

    /// Takes what has come: what it was, the caller sees for himself.
    fn drain(&self) -> Result<Woken, Errno> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut news = Reader::new(&self.inotify, &mut buffer);
        let mut woken = Woken::Changed;
        loop {
            match news.next() {
                Ok(told) if told.events().contains(ReadFlags::DELETE_SELF) => woken = Woken::Gone,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(woken),
                Err(error) => return Err(rcr_base::errno(error)),
            }
        }
    }
}
