//! Verbs about the whole instance.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    /// Start the containers that come up with the machine
    ///
    /// Those with `--restart always`, and those with `--restart unless-stopped` that were not stopped. rcr-boot.service
    /// runs it.
    #[command(after_help = "Example: rcr system boot")]
    Boot,
    /// Stop all containers; those that come up with the machine do so next time
    ///
    /// rcr-boot.service runs it when the machine goes down.
    #[command(after_help = "Example: rcr system halt")]
    Halt,
}
