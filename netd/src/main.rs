//! The daemon's thin entry: the only place that prints.

mod options;

use netd::daemon::serve;
use netd::kernel::{Daemonized, Ready, daemonize, share_heap};
use netd_api::{ApiError, ErrorKind};
use options::Parsed;
use std::process::ExitCode;

fn fail(text: &str) -> ExitCode {
    eprint!("{text}");
    ExitCode::from(125)
}

fn main() -> ExitCode {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(Parsed::Run(options)) => options,
        Ok(Parsed::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&options::told(&error)),
    };
    share_heap();
    // Before any thread exists.
    let ready = match options.daemon.then(daemonize) {
        None => Ready::nobody(),
        Some(Ok(Daemonized::Child(ready))) => ready,
        Some(Ok(Daemonized::Parent(None))) => return ExitCode::SUCCESS,
        Some(Ok(Daemonized::Parent(Some(text)))) => return fail(&text),
        Some(Err(errno)) => {
            let why = format!("{} ({errno:?})", errno.desc().to_lowercase());
            return fail(&options::told(
                &ApiError::new(ErrorKind::System, "cannot go to the background").caused_by(why),
            ));
        }
    };
    match serve(&options, ready, options::told) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text.unwrap_or_default()),
    }
}
