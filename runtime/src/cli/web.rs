//! The page.

use clap::Args;

#[derive(Debug, Args)]
pub struct WebArgs {
    /// Port on 127.0.0.1; 0: any that is free
    #[arg(short, long, default_value_t = 0, value_name = "PORT")]
    pub port: u16,
    /// Let the page start, stop and remove containers, and change networks
    #[arg(long)]
    pub allow_changes: bool,
}
