//! Verbs about the hosts of a cluster.

use super::FormatArgs;
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List the hosts of the cluster
    #[command(visible_alias = "list", after_help = "Example: rcr node ls --format json")]
    Ls(ListArgs),
    /// Forget a host that is gone, with its containers' addresses and names
    #[command(visible_alias = "remove", after_help = "Example: rcr node rm node3")]
    Rm(RemoveArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// IDs only
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub format: FormatArgs,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Also one that is there
    #[arg(short, long)]
    pub force: bool,
    /// Hosts, by name or id
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
}
