//! `system boot` and `system halt`: with the machine up, with the machine down.

use super::{run, stop};
use crate::cli::system::SystemCommand;
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::boot;
use rcr_engine::instance::Instance;

/// `rcr system`.
pub fn system(instance: &Instance, command: &SystemCommand) -> Outcome<i32> {
    match command {
        SystemCommand::Boot => start_wanted(instance),
        SystemCommand::Halt => stop_all(instance),
    }
}

/// Oldest first, and again as long as that helps: a container that joins another's network needs the other one up.
fn start_wanted(instance: &Instance) -> Outcome<i32> {
    instance.dirs.ensure()?;
    rcr_engine::system::sweep(instance)?;
    let mut left: Vec<String> = Vec::new();
    for container in instance.containers().list()? {
        if boot::wanted(&instance.dirs, &container.config) && !container.state.status.is_alive() {
            left.push(container.config.name);
        }
    }
    loop {
        let mut failed: Vec<(String, Error)> = Vec::new();
        for name in &left {
            match run::start_one(instance, name) {
                Ok(()) => println!("{name}"),
                Err(failure) => failed.push((name.clone(), failure)),
            }
        }
        if failed.is_empty() || failed.len() == left.len() {
            failed.iter().for_each(|(_, failure)| crate::report::print(failure));
            return Ok(i32::from(!failed.is_empty()));
        }
        left = failed.into_iter().map(|(name, _)| name).collect();
    }
}

/// All at once: each has its own stop timeout.
fn stop_all(instance: &Instance) -> Outcome<i32> {
    let running: Vec<_> = instance.containers().list()?.into_iter().filter(|c| c.state.status.is_alive()).collect();
    let ends: Vec<Outcome<()>> = std::thread::scope(|scope| {
        let stops: Vec<_> =
            running.iter().map(|c| scope.spawn(move || stop::stop_one(instance, c, None, None))).collect();
        let lost =
            || Err(Error::new(Kind::Invalid, "cannot stop a container").caused_by("the thread that did it ended"));
        stops.into_iter().map(|stop| stop.join().unwrap_or_else(|_| lost())).collect()
    });
    let mut code = 0;
    for (container, end) in running.iter().zip(ends) {
        match end {
            Ok(()) => println!("{}", container.config.name),
            Err(failure) => {
                crate::report::print(&failure);
                code = 1;
            }
        }
    }
    Ok(code)
}
