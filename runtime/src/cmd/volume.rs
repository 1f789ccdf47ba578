//! `volume`.

use super::each::{each, print_found};
use crate::cli::volume::{ListArgs, VolumeCommand};
use crate::term::table;
use rcr_base::Outcome;
use rcr_engine::inspect;
use rcr_engine::instance::Instance;
use rcr_engine::volumes;
use serde_json::json;

/// `rcr volume …`.
pub fn volume(instance: &Instance, command: VolumeCommand) -> Outcome<i32> {
    match command {
        VolumeCommand::Create { name } => {
            volumes::create(instance, &name)?;
            println!("{name}");
            Ok(0)
        }
        VolumeCommand::Ls(args) => list(instance, &args),
        VolumeCommand::Inspect { names } => print_found(&names, false, |name| inspect::volume(instance, name)),
        VolumeCommand::Rm { names } => Ok(each(&names, |name| volumes::remove(instance, name))),
    }
}

fn list(instance: &Instance, args: &ListArgs) -> Outcome<i32> {
    let names = volumes::list(instance);
    if args.quiet {
        names.iter().for_each(|name| println!("{name}"));
    } else if args.format.is_json() {
        names.iter().for_each(|name| table::print_json(&json!({ "Driver": "local", "Name": name })));
    } else {
        let rows: Vec<_> = names.into_iter().map(|name| vec!["local".to_owned(), name]).collect();
        table::print(&["DRIVER", "VOLUME NAME"], &rows);
    }
    Ok(0)
}
