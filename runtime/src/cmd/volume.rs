//! `volume`.

use super::each::{each, print_found};
use super::prune;
use crate::cli::volume::{CreateArgs, ListArgs, VolumeCommand};
use crate::term::listing::{self, Row};
use crate::term::table;
use rcr_base::Outcome;
use rcr_engine::inspect;
use rcr_engine::instance::Instance;
use rcr_engine::volumes::{self, CreateVolume, Volume};
use serde::Serialize;
use std::collections::BTreeMap;

/// `rcr volume …`.
pub fn volume(instance: &Instance, command: VolumeCommand) -> Outcome<i32> {
    match command {
        VolumeCommand::Create(args) => create(instance, args),
        VolumeCommand::Ls(args) => list(instance, &args),
        VolumeCommand::Inspect(args) => {
            print_found(&args.names, args.format.format.as_ref(), |name| inspect::volume(instance, name))
        }
        VolumeCommand::Rm(args) => Ok(each(&args.names, |name| volumes::remove(instance, name, args.force))),
        VolumeCommand::Prune(args) => prune::volumes(instance, &args),
    }
}

fn create(instance: &Instance, args: CreateArgs) -> Outcome<i32> {
    let request = CreateVolume {
        name: args.name.or(args.named),
        labels: args.label.into_iter().collect(),
        options: args.options.into_iter().collect(),
    };
    println!("{}", volumes::create(instance, request)?.name);
    Ok(0)
}

/// One volume, with Docker's keys.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    driver: &'static str,
    labels: String,
    links: &'static str,
    mountpoint: String,
    name: String,
    scope: &'static str,
    size: &'static str,
    #[serde(skip)]
    all_labels: BTreeMap<String, String>,
}

impl Row for Line {
    const HEADINGS: &'static [(&'static str, &'static str)] = &[
        ("Driver", "DRIVER"),
        ("Name", "VOLUME NAME"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
    ];

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.all_labels)
    }
}

fn line(volume: Volume) -> Line {
    Line {
        driver: "local",
        labels: table::labels(&volume.labels),
        links: "N/A",
        mountpoint: volume.mountpoint.display().to_string(),
        name: volume.name,
        scope: "local",
        size: "N/A",
        all_labels: volume.labels,
    }
}

fn list(instance: &Instance, args: &ListArgs) -> Outcome<i32> {
    let volumes = volumes::select(instance, &args.filter)?;
    if args.quiet {
        volumes.iter().for_each(|volume| println!("{}", volume.name));
        return Ok(0);
    }
    let lines: Vec<Line> = volumes.into_iter().map(line).collect();
    listing::print(args.format.format.as_ref(), &["Driver", "Name"], &lines)?;
    Ok(0)
}
