//! rcr's thin entry: parse, run, report. The rooms are in `lib.rs`.

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use rcr::cli::Cli;
use rcr::cli::{argv, usage};
use rcr::report::{self, EXIT_RCR, watch_stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let began = rcr_base::timings::now();
    watch_stdout();
    if rcr::completion::answer() {
        return ExitCode::SUCCESS;
    }
    // Some files are for the container's users to read (`/etc/hosts`): the caller's umask has no say in their modes.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let code = match parse() {
        Ok(cli) => {
            let verb = cli.command.verb();
            rcr::cmd::run(cli, began).unwrap_or_else(|failure| {
                report::print(&failure);
                report::code(&failure, verb)
            })
        }
        Err(code) => code,
    };
    ExitCode::from(code.clamp(0, 255) as u8)
}

/// The command line, or the exit code after help, version or a usage error.
fn parse() -> Result<Cli, i32> {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_else(|| "rcr".into());
    let mut command = Cli::command();
    let args = argv::normalize(&command, &args.collect::<Vec<_>>()).map_err(|why| {
        report::print(&usage::refused(why));
        EXIT_RCR
    })?;
    let matches = command.try_get_matches_from_mut(std::iter::once(program).chain(args));
    let cli = matches.and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    cli.map_err(|error| error.format(&mut command)).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            EXIT_RCR
        }
        _ => {
            report::print(&usage::usage(&error));
            EXIT_RCR
        }
    })
}
