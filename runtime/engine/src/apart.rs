//! Mounts that one thread alone sees: it has a mount namespace of its own, which ends with it, so that no crash leaves a
//! mount behind.

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use rcr_base::{Doing, Error, Kind, Outcome, errno};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// No link leads out of a folder, and none of procfs is followed.
pub const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Does something in such a thread.
pub fn apart<T: Send>(work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNS).doing(|| "make a mount namespace")?;
        rustix::mount::mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
            .doing(|| "make its mounts private")?;
        work()
    };
    let thread = std::thread::scope(|scope| scope.spawn(inside).join());
    thread.unwrap_or_else(|_| Err(Error::new(Kind::System, "a thread ended without an answer")))
}

/// Folders over each other, the topmost first, read-only; the result is opened.
pub fn over_each_other(on: &Path, folders: &[PathBuf]) -> Result<OwnedFd, Errno> {
    // One alone is what it shows: overlayfs takes two or more.
    if let [only] = folders {
        return open_folder(only);
    }
    let folders = folders.iter().map(|folder| open_folder(folder)).collect::<Result<Vec<_>, _>>()?;
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    mount_overlay(on, &folders, "", flags)
}

/// Mounts overlayfs with these lower folders, the topmost first, and more options; the result is opened.
pub fn mount_overlay(on: &Path, lower: &[OwnedFd], more: &str, flags: MountFlags) -> Result<OwnedFd, Errno> {
    let lower: Vec<String> = lower.iter().map(by_number).collect();
    let data = CString::new(format!("lowerdir={}{more}", lower.join(":"))).map_err(|_| Errno::EINVAL)?;
    rustix::mount::mount(c"overlay", on, c"overlay", flags, data.as_c_str()).map_err(errno)?;
    open_folder(on)
}

/// A path that leads to what is open, whatever its own path has in it.
pub fn by_number(folder: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", folder.as_raw_fd())
}

/// A folder, for reading.
pub fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(errno)
}
