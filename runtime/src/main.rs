//! rcr's thin entry: parse, run, report. The rooms are in `lib.rs`.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use rcr::cli::Cli;
use rcr::cli::argv::{self, Refused};
use rcr::report::{self, EXIT_RCR, watch_stdout};
use rcr_base::{Error, Kind};
use std::process::ExitCode;

fn main() -> ExitCode {
    watch_stdout();
    // Some files are for the container's users to read (`/etc/hosts`): the caller's umask has no say in their modes.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let code = match parse() {
        Ok(cli) => rcr::cmd::run(cli).unwrap_or_else(|failure| {
            report::print(&failure);
            report::code(&failure)
        }),
        Err(code) => code,
    };
    ExitCode::from(code.clamp(0, 255) as u8)
}

/// The command line, or the exit code after help, version or a usage error.
fn parse() -> Result<Cli, i32> {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_else(|| "rcr".into());
    let mut command = Cli::command();
    command.build();
    let args = argv::normalize(&command, &args.collect::<Vec<_>>()).map_err(|why| {
        report::print(&refused(why));
        EXIT_RCR
    })?;
    Cli::try_parse_from(std::iter::once(program).chain(args)).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            EXIT_RCR
        }
        _ => {
            report::print(&usage(&error));
            EXIT_RCR
        }
    })
}

fn refused(why: Refused) -> Error {
    match why {
        Refused::OneDash(written, meant) => Error::new(Kind::Invalid, format!("unknown flag `{written}`"))
            .hint(format!("did you mean `{meant}`? long flags have two dashes")),
        Refused::NotABoolean(flag, value) => Error::new(Kind::Invalid, format!("cannot understand `{flag}={value}`"))
            .caused_by("it is neither true nor false"),
    }
}

/// A usage error in our form: the first line is what is wrong, a tip becomes the hint.
fn usage(error: &clap::Error) -> Error {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("cannot understand the command line");
    let first = first.trim_start_matches("error: ").replace('\'', "`");
    let (mut missing, mut hint) = (Vec::new(), None);
    for line in lines {
        if let Some(tip) = line.strip_prefix("tip: ") {
            hint.get_or_insert_with(|| tip.replace('\'', "`"));
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            let verb: Vec<&str> = usage.split(' ').take_while(|word| word.starts_with(char::is_alphabetic)).collect();
            hint.get_or_insert_with(|| format!("`{} --help` shows how it is used", verb.join(" ")));
        } else if !line.starts_with("For more information") {
            missing.push(line.to_owned());
        }
    }
    let failure = missing.into_iter().fold(Error::new(Kind::Invalid, first), Error::caused_by);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
