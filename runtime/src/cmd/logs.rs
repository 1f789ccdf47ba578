//! `logs`.

use crate::cli::container::LogsArgs;
use jiff::Timestamp;
use rcr_base::{Error, Kind, Outcome};
use rcr_engine::instance::Instance;
use rcr_engine::logs::{self, Entry, Wanted};
use std::io::{self, Write};
use std::ops::ControlFlow;

/// `rcr logs`.
pub fn logs(instance: &Instance, args: &LogsArgs) -> Outcome<i32> {
    let tail = match args.tail.as_str() {
        "all" => None,
        text => Some(text.parse::<usize>().map_err(|_| {
            Error::new(Kind::Invalid, format!("cannot understand `--tail {text}`"))
                .caused_by("expected a number of lines, or `all`")
        })?),
    };
    let wanted = Wanted {
        since: args.since.as_deref().map(|text| time("--since", text)).transpose()?,
        until: args.until.as_deref().map(|text| time("--until", text)).transpose()?,
        tail,
        follow: args.follow,
    };
    logs::logs(instance, &args.name, &wanted, &mut |entry| match print(entry, args.timestamps) {
        Ok(()) => ControlFlow::Continue(()),
        // Nobody reads it any more.
        Err(_) => ControlFlow::Break(()),
    })?;
    Ok(0)
}

fn time(flag: &str, text: &str) -> Outcome<Timestamp> {
    logs::time(text).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("cannot understand `{flag} {text}`"))
            .caused_by("expected a time such as 2026-01-31T12:00:00Z, seconds since the epoch, or a span such as 10m")
    })
}

/// Prints one line where its output went.
fn print(entry: &Entry, timestamps: bool) -> io::Result<()> {
    let stamp = if timestamps { format!("{} ", entry.time) } else { String::new() };
    let text = format!("{stamp}{}", entry.log);
    if entry.stream == "stderr" {
        io::stderr().lock().write_all(text.as_bytes())
    } else {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    }
}
