//! Verbs about volumes.

use super::prune::PruneNamedArgs;
use super::{FormatArgs, ShowArgs};
use clap::{Args, Subcommand};
use rcr_engine::parse::filter::{VolumeFilter, volume_filter};
use rcr_engine::parse::words;

#[derive(Debug, Subcommand)]
pub enum VolumeCommand {
    /// Create a volume
    #[command(after_help = "Example: rcr volume create --label tier=db data")]
    Create(CreateArgs),
    /// List volumes
    #[command(visible_alias = "list", after_help = "Example: rcr volume ls -q")]
    Ls(ListArgs),
    /// Show volumes as JSON
    #[command(after_help = "Example: rcr volume inspect data")]
    Inspect(InspectArgs),
    /// Remove volumes
    #[command(visible_alias = "remove", after_help = "Example: rcr volume rm data")]
    Rm(RemoveArgs),
    /// Remove volumes without a name that no container uses
    #[command(after_help = "Example: rcr volume prune -f")]
    Prune(PruneNamedArgs),
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Driver: `local` is the only one
    #[arg(short, long, default_value = "local", value_parser = ["local"])]
    pub driver: String,
    /// Label
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = words::label)]
    pub label: Vec<(String, String)>,
    /// Option, as mount(8) has it: type=none|tmpfs, o=bind, device=/FOLDER
    #[arg(short, long = "opt", value_name = "NAME=VALUE", value_parser = words::pair)]
    pub options: Vec<(String, String)>,
    /// Its name, as older scripts give it
    #[arg(long = "name", value_name = "NAME", hide = true, conflicts_with = "name")]
    pub named: Option<String>,
    /// Its name (default: chosen by chance)
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print names only
    #[arg(short, long)]
    pub quiet: bool,
    /// name=… (a regular expression), dangling=true|false, label=…, driver=…
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = volume_filter)]
    pub filter: Vec<VolumeFilter>,
    #[command(flatten)]
    pub format: FormatArgs,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub format: ShowArgs,
    /// Volumes, by name
    #[arg(required = true, value_name = "VOLUME")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Succeed if the volume does not exist
    #[arg(short, long)]
    pub force: bool,
    /// Volumes, by name
    #[arg(required = true, value_name = "VOLUME")]
    pub names: Vec<String>,
}
