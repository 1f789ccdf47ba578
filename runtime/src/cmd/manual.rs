//! `manual`: a page for each verb, for `make install`.

use crate::cli::Cli;
use clap::CommandFactory;
use rcr_base::{Doing, Outcome};
use std::path::Path;

/// `rcr manual`.
pub fn write(folder: &Path) -> Outcome<i32> {
    let doing = || format!("cannot write the manual pages into `{}`", folder.display());
    std::fs::create_dir_all(folder).doing(doing)?;
    clap_mangen::generate_to(Cli::command(), folder).doing(doing)?;
    Ok(0)
}
