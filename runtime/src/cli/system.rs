//! Verbs about the whole instance.

use super::events::EventsArgs;
use super::prune::PruneSystemArgs;
use super::{FormatArgs, ShowArgs};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    /// Show what takes room on the disk
    #[command(after_help = "Example: rcr system df -v")]
    Df(DfArgs),
    /// Remove stopped containers, networks that no container uses, and images without a name
    #[command(after_help = "Example: rcr system prune -af --volumes")]
    Prune(PruneSystemArgs),
    /// Print what happens to containers, images, networks and volumes, or has happened
    #[command(after_help = "Example: rcr system events -f type=network")]
    Events(EventsArgs),
    /// Show this host as rcr sees it
    #[command(after_help = "Example: rcr system info --format json")]
    Info(ShowArgs),
    /// Start the containers that start at boot
    ///
    /// Those with `--restart always`, and those with `--restart unless-stopped` that nobody stopped. rcr-boot.service
    /// runs it.
    #[command(after_help = "Example: rcr system boot")]
    Boot,
    /// Stop all containers; those that start at boot will do so again
    ///
    /// rcr-boot.service runs it when the machine goes down.
    #[command(after_help = "Example: rcr system halt")]
    Halt,
}

#[derive(Debug, Args)]
pub struct DfArgs {
    /// Each image, container and volume
    #[arg(short, long)]
    pub verbose: bool,
    #[command(flatten)]
    pub format: FormatArgs,
}
