//! `logs`.

use crate::cli::container::LogsArgs;
use rcr_base::Outcome;
use rcr_engine::instance::Instance;
use rcr_engine::logs::{self, Entry, Wanted};
use std::io::{self, Write};
use std::ops::ControlFlow;

/// `rcr logs`.
pub fn logs(instance: &Instance, args: &LogsArgs) -> Outcome<i32> {
    let wanted = Wanted { since: args.since, until: args.until, tail: args.tail, follow: args.follow };
    logs::logs(instance, &args.name, &wanted, &mut |entry| match print(entry, args) {
        Ok(()) => ControlFlow::Continue(()),
        // Nobody reads it any more.
        Err(_) => ControlFlow::Break(()),
    })?;
    Ok(0)
}

/// Prints one line where its output went.
fn print(entry: &Entry, args: &LogsArgs) -> io::Result<()> {
    let stamp = if args.timestamps { format!("{} ", entry.time) } else { String::new() };
    let pairs = || entry.attrs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let details = if args.details { format!("{} ", pairs()) } else { String::new() };
    let text = format!("{stamp}{details}{}", entry.log);
    if entry.stream == "stderr" {
        io::stderr().lock().write_all(text.as_bytes())
    } else {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    }
}
