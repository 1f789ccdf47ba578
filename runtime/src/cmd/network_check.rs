//! `network check`: what differs from what was made.

use crate::cli::network::CheckArgs;
use crate::report::{EXIT_FAILED, printable};
use crate::term::listing;
use netd_api::{AroundView, CheckView, DifferenceView, HostCheckView};
use rcr_base::{Outcome, command};
use rcr_engine::explain;
use rcr_engine::instance::Instance;
use std::fmt::Write;

/// `rcr network check`.
pub fn check(instance: &Instance, args: &CheckArgs) -> Outcome<i32> {
    let view = match args.local {
        true => explain::check_here(instance, args.repair)?,
        false => explain::check(instance, args.repair)?,
    };
    match &args.format.format {
        Some(format) => println!("{}", listing::shown(format, &view)?),
        None => print!("{}", text(&view)),
    }
    Ok(if view.is_fine() { 0 } else { EXIT_FAILED })
}

fn text(view: &CheckView) -> String {
    let mut text = String::new();
    lines(&mut text, "", &view.differences, &view.around, &view.unseen);
    let mut sum = Sum::default();
    sum.add(&view.differences, view.looked);
    for HostCheckView { host, found, why } in &view.others {
        let Some(found) = found else {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{host}: not looked at: {}", why.as_deref().unwrap_or("it does not say why"));
            continue;
        };
        lines(&mut text, &format!("{host}: "), &found.differences, &found.around, &found.unseen);
        if found.more > 0 {
            let _ = writeln!(text, "{host}: {} lines more; {} there shows them", found.more, command::network_check());
        }
        sum.add(&found.differences, found.looked);
    }
    let _ = writeln!(text, "{}", sum.said());
    printable(&text)
}

/// What was found on one host; `of`: its name, if it is another one.
fn lines(text: &mut String, of: &str, differences: &[DifferenceView], around: &[AroundView], unseen: &[String]) {
    for one in differences {
        let repaired = if one.repaired { " (repaired)" } else { "" };
        let _ = writeln!(text, "{of}{}: {}{repaired}\n  made for {}", one.place, one.what, one.owner);
        if let Some(by) = &one.by {
            let _ = writeln!(text, "  {by}");
        }
    }
    for one in around {
        let _ = writeln!(text, "{of}around: {}", one.what);
        if let Some(repair) = &one.repair {
            let _ = writeln!(text, "  repair: {repair}");
        }
    }
    for one in unseen {
        let _ = writeln!(text, "{of}not looked at: {one}");
    }
}

/// All hosts together.
#[derive(Default)]
struct Sum {
    hosts: usize,
    looked: u64,
    differ: usize,
    left: usize,
}

impl Sum {
    fn add(&mut self, differences: &[DifferenceView], looked: u64) {
        self.hosts += 1;
        self.looked += looked;
        self.differ += differences.len();
        self.left += differences.iter().filter(|one| !one.repaired).count();
    }

    fn said(&self) -> String {
        let Self { hosts, looked, differ, left } = self;
        let on = if *hosts > 1 { format!(" on {hosts} hosts") } else { String::new() };
        match (differ, left) {
            (0, _) => format!("{looked} steps{on} stand as they were made"),
            (_, 0) => "all of it is as it was made again".to_owned(),
            (_, _) => format!("{left} of {looked} steps{on} differ; {} makes them again", command::network_repair()),
        }
    }
}
