//! Verbs that take several names: each is done by itself, and reported by itself.

use crate::report;
use crate::template::Format;
use crate::term::{listing, table};
use rcr_base::Outcome;
use serde::Serialize;

/// Does something to each of several objects; prints the names where it worked, and reports the failures.
pub fn each(names: &[String], mut act: impl FnMut(&str) -> Outcome<()>) -> i32 {
    let mut code = 0;
    for name in names {
        match act(name) {
            Ok(()) => println!("{name}"),
            Err(failure) => {
                report::print(&failure);
                code = 1;
            }
        }
    }
    code
}

/// Prints what could be found, as one list or each as the format has it, and reports the rest. Where nothing was found,
/// nothing is printed.
pub fn print_found<T: Serialize>(
    names: &[String],
    format: Option<&Format>,
    find: impl Fn(&str) -> Outcome<T>,
) -> Outcome<i32> {
    let mut code = 0;
    let mut found = Vec::new();
    for name in names {
        match find(name) {
            Ok(value) => found.push(value),
            Err(failure) => {
                report::print(&failure);
                code = 1;
            }
        }
    }
    match format {
        Some(format) => {
            for line in found.iter().map(|object| listing::shown(format, object)).collect::<Outcome<Vec<_>>>()? {
                println!("{line}");
            }
        }
        None if found.is_empty() => {}
        None => table::print_pretty(&found)?,
    }
    Ok(code)
}
