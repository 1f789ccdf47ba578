//! Verbs that remove what nobody uses.

use clap::Args;
use jiff::{Timestamp, Zoned};
use rcr_engine::parse::filter::{PruneFilter, prune_filter};
use rcr_engine::parse::{Parsed, time};

/// A point in time, seen from now and from here.
pub fn point(text: &str) -> Parsed<Timestamp> {
    time::time(text, &Zoned::now())
}

fn filter(text: &str) -> Parsed<PruneFilter> {
    prune_filter(text, point)
}

/// Of containers and networks.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Don't ask
    #[arg(short, long)]
    pub force: bool,
    /// until=TIME (made before), label=…, label!=…
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    pub filter: Vec<PruneFilter>,
}

/// Of images and volumes.
#[derive(Debug, Args)]
pub struct PruneNamedArgs {
    /// Those with a name, too
    #[arg(short, long)]
    pub all: bool,
    #[command(flatten)]
    pub how: PruneArgs,
}

/// Of everything.
#[derive(Debug, Args)]
pub struct PruneSystemArgs {
    /// Images with a name, too
    #[arg(short, long)]
    pub all: bool,
    /// Volumes without a name, too
    #[arg(long)]
    pub volumes: bool,
    #[command(flatten)]
    pub how: PruneArgs,
}
