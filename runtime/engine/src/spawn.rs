//! Starts the shim's program from a read-only detached mount of its file, so that nothing it starts can write to it.

use rcr_base::sibling;
use rcr_base::{Doing, Error, Outcome};
use rcr_shim::config::CONTROL_FD;
use rcr_shim::sys::exec::{CStrings, Forked, exit_now, fexecve, fork};
use rcr_shim::sys::{fd, mount};
use rustix::mount::OpenTreeFlags;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// The shim's file.
pub fn shim_program() -> PathBuf {
    sibling("rcr-shim")
}

/// Starts the shim in `role` (`container` or `exec`). Returns our end of its control socket, and its pid.
///
/// This process must have one thread. The child does nothing but system calls before execveat(2).
pub fn shim(role: &str) -> Outcome<(UnixStream, i32)> {
    let program = open_read_only()?;
    let (ours, theirs) = UnixStream::pair().doing(|| "cannot create a socket pair")?;
    let string = |text: &str| CString::new(text).unwrap_or_default();
    let argv = CStrings::new(vec![string("rcr-shim"), string(role)]);
    let env = CStrings::new(Vec::new());
    match fork().doing(|| "cannot fork")? {
        Forked::Child => {
            let code = match fd::dup_onto(theirs.as_fd(), CONTROL_FD) {
                // A file executed by descriptor must still be open: its number is beyond the control socket's.
                Ok(()) => fexecve(program.as_fd(), &argv, &env) as i32,
                Err(errno) => errno as i32,
            };
            exit_now(code)
        }
        Forked::Parent { pid } => Ok((ours, pid)),
    }
}

fn open_read_only() -> Outcome<OwnedFd> {
    let path = shim_program();
    let doing = || format!("cannot open the shim `{}`", path.display());
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, &path, flags);
    let tree = tree
        .doing(doing)
        .map_err(|failure: Error| failure.hint("rcr-shim must be installed beside rcr, and rcr needs root"))?;
    mount::set_attr(tree.as_fd(), mount::ATTR_RDONLY, 0, false).doing(doing)?;
    // Numbers up to the control socket's are about to be overwritten in the child.
    rustix::io::fcntl_dupfd_cloexec(&tree, CONTROL_FD + 1).doing(doing)
}
