//! `container prune`, `network prune`, `image prune`, `volume prune`, `system prune`.

use crate::cli::prune::{PruneArgs, PruneNamedArgs, PruneSystemArgs};
use crate::term::ask::confirm;
use crate::term::table;
use rcr_base::Outcome;
use rcr_engine::images::{self, Removed};
use rcr_engine::instance::Instance;
use rcr_engine::parse::filter::PruneFilter;
use rcr_engine::{networks, remove, volumes};

/// What was removed, as Docker prints it: a heading for each kind of which there was any.
#[derive(Default)]
struct Report {
    kind: Option<&'static str>,
    bytes: u64,
}

impl Report {
    fn removed(&mut self, kind: &'static str, what: &str, bytes: u64) {
        if self.kind != Some(kind) {
            println!("{}Deleted {kind}:", if self.kind.is_some() { "\n" } else { "" });
            self.kind = Some(kind);
        }
        println!("{what}");
        self.bytes += bytes;
    }

    fn end(&self) {
        println!("{}Total reclaimed space: {}", if self.kind.is_some() { "\n" } else { "" }, table::size(self.bytes));
    }
}

fn prune_containers(instance: &Instance, filters: &[PruneFilter], report: &mut Report) -> Outcome<()> {
    remove::prune(instance, filters, |id, bytes| report.removed("Containers", id.as_str(), bytes))
}

fn prune_networks(instance: &Instance, filters: &[PruneFilter], report: &mut Report) -> Outcome<()> {
    networks::prune(instance, filters, |name| report.removed("Networks", name.as_str(), 0))
}

fn prune_images(instance: &Instance, all: bool, filters: &[PruneFilter], report: &mut Report) -> Outcome<()> {
    let pruned = images::prune(instance, all, filters)?;
    for removed in pruned.removed {
        let line = match removed {
            Removed::Untagged(name) => format!("untagged: {name}"),
            Removed::Deleted(id) => format!("deleted: {id}"),
        };
        report.removed("Images", &line, 0);
    }
    report.bytes += pruned.bytes;
    Ok(())
}

fn prune_volumes(instance: &Instance, all: bool, filters: &[PruneFilter], report: &mut Report) -> Outcome<()> {
    volumes::prune(instance, all, filters, |name, bytes| report.removed("Volumes", name, bytes))
}

/// Asks, unless it was forced.
fn agreed(args: &PruneArgs, what: &str) -> Outcome<bool> {
    if args.force { Ok(true) } else { confirm(&format!("this will remove all {what}")) }
}

/// `rcr container prune`.
pub fn containers(instance: &Instance, args: &PruneArgs) -> Outcome<i32> {
    if agreed(args, "stopped containers")? {
        let mut report = Report::default();
        prune_containers(instance, &args.filter, &mut report)?;
        report.end();
    }
    Ok(0)
}

/// `rcr network prune`.
pub fn networks(instance: &Instance, args: &PruneArgs) -> Outcome<i32> {
    if agreed(args, "networks that no container uses")? {
        prune_networks(instance, &args.filter, &mut Report::default())?;
    }
    Ok(0)
}

/// `rcr image prune`.
pub fn images(instance: &Instance, args: &PruneNamedArgs) -> Outcome<i32> {
    let which = if args.all { "images that no container uses" } else { "images without a name" };
    if agreed(&args.how, which)? {
        let mut report = Report::default();
        prune_images(instance, args.all, &args.how.filter, &mut report)?;
        report.end();
    }
    Ok(0)
}

/// `rcr volume prune`.
pub fn volumes(instance: &Instance, args: &PruneNamedArgs) -> Outcome<i32> {
    let which = if args.all { "volumes" } else { "volumes without a name" };
    if agreed(&args.how, &format!("{which} that no container uses"))? {
        let mut report = Report::default();
        prune_volumes(instance, args.all, &args.how.filter, &mut report)?;
        report.end();
    }
    Ok(0)
}

/// `rcr system prune`: containers go first, so that what only they used goes, too.
pub fn system(instance: &Instance, args: &PruneSystemArgs) -> Outcome<i32> {
    let images = if args.all { "all images that no container uses" } else { "all images without a name" };
    let volumes = if args.volumes { ", all volumes without a name that no container uses" } else { "" };
    let what = format!("stopped containers, all networks that no container uses{volumes}, and {images}");
    if !agreed(&args.how, &what)? {
        return Ok(0);
    }
    let (filters, mut report) = (&args.how.filter, Report::default());
    prune_containers(instance, filters, &mut report)?;
    prune_networks(instance, filters, &mut report)?;
    if args.volumes {
        prune_volumes(instance, false, filters, &mut report)?;
    }
    prune_images(instance, args.all, filters, &mut report)?;
    report.end();
    Ok(0)
}
