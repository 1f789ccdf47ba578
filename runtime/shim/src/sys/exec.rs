//! Executing programs: the container's own (execve(2)) and our shim (execveat(2) by descriptor).

use super::check;
use nix::errno::Errno;
use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// A null-terminated array of C strings, built before the clone so that the child need not allocate.
pub struct CStrings {
    pointers: Vec<*const libc::c_char>,
    /// Owns what the pointers point to.
    _strings: Vec<CString>,
    /// Room for one more string, which only the child knows.
    spare: Vec<u8>,
}

/// Bytes of the spare string, its null byte included.
pub const SPARE: usize = 4096;

impl CStrings {
    /// Takes the strings over and leaves room for one more.
    pub fn new(strings: Vec<CString>) -> Self {
        let mut pointers = Vec::with_capacity(strings.len() + 2);
        pointers.extend(strings.iter().map(|s| s.as_ptr()));
        pointers.push(ptr::null());
        Self { pointers, _strings: strings, spare: Vec::with_capacity(SPARE) }
    }

    /// Copies one more string into the spare room, without allocating. Where it doesn't fit, or the room is taken,
    /// nothing happens.
    pub fn push_copied(&mut self, bytes: &[u8]) {
        if !self.spare.is_empty() || bytes.len() >= SPARE || bytes.contains(&0) {
            return;
        }
        self.spare.extend_from_slice(bytes);
        self.spare.push(0);
        let end = self.pointers.len() - 1;
        self.pointers[end] = self.spare.as_ptr().cast();
        self.pointers.push(ptr::null());
    }
}

/// Writes the working directory into `buffer` (getcwd(2), the system call: glibc's wrapper allocates) and returns its
/// first byte.
pub fn current_folder(buffer: &mut [u8]) -> Result<u8, Errno> {
    // SAFETY: pointer and length describe the borrowed buffer.
    check(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    Ok(buffer.first().copied().unwrap_or_default())
}

/// execve(2): returns only on failure.
pub fn execve(path: &std::ffi::CStr, argv: &CStrings, env: &CStrings) -> Errno {
    // SAFETY: both arrays are null-terminated arrays of null-terminated strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), env.pointers.as_ptr()) };
    Errno::last()
}

/// Executes the program behind a descriptor (`AT_EMPTY_PATH`): returns only on failure.
pub fn fexecve(program: BorrowedFd, argv: &CStrings, env: &CStrings) -> Errno {
    // SAFETY: as in `execve`; the empty path with AT_EMPTY_PATH names the borrowed descriptor itself.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.pointers.as_ptr(),
            env.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    check(ret).err().unwrap_or(Errno::EINVAL)
}

/// Ends this process at once, without running destructors or exit handlers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) never returns and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// What [`fork`] returns in each process.
pub enum Forked {
    /// This is the new process.
    Child,
    /// This is the old one.
    Parent {
        /// The child's pid.
        pid: i32,
    },
}

/// fork(2), for a process with one thread.
pub fn fork() -> Result<Forked, Errno> {
    // SAFETY: the callers have a single thread, so that the child's copy of every lock is free.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::last()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent { pid }),
    }
}

/// Executes `args` as execvp(3) does, with this process's environment: returns only on failure.
pub fn execve_args(args: &[CString]) -> Errno {
    match nix::unistd::execvp(args.first().map_or(c"", |arg| arg.as_c_str()), args) {
        Err(errno) => errno,
        Ok(never) => match never {},
    }
}
