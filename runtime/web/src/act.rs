//! What may be changed. A change is made by a process of its own, which is this program again: a start forks, which takes
//! a process with one thread, and a change that is under way ends neither with the page nor with Ctrl-C.

use crate::options::{CHANGE, Options};
use crate::route::Act;
use netd_api::AttachmentRequest;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::instance::Instance;
use rcr_engine::remove::{Remove, remove_named};
use rcr_engine::stop::{self, Stop};
use rcr_engine::{explain, networks, start};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Makes a change. This process must have one thread.
pub fn act(instance: &Instance, act: &Act) -> Outcome<()> {
    match act {
        Act::Start(name) => start::start_named(instance, name).map(drop),
        Act::Stop(name) => stop::stop(instance, name, Stop::default()),
        Act::Restart(name) => {
            stop::stop_to_restart(instance, name, Stop::default())?;
            start::start_again(instance, name).map(drop)
        }
        Act::Remove(name) => remove_named(instance, name, Remove::default()),
        Act::Connect { network, container } => networks::connect(instance, container, AttachmentRequest::to(network)),
        Act::Disconnect { network, container } => networks::disconnect(instance, container, network, false),
        Act::Repair => explain::check(instance, true).map(drop),
    }
}

/// Has a change made, and waits until it is.
pub fn have_made(options: &Options, act: &Act) -> Outcome<()> {
    const DOING: &str = "cannot start the program that makes the change";
    let change = serde_json::to_string(act).map_err(|error| Error::new(Kind::System, error.to_string()))?;
    // Its own file, even if another has taken its place since.
    let mut command = Command::new("/proc/self/exe");
    command.arg("--root").arg(&options.instance.root).arg("--run").arg(&options.instance.run);
    if let Some(config) = &options.instance.config {
        command.arg("--config").arg(config);
    }
    command.arg(CHANGE).arg(change).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // In a process group of its own: what a terminal sends to ours (SIGINT) does not end it.
    let output = command.process_group(0).output().doing(|| DOING)?;
    match serde_json::from_slice::<Result<(), Error>>(&output.stdout) {
        Ok(result) => result,
        Err(_) => Err(Error::new(Kind::System, "the change ended without an answer")
            .caused_by(format!("the program that made it: {}", output.status))),
    }
}
