//! `system …`: what takes room, and with the machine up or down (`boot`, `halt`).

use super::{df, events, info, prune, run};
use crate::cli::system::SystemCommand;
use crate::report;
use rcr_base::Outcome;
use rcr_engine::instance::Instance;
use rcr_engine::system::{self, Ends};

/// `rcr system`.
pub fn system(instance: &Instance, command: &SystemCommand) -> Outcome<i32> {
    let ends = match command {
        SystemCommand::Df(args) => return df::df(instance, args),
        SystemCommand::Prune(args) => return prune::system(instance, args),
        SystemCommand::Events(args) => return events::events(instance, args),
        SystemCommand::Info(args) => return info::info(instance, args),
        SystemCommand::Boot => system::boot(instance, |name, started| {
            run::warn_obstacles(&started);
            println!("{name}");
        })?,
        SystemCommand::Halt => system::halt(instance)?,
    };
    Ok(say(&ends))
}

/// Prints the names where it worked, and reports the failures.
fn say(ends: &Ends) -> i32 {
    for (name, end) in ends {
        match end {
            Ok(()) => println!("{name}"),
            Err(failure) => report::print(failure),
        }
    }
    i32::from(ends.iter().any(|(_, end)| end.is_err()))
}
