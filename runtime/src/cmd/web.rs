//! `web`: hands over to the program that serves the page.

use crate::cli::web::WebArgs;
use rcr_base::{Error, Kind, Outcome, io_text, sibling};
use rcr_engine::instance::Instance;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `rcr web`. It comes back only if the program is not there.
pub fn web(instance: &Instance, args: &WebArgs) -> Outcome<i32> {
    let program = sibling("rcr-web");
    let mut command = Command::new(&program);
    command.arg("--root").arg(&instance.dirs.root).arg("--run").arg(&instance.dirs.run);
    if let Some(config) = &instance.config_file {
        command.arg("--config").arg(config);
    }
    command.arg("--port").arg(args.port.to_string());
    if args.allow_changes {
        command.arg("--allow-changes");
    }
    let error = command.exec();
    Err(Error::new(Kind::System, "cannot start the page")
        .caused_by(format!("execute `{}`: {}", program.display(), io_text(&error)))
        .hint("rcr-web must be installed beside rcr"))
}
