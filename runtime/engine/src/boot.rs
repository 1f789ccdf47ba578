//! Containers that start at boot, as Docker starts them with its daemon: those whose `--restart` policy wants it.
//!
//! A file of its own marks them, `<root>/containers/<id>/up`, since a container's state does not outlive a reboot. One
//! with `--rm` that has run is marked by `ran`: it goes at a boot.

use crate::config::Config;
use crate::dirs::Dirs;
use crate::store::Container;
use rcr_base::{Doing, Outcome};
use rcr_shim::config::RestartPolicy;
use rcr_shim::process::boot_id;
use rcr_shim::state::STATE_NAME;
use std::fs;
use std::io;
use std::path::PathBuf;

const MARK: &str = "up";
const RAN: &str = "ran";

fn mark(dirs: &Dirs, config: &Config) -> PathBuf {
    dirs.container(&config.id).join(MARK)
}

/// Records that the container was started, if a boot is to know: it starts then, or goes.
pub fn started(dirs: &Dirs, config: &Config) -> Outcome<()> {
    if config.auto_remove {
        return fs::write(dirs.container(&config.id).join(RAN), [])
            .doing(|| format!("cannot record that container `{}` has run", config.name));
    }
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

/// Whether it is one with `--rm` that was running when the machine went down: of an older rcr by its state, which names
/// that boot.
pub fn left_over(dirs: &Dirs, container: &Container) -> bool {
    let Container { config, state } = container;
    let forgotten = !dirs.container_run(&config.id).join(STATE_NAME).exists();
    let rebooted = state.boot_id != boot_id() || (forgotten && dirs.container(&config.id).join(RAN).exists());
    config.auto_remove && rebooted && !state.status.is_alive()
}

/// Whether it starts at boot.
pub fn wanted(dirs: &Dirs, config: &Config) -> bool {
    mark(dirs, config).exists()
}
