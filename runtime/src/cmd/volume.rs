//! `volume`.

use super::{each, inspect, mounts, table};
use crate::cli::volume::{ListArgs, VolumeCommand};
use netd_api::NetworkName;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::config::MountKind;
use rcr_engine::instance::Instance;
use rcr_shim::cleanup::remove_folder;
use serde_json::{Value, json};
use std::path::PathBuf;

/// `rcr volume …`.
pub fn volume(instance: &Instance, command: VolumeCommand) -> Outcome<i32> {
    match command {
        VolumeCommand::Create { name } => {
            instance.dirs.ensure()?;
            check(&name)?;
            mounts::make_volume(instance, &name)?;
            println!("{name}");
            Ok(0)
        }
        VolumeCommand::Ls(args) => list(instance, &args),
        VolumeCommand::Inspect { names } => inspect::print(&names, false, |name| describe(instance, name)),
        VolumeCommand::Rm { names } => Ok(each(&names, |name| remove(instance, name))),
    }
}

fn check(name: &str) -> Outcome<()> {
    let checked = name.parse::<NetworkName>();
    checked.map(drop).map_err(|e| {
        Error::new(Kind::Invalid, format!("cannot use `{name}` as a volume name")).caused_by(format!("it {}", e.why))
    })
}

fn find(instance: &Instance, name: &str) -> Outcome<PathBuf> {
    check(name)?;
    let data = instance.dirs.volumes().join(name).join("_data");
    match data.is_dir() {
        true => Ok(data),
        false => {
            Err(Error::new(Kind::NotFound, format!("no such volume: `{name}`"))
                .hint("`rcr volume ls` lists all volumes"))
        }
    }
}

fn list(instance: &Instance, args: &ListArgs) -> Outcome<i32> {
    let entries = std::fs::read_dir(instance.dirs.volumes()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
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

/// For `inspect`.
pub fn describe(instance: &Instance, name: &str) -> Outcome<Value> {
    let data = find(instance, name)?;
    Ok(json!({ "Name": name, "Driver": "local", "Mountpoint": data, "Scope": "local" }))
}

fn remove(instance: &Instance, name: &str) -> Outcome<()> {
    find(instance, name)?;
    let uses = |mounts: &[rcr_engine::config::Mount]| {
        mounts.iter().any(|m| matches!(&m.kind, MountKind::Volume { name: used, .. } if used == name))
    };
    let users: Vec<String> =
        instance.containers().list()?.into_iter().filter(|c| uses(&c.config.mounts)).map(|c| c.config.name).collect();
    if !users.is_empty() {
        return Err(Error::new(Kind::Invalid, format!("cannot remove the volume `{name}`"))
            .caused_by(format!("it is used by {}", users.join(", ")))
            .hint(format!("remove them first: `rcr rm {}`", users.join(" "))));
    }
    remove_folder(&instance.dirs.volumes().join(name)).doing(|| format!("cannot remove the volume `{name}`"))
}
