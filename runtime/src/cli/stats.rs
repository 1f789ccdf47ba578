//! `stats`.

use super::FormatArgs;
use clap::Args;

#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Those that don't run, too
    #[arg(short, long)]
    pub all: bool,
    /// Print it once, after a look of a second
    #[arg(long)]
    pub no_stream: bool,
    /// Don't shorten ids
    #[arg(long)]
    pub no_trunc: bool,
    #[command(flatten)]
    pub format: FormatArgs,
    /// Containers, by name or id (default: all that run)
    #[arg(value_name = "CONTAINER")]
    pub names: Vec<String>,
}
