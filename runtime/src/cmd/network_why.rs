//! `network why`: the way, hop by hop.

use crate::cli::network::WhyArgs;
use crate::report::{EXIT_FAILED, printable};
use crate::term::listing;
use netd_api::{Hop, Reach, WhyAnswer};
use rcr_base::Outcome;
use rcr_engine::explain;
use rcr_engine::instance::Instance;
use std::fmt::Write;

/// `rcr network why`.
pub fn why(instance: &Instance, args: &WhyArgs) -> Outcome<i32> {
    let answer = explain::why(instance, &args.from, &args.to.name, args.to.port)?;
    match &args.format.format {
        Some(format) => println!("{}", listing::shown(format, &answer)?),
        None => print!("{}", text(&answer)),
    }
    Ok(if answer.reach == Reach::Yes { 0 } else { EXIT_FAILED })
}

fn text(answer: &WhyAnswer) -> String {
    let mut text = String::new();
    let port = answer.port.map(|port| format!(", {} port {port}", answer.proto.to_string().to_uppercase()));
    let says = match answer.reach {
        Reach::Yes => "yes",
        Reach::No => "no",
        Reach::Unknown => "not known: nothing is found broken, and nothing came back",
    };
    // Writing to a String can't fail.
    let _ = writeln!(text, "{} → {}{}: {says}", answer.from, answer.to, port.unwrap_or_default());
    let widest = answer.hops.iter().map(|hop| hop.place.chars().count()).max().unwrap_or(0);
    for hop in &answer.hops {
        one(&mut text, hop, widest);
    }
    for unseen in &answer.unseen {
        let _ = writeln!(text, "  not looked at: {unseen}");
    }
    printable(&text)
}

fn one(text: &mut String, hop: &Hop, widest: usize) {
    let mark = if hop.fault.is_some() { '✗' } else { '✓' };
    let _ = writeln!(text, "  {mark} {:<widest$}  {}", hop.place, hop.what);
    for seen in &hop.evidence {
        let _ = writeln!(text, "    {:<widest$}  {seen}", "");
    }
    for (i, repair) in hop.repair.iter().enumerate() {
        let _ = writeln!(text, "    {:<widest$}  {} {repair}", "", if i == 0 { "repair:" } else { "    or:" });
    }
}
