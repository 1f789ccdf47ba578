//! A cgroup's processes at a halt: `cgroup.freeze` (cgroup v2), `freezer.state` (v1).

use crate::config::CgroupPaths;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the kernel may take to freeze all processes: one in the middle of a system call first comes to its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file, what freezes by it, and what thaws; another file (or itself) and the line in it that says that all is frozen.
pub struct Freezer {
    file: PathBuf,
    freeze: &'static str,
    thaw: &'static str,
    told: PathBuf,
    frozen: &'static str,
}

impl Freezer {
    /// A cgroup's freezer; `None`: this kernel gives it none.
    pub fn of(cgroup: &CgroupPaths) -> Option<Self> {
        let unified = cgroup.unified.iter().find(|folder| folder.join("cgroup.freeze").exists());
        if let Some(folder) = unified {
            return Some(Self {
                file: folder.join("cgroup.freeze"),
                freeze: "1",
                thaw: "0",
                told: folder.join("cgroup.events"),
                frozen: "frozen 1",
            });
        }
        let folder = cgroup.legacy.iter().find(|folder| folder.join("freezer.state").exists())?;
        Some(Self {
            file: folder.join("freezer.state"),
            freeze: "FROZEN",
            thaw: "THAWED",
            told: folder.join("freezer.state"),
            frozen: "FROZEN",
        })
    }

    /// Freezes all processes, and waits until they are; a failure leaves them running. `TimedOut`: one of them does not
    /// come to a halt.
    pub fn freeze(&self) -> io::Result<()> {
        fs::write(&self.file, self.freeze)?;
        let until = Instant::now() + PATIENCE;
        let halted = loop {
            match fs::read_to_string(&self.told) {
                Ok(told) if told.lines().any(|line| line.trim() == self.frozen) => return Ok(()),
                Ok(_) if Instant::now() < until => {}
                Ok(_) => break io::Error::from(io::ErrorKind::TimedOut),
                Err(error) => break error,
            }
            std::thread::sleep(Duration::from_millis(1));
            // Version 1 wants to be told again if a process was born meanwhile.
            let _ = fs::write(&self.file, self.freeze);
        };
        let _ = self.thaw();
        Err(halted)
    }

    /// Lets all processes go on.
    pub fn thaw(&self) -> io::Result<()> {
        fs::write(&self.file, self.thaw)
    }
}
