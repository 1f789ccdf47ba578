//! Renaming containers.

use crate::events::subjects;
use crate::instance::Instance;
use crate::monitor::request;
use crate::net::Netd;
use netd_api::{Call, NetworkName};
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_shim::protocol::Request;
use std::time::Duration;

/// How long a container's shim may take to hear of it.
const MOMENT: Duration = Duration::from_secs(1);

/// A container's name follows the same rule as a network's.
pub(crate) fn check_name(name: &str) -> Outcome<()> {
    name.parse::<NetworkName>().map(drop).map_err(|e| {
        Error::new(Kind::Invalid, format!("cannot use `{name}` as a container name")).caused_by(format!("it {}", e.why))
    })
}

/// Renames a container, also on its networks.
pub fn rename(instance: &Instance, name: &str, new: &str) -> Outcome<()> {
    let containers = instance.containers();
    let mut container = containers.find(name)?;
    let config = &mut container.config;
    check_name(new)?;
    containers.take_name(new, &config.id, !config.auto_remove)?;
    let old = std::mem::replace(&mut config.name, new.to_owned());
    if let Err(failure) = containers.save(config) {
        let _ = containers.release_name(new);
        return Err(failure);
    }
    containers.release_name(&old).doing(|| format!("cannot give the name `{old}` back"))?;
    if let Some(mut netd) = Netd::connect_running(&instance.dirs) {
        // A container that does not run has no sandbox to rename.
        let _ = netd.call(Call::SandboxRename { id: config.id.clone(), name: new.to_owned() });
    }
    // As with Docker, the old name is written as a path.
    subjects::container(&instance.dirs, config).note_with("rename", &[("oldName", format!("/{old}"))]);
    if container.state.status.is_alive() {
        // A shim that does not hear of it writes its events with the old name.
        let _ = request(instance, &container, &Request::Rename { name: new.to_owned() }, Some(MOMENT));
    }
    Ok(())
}
