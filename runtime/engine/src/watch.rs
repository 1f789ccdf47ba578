//! Waiting for files to change, without looking at them again and again (inotify(7)).

use nix::errno::Errno;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// Folders that are watched.
pub(crate) struct Watch {
    inotify: OwnedFd,
}

impl Watch {
    /// Watches what appears and disappears in these folders. One that is not there is left out.
    pub(crate) fn folders(folders: &[&Path]) -> Result<Self, Errno> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(rcr_base::errno)?;
        let what = WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::DELETE_SELF;
        for folder in folders {
            match add_watch(&inotify, *folder, what | WatchFlags::ONLYDIR) {
                Ok(_) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(rcr_base::errno(error)),
            }
        }
        Ok(Self { inotify })
    }

    /// Waits for a change since the last call, or since the watch began; no longer than this.
    pub(crate) fn wait(&self, patience: Duration) {
        let patience = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
        let _ = poll(&mut [PollFd::new(&self.inotify, PollFlags::IN)], Some(&patience));
        // What it was does not matter: the caller looks for itself.
        let mut buffer = [0; 4096];
        while rustix::io::read(&self.inotify, &mut buffer).is_ok_and(|got| got > 0) {}
    }
}
