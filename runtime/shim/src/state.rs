//! A container's run-time state: `<run>/containers/<id>/state.json`, and a copy in `<root>/containers/<id>` that
//! outlives a reboot. Its writer is `rcr` until the shim runs, then the shim; it is always replaced whole (written
//! beside, then renamed).
//!
//! A shim holds a lock on the file that it wrote last (fcntl(2), F_SETLK). The kernel names the process that has it, so
//! that who lists a thousand containers knows by one call which shims live.

use super::health::HealthStatus;
use super::process::{self, ProcessId};
use nix::fcntl::{FcntlArg, fcntl};
use rcr_base::SmallFiles;
use rustix::fs::CWD;
use rustix::path::Arg;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// The file's name.
pub const STATE_NAME: &str = "state.json";

/// What is known of a container's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Where it is in its life.
    pub status: Status,
    /// The shim, from the moment it runs.
    pub shim: Option<ProcessId>,
    /// The container's init.
    pub init: Option<ProcessId>,
    /// A record of an earlier boot says nothing about processes of this one.
    pub boot_id: String,
    /// Of the last end.
    pub exit_code: Option<i32>,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339; of the last end.
    pub finished_at: Option<String>,
    /// How often its restart policy has started it again.
    pub restart_count: u32,
    /// Ended by `rcr stop` or `rcr kill`: `unless-stopped` then stays down.
    #[serde(default)]
    pub stopped_by_user: bool,
    /// The kernel killed one of its processes for its memory limit.
    #[serde(default)]
    pub oom_killed: bool,
    /// What its health check says; absent: it has none, or does not run.
    #[serde(default)]
    pub health: Option<HealthStatus>,
    /// Why the last start failed, or how the container was lost.
    pub error: Option<String>,
}

/// The container's state machine: `Created → Running ⇄ Restarting → Exited`, and from `Exited` to `Running` again;
/// `Running ⇄ Paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never started.
    Created,
    /// Its program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Ended, waiting for its restart policy.
    Restarting,
    /// It has ended.
    Exited,
}

impl Status {
    /// As listings show it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Exited => "exited",
        }
    }

    /// Whether a shim should be running.
    pub fn is_alive(self) -> bool {
        matches!(self, Status::Running | Status::Paused | Status::Restarting)
    }
}

impl State {
    /// A container that has never run.
    pub fn created() -> Self {
        Self {
            status: Status::Created,
            shim: None,
            init: None,
            boot_id: process::boot_id().to_owned(),
            exit_code: None,
            started_at: None,
            finished_at: None,
            restart_count: 0,
            stopped_by_user: false,
            oom_killed: false,
            health: None,
            error: None,
        }
    }

    /// Reads the state in `run_dir`; a missing file (a reboot cleared it) is a container that does not run.
    /// A record that says `running` without a living shim is corrected: the container died with its monitor.
    pub fn read(run_dir: &Path) -> io::Result<Option<State>> {
        Self::read_by(&mut SmallFiles::default(), CWD, run_dir.join(STATE_NAME))
    }

    /// The same for one of many: the file `path` below `folder`.
    pub fn read_by(files: &mut SmallFiles, folder: impl AsFd, path: impl Arg) -> io::Result<Option<State>> {
        let (file, bytes) = match files.read(folder, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut state: State = serde_json::from_slice(bytes).map_err(io::Error::other)?;
        let rebooted = state.boot_id != process::boot_id();
        let lives = |shim: &ProcessId| holder(&file) == Some(shim.pid) || shim.is_alive();
        let gone = || rebooted || !state.shim.as_ref().is_some_and(lives);
        if state.status.is_alive() && gone() {
            state.status = Status::Exited;
            state.exit_code = Some(128 + libc::SIGKILL);
            let why = if rebooted { "the machine went down while it ran" } else { "the container's shim is gone" };
            state.error = Some(why.into());
            state.init = None;
            state.shim = None;
            state.health = None;
        }
        Ok(Some(state))
    }

    /// Writes it, whole or not at all.
    pub fn write(&self, run_dir: &Path) -> io::Result<()> {
        self.replace(run_dir, |_| ()).map(drop)
    }

    /// The same by the shim that the state names: it lives as long as it holds what this returns.
    pub fn write_held(&self, run_dir: &Path) -> io::Result<File> {
        self.replace(run_dir, |file| {
            // A file system without locks is no reason to lose the state: the start of the process says the same.
            let _ = fcntl(file, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK)));
        })
    }

    fn replace(&self, run_dir: &Path, prepare: impl FnOnce(&File)) -> io::Result<File> {
        let temporary = run_dir.join(format!(".{STATE_NAME}.{}", std::process::id()));
        let mut file = File::create(&temporary)?;
        prepare(&file);
        file.write_all(&serde_json::to_vec(self)?)?;
        std::fs::rename(temporary, run_dir.join(STATE_NAME))?;
        Ok(file)
    }
}

/// The process that holds a lock on a file. Only root can write the file, so only root can lock it like this.
fn holder(file: impl AsFd) -> Option<i32> {
    let mut lock = whole_file(libc::F_RDLCK);
    fcntl(file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    (i32::from(lock.l_type) == libc::F_WRLCK).then_some(lock.l_pid)
}

fn whole_file(kind: i32) -> libc::flock {
    libc::flock { l_type: kind as _, l_whence: libc::SEEK_SET as _, l_start: 0, l_len: 0, l_pid: 0 }
}
