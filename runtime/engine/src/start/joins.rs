//! Other containers whose processes or shared memory one joins.

use crate::config::{Config, IpcMode, PidMode};
use crate::instance::Instance;
use netd_api::ContainerId;
use rcr_base::{Error, Kind, Outcome, command};
use rcr_shim::config::{Joins, Other};

/// Finds those that are named; they must run. The shim asks their states again whenever it starts the program.
pub fn joins(instance: &Instance, config: &Config) -> Outcome<Joins> {
    let pid = match &config.namespaces.pid {
        PidMode::Container(id) => Some(other(instance, id, "--pid")?),
        PidMode::Private | PidMode::Host => None,
    };
    let ipc = match &config.namespaces.ipc {
        IpcMode::Container(id) => Some(other(instance, id, "--ipc")?),
        _ => None,
    };
    Ok(Joins { pid, ipc })
}

fn other(instance: &Instance, id: &ContainerId, flag: &str) -> Outcome<Other> {
    let target = instance.containers().load(id).map_err(|failure| {
        failure.hint(format!("the container that it joins was removed: create this one again, with another `{flag}`"))
    })?;
    let name = target.config.name;
    if !target.state.status.is_alive() {
        return Err(Error::new(Kind::Conflict, format!("cannot join container `{name}` (`{flag}`)"))
            .caused_by(format!("it is {}", target.state.status.name()))
            .hint(format!("start it first: {}", command::start(&name))));
    }
    Ok(Other { run_dir: instance.dirs.container_run(id), name })
}
