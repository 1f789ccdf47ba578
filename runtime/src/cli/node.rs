//! Verbs about the hosts of a cluster.

use super::FormatArgs;
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List the hosts of the cluster
    #[command(visible_alias = "list", after_help = "Example: rcr node ls --format json")]
    Ls(ListArgs),
    /// Remove a host that is gone, with its containers' addresses and names
    #[command(visible_alias = "remove", after_help = "Example: rcr node rm node3")]
    Rm(RemoveArgs),
    /// Give this host a new WireGuard key, for encrypted networks
    ///
    /// The old key stays valid until every host with such a network uses the new one: no packet is lost. Waits for
    /// that, up to --time. Run it on each host whose key is to change.
    #[command(after_help = "Example: rcr node rekey && rcr node ls")]
    Rekey(RekeyArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub format: FormatArgs,
}

#[derive(Debug, Args)]
pub struct RekeyArgs {
    /// Seconds to wait for the other hosts; the change goes on afterwards
    #[arg(short, long, default_value_t = 30, value_name = "SECONDS")]
    pub time: u64,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Remove a host that is up, too
    #[arg(short, long)]
    pub force: bool,
    /// Hosts, by name or id
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
}
