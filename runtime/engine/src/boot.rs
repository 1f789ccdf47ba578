//! What comes up with the machine: containers whose `--restart` policy wants them up, as Docker starts them with its
//! daemon.
//!
//! A file of its own says so, `<root>/containers/<id>/up`, since a container's state does not outlive a reboot.

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

/// Remembers that the container was started, if its policy is about boots at all.
pub fn started(dirs: &Dirs, config: &Config) -> Outcome<()> {
    match config.restart {
        RestartPolicy::Always | RestartPolicy::UnlessStopped => fs::write(mark(dirs, config), [])
            .doing(|| format!("cannot remember that container `{}` comes up with the machine", config.name)),
        RestartPolicy::No | RestartPolicy::OnFailure(_) => Ok(()),
    }
}

/// The user stopped it: `unless-stopped` stays down then, `always` comes back with the machine.
pub fn stopped(dirs: &Dirs, config: &Config) -> Outcome<()> {
    if config.restart != RestartPolicy::UnlessStopped {
        return Ok(());
    }
    match fs::remove_file(mark(dirs, config)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("cannot remember that container `{}` was stopped", config.name))
        }
        _ => Ok(()),
    }
}

/// Whether it comes up with the machine.
pub fn wanted(dirs: &Dirs, config: &Config) -> bool {
    mark(dirs, config).exists()
}
