//! `network check`: what differs from what was made.

use crate::cli::network::CheckArgs;
use crate::report::{EXIT_FAILED, printable};
use crate::term::listing;
use netd_api::CheckView;
use rcr_base::{Outcome, command};
use rcr_engine::explain;
use rcr_engine::instance::Instance;
use std::fmt::Write;

/// `rcr network check`.
pub fn check(instance: &Instance, args: &CheckArgs) -> Outcome<i32> {
    let view = explain::check(instance, args.repair)?;
    match &args.format.format {
        Some(format) => println!("{}", listing::shown(format, &view)?),
        None => print!("{}", text(&view)),
    }
    let fine = view.differences.iter().all(|one| one.repaired) && view.around.is_empty() && view.unseen.is_empty();
    Ok(if fine { 0 } else { EXIT_FAILED })
}

fn text(view: &CheckView) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    for one in &view.differences {
        let repaired = if one.repaired { " (repaired)" } else { "" };
        let _ = writeln!(text, "{}: {}{repaired}\n  made for {}", one.place, one.what, one.owner);
    }
    for one in &view.around {
        let _ = writeln!(text, "around: {}", one.what);
        if let Some(repair) = &one.repair {
            let _ = writeln!(text, "  repair: {repair}");
        }
    }
    for one in &view.unseen {
        let _ = writeln!(text, "not looked at: {one}");
    }
    let left = view.differences.iter().filter(|one| !one.repaired).count();
    let _ = match (view.differences.len(), left) {
        (0, _) => writeln!(text, "{} steps stand as they were made", view.looked),
        (_, 0) => writeln!(text, "all of it is as it was made again"),
        (_, _) => {
            writeln!(text, "{left} of {} steps differ; {} makes them again", view.looked, command::network_repair())
        }
    };
    printable(&text)
}
