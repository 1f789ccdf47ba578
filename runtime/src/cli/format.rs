//! `--format`, of every listing and of everything that shows one object.

use crate::template::{self, Format};
use clap::Args;

/// `--format` of a listing.
#[derive(Debug, Clone, Args)]
pub struct FormatArgs {
    /// table, json (an object a line), or a Go template: '{{.ID}}', 'table {{.ID}}\t{{.Name}}'
    #[arg(long, value_name = "FORMAT", value_parser = template::listing)]
    pub format: Option<Format>,
}

/// `--format` of what shows objects one by one.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// json (an object a line), or a Go template: '{{.Name}}'
    #[arg(short, long, value_name = "FORMAT", value_parser = template::single)]
    pub format: Option<Format>,
}
