//! Verbs about the whole instance.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum SystemCommand {
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
