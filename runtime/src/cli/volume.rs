//! Verbs about volumes.

use super::FormatArgs;
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum VolumeCommand {
    /// Create a volume
    #[command(after_help = "Example: rcr volume create data")]
    Create {
        /// Its name
        name: String,
    },
    /// List volumes
    #[command(visible_alias = "list", after_help = "Example: rcr volume ls -q")]
    Ls(ListArgs),
    /// Show volumes as JSON
    #[command(after_help = "Example: rcr volume inspect data")]
    Inspect {
        /// Volumes, by name
        #[arg(required = true, value_name = "VOLUME")]
        names: Vec<String>,
    },
    /// Remove volumes
    #[command(after_help = "Example: rcr volume rm data")]
    Rm {
        /// Volumes, by name
        #[arg(required = true, value_name = "VOLUME")]
        names: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print names only
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub format: FormatArgs,
}
