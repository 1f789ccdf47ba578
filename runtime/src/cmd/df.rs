//! `system df`.

use crate::cli::system::DfArgs;
use crate::term::listing::{self, Row};
use crate::term::table::{self, size};
use rcr_base::Outcome;
use rcr_engine::instance::Instance;
use rcr_engine::status::status;
use rcr_engine::usage::{self, DiskUsage, Room};
use serde::Serialize;

/// One kind of object, with Docker's keys.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    active: String,
    reclaimable: String,
    size: String,
    total_count: String,
    #[serde(rename = "Type")]
    kind: &'static str,
}

impl Row for Line {
    const HEADINGS: &'static [(&'static str, &'static str)] = &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ];
}

fn line(kind: &'static str, room: Room) -> Line {
    let share = match room.size {
        0 => String::new(),
        all => format!(" ({}%)", room.reclaimable.saturating_mul(100) / all),
    };
    Line {
        active: room.active.to_string(),
        reclaimable: size(room.reclaimable) + &share,
        size: size(room.size),
        total_count: room.count.to_string(),
        kind,
    }
}

/// `rcr system df`.
pub fn df(instance: &Instance, args: &DfArgs) -> Outcome<i32> {
    let usage = usage::disk(instance)?;
    if args.verbose && args.format.format.is_none() {
        each(&usage);
        return Ok(0);
    }
    let lines = [
        line("Images", usage.image_room()),
        line("Containers", usage.container_room()),
        line("Local Volumes", usage.volume_room()),
        // Images are built elsewhere: there is no cache. Scripts look for the line.
        line("Build Cache", Room::default()),
    ];
    listing::print(args.format.format.as_ref(), &["Type", "TotalCount", "Active", "Size", "Reclaimable"], &lines)?;
    Ok(0)
}

fn each(usage: &DiskUsage) {
    println!("Images space usage:\n");
    let images = usage.images.iter().map(|image| {
        let name = image.object.names.first().map_or("<none>", String::as_str);
        vec![name.to_owned(), image.object.id.hex()[..12].to_owned(), size(image.size), image.users.to_string()]
    });
    table::print(&["NAME", "IMAGE ID", "SIZE", "CONTAINERS"], &images.collect::<Vec<_>>());
    println!("\nContainers space usage:\n");
    let containers = usage.containers.iter().map(|container| {
        let (config, state) = (&container.object.config, &container.object.state);
        let status = status(state, jiff::Timestamp::now());
        let image = config.image.reference.clone();
        vec![config.id.short().to_owned(), image, size(container.size), status, config.name.clone()]
    });
    table::print(&["CONTAINER ID", "IMAGE", "SIZE", "STATUS", "NAMES"], &containers.collect::<Vec<_>>());
    println!("\nLocal Volumes space usage:\n");
    let volumes = usage
        .volumes
        .iter()
        .map(|volume| vec![volume.object.name.clone(), volume.users.to_string(), size(volume.size)]);
    table::print(&["VOLUME NAME", "LINKS", "SIZE"], &volumes.collect::<Vec<_>>());
}
