//! A container's cgroup, frozen and thawed: `cgroup.freeze` (cgroup v2), `freezer.state` (v1).

use crate::cgroup;
use crate::config::Config;
use rcr_base::{Doing, Error, Kind, Outcome};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the kernel may take to freeze all processes: one in the middle of a system call first comes to its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file, what freezes by it, and what thaws; another file (or itself) and the line in it that says that all is frozen.
struct Freezer {
    file: PathBuf,
    freeze: &'static str,
    thaw: &'static str,
    told: PathBuf,
    frozen: &'static str,
}

fn freezer(config: &Config) -> Outcome<Freezer> {
    let paths = cgroup::paths(&cgroup::kind()?, config);
    let unified = paths.unified.iter().find(|folder| folder.join("cgroup.freeze").exists());
    let legacy = paths.legacy.iter().find(|folder| folder.join("freezer.state").exists());
    match (unified, legacy) {
        (Some(folder), _) => Ok(Freezer {
            file: folder.join("cgroup.freeze"),
            freeze: "1",
            thaw: "0",
            told: folder.join("cgroup.events"),
            frozen: "frozen 1",
        }),
        (None, Some(folder)) => Ok(Freezer {
            file: folder.join("freezer.state"),
            freeze: "FROZEN",
            thaw: "THAWED",
            told: folder.join("freezer.state"),
            frozen: "FROZEN",
        }),
        (None, None) => Err(Error::new(Kind::Unavailable, format!("cannot freeze container `{}`", config.name))
            .caused_by("its cgroup has no freezer")
            .hint("the kernel needs cgroup v2, or the controller `freezer` of v1")),
    }
}

/// Freezes all processes of a container, and waits until they are; a failure leaves them running.
pub fn freeze(config: &Config) -> Outcome<()> {
    let freezer = freezer(config)?;
    let doing = || format!("cannot freeze container `{}`", config.name);
    fs::write(&freezer.file, freezer.freeze).doing(doing)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let told = fs::read_to_string(&freezer.told).doing(doing)?;
        if told.lines().any(|line| line.trim() == freezer.frozen) {
            return Ok(());
        }
        if Instant::now() > until {
            let _ = fs::write(&freezer.file, freezer.thaw);
            return Err(Error::new(Kind::Unavailable, doing()).caused_by("a process of it does not come to a halt"));
        }
        std::thread::sleep(Duration::from_millis(1));
        // Version 1 wants to be told again if a process was born meanwhile.
        let _ = fs::write(&freezer.file, freezer.freeze);
    }
}

/// Lets all processes of a container go on.
pub fn thaw(config: &Config) -> Outcome<()> {
    let freezer = freezer(config)?;
    fs::write(&freezer.file, freezer.thaw).doing(|| format!("cannot thaw container `{}`", config.name))
}

/// Frozen for as long as it lives.
pub struct Held(Config);

/// Freezes a container until what it returns is dropped.
pub fn hold(config: &Config) -> Outcome<Held> {
    freeze(config)?;
    Ok(Held(config.clone()))
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = thaw(&self.0);
    }
}
