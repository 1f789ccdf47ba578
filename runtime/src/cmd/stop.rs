//! `stop`, `restart`, `kill`, `rm`, `wait`, `pause`, `unpause`, `update`, `rename`.

use super::each::each;
use super::run;
use crate::cli::container::{KillArgs, NamesArgs, RenameArgs, RmArgs, StopArgs, UpdateArgs, WaitArgs};
use crate::flags::resources::change;
use crate::report;
use crate::term::progress::Progress;
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::freeze;
use rcr_engine::instance::Instance;
use rcr_engine::many::at_once;
use rcr_engine::remove::{self, Remove};
use rcr_engine::rename;
use rcr_engine::start;
use rcr_engine::stop::{self, Stop};
use rcr_engine::update::{self, Change};
use rcr_engine::wait;

fn how(args: &StopArgs) -> Stop {
    Stop { signal: args.signal, timeout: args.time }
}

/// [`at_once`]: prints each name where something was done (`true`), and reports each failure.
fn side_by_side(names: &[String], act: impl Fn(&str) -> Outcome<bool> + Sync) -> i32 {
    let mut code = 0;
    for (name, done) in names.iter().zip(at_once(names, act)) {
        match done {
            Ok(true) => println!("{name}"),
            Ok(false) => {}
            Err(failure) => {
                report::print(&failure);
                code = 1;
            }
        }
    }
    code
}

/// `rcr stop`.
pub fn stop(instance: &Instance, args: &StopArgs) -> Outcome<i32> {
    let how = how(args);
    Ok(side_by_side(&args.names, |name| stop::stop(instance, name, how).map(|()| true)))
}

/// `rcr restart`.
pub fn restart(instance: &Instance, args: &StopArgs) -> Outcome<i32> {
    let how = how(args);
    let stopped = at_once(&args.names, |name| stop::stop_to_restart(instance, name, how));
    // Starting forks, which takes a process of one thread.
    let mut stopped = stopped.into_iter();
    Ok(each(&args.names, |name| {
        stopped.next().unwrap_or(Ok(()))?;
        start::start_again(instance, name).map(|started| run::warn_obstacles(&started))
    }))
}

/// `rcr kill`.
pub fn kill(instance: &Instance, args: &KillArgs) -> Outcome<i32> {
    Ok(each(&args.names, |name| stop::kill(instance, name, args.signal)))
}

/// `rcr rm`.
pub fn rm(instance: &Instance, args: &RmArgs) -> Outcome<i32> {
    let how = Remove { force: args.force, volumes: args.volumes };
    Ok(side_by_side(&args.names, |name| match remove::remove_named(instance, name, how) {
        // As with Docker, `-f` succeeds when there is nothing to remove, and says so.
        Err(failure) if args.force && failure.kind == Kind::NotFound => {
            report::print(&failure);
            Ok(false)
        }
        other => other.map(|()| true),
    }))
}

/// `rcr wait`.
pub fn wait(instance: &Instance, args: &WaitArgs) -> Outcome<i32> {
    let mut code = 0;
    for name in &args.names {
        match wait::wait(instance, name, args.condition) {
            Ok(Some(exit)) => println!("{exit}"),
            Ok(None) => {}
            Err(failure) => {
                report::print(&failure);
                code = 1;
            }
        }
    }
    Ok(code)
}

/// `rcr pause`.
pub fn pause(instance: &Instance, args: &NamesArgs) -> Outcome<i32> {
    Ok(side_by_side(&args.names, |name| freeze::pause(instance, name).map(|()| true)))
}

/// `rcr unpause`.
pub fn unpause(instance: &Instance, args: &NamesArgs) -> Outcome<i32> {
    Ok(side_by_side(&args.names, |name| freeze::unpause(instance, name).map(|()| true)))
}

/// `rcr update`.
pub fn update(instance: &Instance, args: &UpdateArgs) -> Outcome<i32> {
    let change = change(args);
    if change == Change::default() {
        return Err(Error::new(Kind::Invalid, "cannot update: nothing is to be changed")
            .hint("`rcr update --help` lists what can be"));
    }
    Ok(each(&args.names, |name| update::update(instance, name, &change, &Progress::new(true, ""))))
}

/// `rcr rename`.
pub fn rename(instance: &Instance, args: &RenameArgs) -> Outcome<i32> {
    rename::rename(instance, &args.name, &args.new_name)?;
    println!("{}", args.new_name);
    Ok(0)
}
