//! Containers that start at boot, as Docker starts them with its daemon: those whose `--restart` policy wants it.
//!
//! A file of its own marks them, `<root>/containers/<id>/up`, since a container's state does not outlive a reboot.

use crate::config::Config;
use crate::dirs::Dirs;
use rcr_base::{Doing, Outcome};
use rcr_shim::config::RestartPolicy;
use std::fs;
use std::io;
use std::path::PathBuf;

const MARK: &str = "up";

fn mark(dirs: &Dirs, config: &Config) -> PathBuf {
    dirs.container(&config.id).join(MARK)
}

/// Records that the container was started, if its policy is about boots at all.
pub fn started(dirs: &Dirs, config: &Config) -> Outcome<()> {
    match config.restart {
        RestartPolicy::Always | RestartPolicy::UnlessStopped => fs::write(mark(dirs, config), [])
            .doing(|| format!("cannot record that container `{}` starts at boot", config.name)),
        RestartPolicy::No | RestartPolicy::OnFailure(_) => Ok(()),
    }
}

/// Its policy is another one now. `runs`: as if it had been started with it.
pub fn policy_changed(dirs: &Dirs, config: &Config, runs: bool) -> Outcome<()> {
    match config.restart {
        RestartPolicy::Always | RestartPolicy::UnlessStopped if runs => started(dirs, config),
        RestartPolicy::Always | RestartPolicy::UnlessStopped => Ok(()),
        RestartPolicy::No | RestartPolicy::OnFailure(_) => unmark(dirs, config),
    }
}

/// The user stopped it: then `unless-stopped` stays down, while `always` starts at boot.
pub fn stopped(dirs: &Dirs, config: &Config) -> Outcome<()> {
    if config.restart != RestartPolicy::UnlessStopped {
        return Ok(());
    }
    unmark(dirs, config)
}

fn unmark(dirs: &Dirs, config: &Config) -> Outcome<()> {
    match fs::remove_file(mark(dirs, config)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("cannot record that container `{}` does not start at boot", config.name))
        }
        _ => Ok(()),
    }
}

/// Whether it starts at boot.
pub fn wanted(dirs: &Dirs, config: &Config) -> bool {
    mark(dirs, config).exists()
}
