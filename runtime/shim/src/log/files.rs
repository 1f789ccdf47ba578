//! JSON lines in files, as Docker's `json-file` writes them: rotated by size, older ones compressed if that is wanted.

use crate::config::LogFiles;
use crate::sys::exec::{CStrings, Forked, execve, exit_now, fork};
use crate::sys::{fd, signal};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How long a rotation waits for the compression of the file before.
const PATIENCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };

/// The files of one log.
pub struct Files {
    config: LogFiles,
    file: Option<File>,
    size: u64,
    compressing: Option<Pid>,
}

impl Files {
    /// Opens the newest one, appending.
    pub fn open(config: LogFiles) -> io::Result<Self> {
        let file = append(&config.path)?;
        let size = file.metadata()?.len();
        Ok(Self { config, file: Some(file), size, compressing: None })
    }

    /// Writes a line, to a new file if this one is full.
    pub fn append(&mut self, json: &[u8]) {
        if self.size > 0 && self.size.saturating_add(json.len() as u64) > self.config.max_size {
            self.rotate();
        }
        if let Some(file) = &mut self.file
            && file.write_all(json).is_ok()
        {
            self.size += json.len() as u64;
        }
    }

    fn rotate(&mut self) {
        self.await_compression();
        let path = &self.config.path;
        for n in (1..self.config.max_files).rev() {
            let from = if n == 1 { path.clone() } else { rotated(path, n - 1) };
            let to = rotated(path, n);
            // Whether it is compressed or not: what has this number now goes.
            let _ = std::fs::remove_file(packed(&to));
            let _ = std::fs::rename(&from, &to);
            if n > 1 {
                let _ = std::fs::rename(packed(&from), packed(&to));
            }
        }
        if self.config.max_files <= 1 {
            let _ = std::fs::remove_file(path);
        } else {
            self.compressing = self.config.compressor.as_ref().and_then(|program| compress(program, &rotated(path, 1)));
        }
        self.file = append(path).ok();
        self.size = 0;
    }

    /// Two rotations of one file at once would mix them up.
    fn await_compression(&mut self) {
        let Some(pid) = self.compressing.take() else { return };
        if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
            let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
            let _ = rustix::event::poll(&mut fds, Some(&PATIENCE));
        }
        let _ = kill_process(pid, Signal::KILL);
        let _ = waitpid(Some(pid), WaitOptions::empty());
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.await_compression();
    }
}

/// Starts the program that compresses its input; the plain file goes once the other one is whole. A file that a killed
/// shim left half done is written anew.
fn compress(program: &Path, plain: &Path) -> Option<Pid> {
    let part = part(plain);
    let from = File::open(plain).ok()?;
    let to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&part).ok()?;
    let argv = CStrings::new(vec![c"rcr-unpack".to_owned(), c"compress".to_owned()]);
    let env = CStrings::new(Vec::new());
    let program = CString::new(program.as_os_str().as_bytes()).ok()?;
    match fork().ok()? {
        Forked::Parent { pid } => Pid::from_raw(pid),
        // One thread, and a copy of all memory: it may do what it likes until it ends.
        Forked::Child => exit_now(match fork() {
            Ok(Forked::Child) => {
                signal::reset_all();
                let ready = fd::dup_onto(from.as_fd(), 0).and_then(|()| fd::dup_onto(to.as_fd(), 1));
                match ready.and_then(|()| fd::cloexec_from(3)) {
                    Ok(()) => exit_now(execve(&program, &argv, &env) as i32),
                    Err(errno) => exit_now(errno as i32),
                }
            }
            Ok(Forked::Parent { pid }) => {
                let ended = Pid::from_raw(pid).and_then(|pid| waitpid(Some(pid), WaitOptions::empty()).ok().flatten());
                let done = ended.is_some_and(|(_, status)| status.exit_status() == Some(0));
                let kept =
                    done && std::fs::rename(&part, packed(plain)).and_then(|()| std::fs::remove_file(plain)).is_ok();
                i32::from(!kept)
            }
            Err(_) => 1,
        }),
    }
}

fn append(path: &Path) -> io::Result<File> {
    // Its folder says who may read it.
    OpenOptions::new().append(true).create(true).mode(0o644).open(path)
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// The name of the n-th older file.
pub fn rotated(path: &Path, n: u32) -> PathBuf {
    with(path, &format!(".{n}"))
}

/// The name of a file once it is compressed.
pub fn packed(path: &Path) -> PathBuf {
    with(path, ".gz")
}

fn part(path: &Path) -> PathBuf {
    with(path, ".part")
}
