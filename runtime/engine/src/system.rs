//! What happens to all containers: with the machine up, with the machine down.

use crate::instance::Instance;
use crate::remove::remove;
use rcr_base::{Doing, Outcome};
use rcr_shim::process;
use std::fs;

/// Once after each boot: a container with `--rm` that the machine went down with would have removed itself.
pub fn sweep(instance: &Instance) -> Outcome<()> {
    let mark = instance.dirs.run.join("swept");
    if mark.exists() {
        return Ok(());
    }
    for container in instance.containers().list()? {
        let rebooted = container.state.boot_id != process::boot_id();
        if container.config.auto_remove && rebooted && !container.state.status.is_alive() {
            remove(instance, &container, true)?;
        }
    }
    fs::write(&mark, []).doing(|| format!("cannot write `{}`", mark.display()))
}
