//! Naming a process so that a reused pid is not mistaken for it.

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::ffi::CStr;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

/// A pid with the time its process was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid, as this process sees it.
    pub pid: i32,
    /// Clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
    pub start: u64,
}

impl ProcessId {
    /// The process `pid`, if it is there.
    pub fn of(pid: i32) -> Option<Self> {
        start_time(pid).map(|start| Self { pid, start })
    }

    /// Whether it still runs; a zombie does not.
    pub fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.start)
    }

    /// A pidfd of it: checked after opening, so that it is this process or none.
    pub fn open(&self) -> Option<OwnedFd> {
        let fd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        self.is_alive().then_some(fd)
    }
}

/// One open, one read, one close, and nothing allocated: a listing asks for each of a thousand containers.
fn start_time(pid: i32) -> Option<u64> {
    let mut path = [0; 32];
    write!(&mut path[..], "/proc/{pid}/stat").ok()?;
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // 52 numbers and a name of 64 bytes at most: the kernel gives them with one read.
    let mut stat = [0; 1536];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut stat)).ok()?;
    // The second field is the name in parentheses, which may itself hold spaces, parentheses, and any byte.
    let end = stat[..length].windows(2).rposition(|pair| pair == b") ")?;
    let mut fields = std::str::from_utf8(&stat[end + 2..length]).ok()?.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// This boot's id, a UUID (`/proc/sys/kernel/random/boot_id`).
pub fn boot_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    let read = || std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
    ID.get_or_init(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_a_stranger_with_its_pid_is_not() {
        let me = ProcessId::of(std::process::id() as i32).unwrap();
        assert!(me.is_alive());
        assert!(!ProcessId { start: me.start + 1, ..me }.is_alive());
        assert!(me.open().is_some());
    }
}
