//! `events`.

use super::prune::point;
use crate::template::{self, Format};
use clap::Args;
use jiff::Timestamp;
use rcr_engine::parse::filter::{EventFilter, event_filter};

#[derive(Debug, Args)]
pub struct EventsArgs {
    /// From a time on: RFC 3339, seconds since the epoch, or a span such as 10m (default: those to come)
    #[arg(long, value_name = "TIME", value_parser = point)]
    pub since: Option<Timestamp>,
    /// Until a time (default: for ever)
    #[arg(long, value_name = "TIME", value_parser = point)]
    pub until: Option<Timestamp>,
    /// container=…, image=…, network=…, volume=…, event=die, type=container, label=…, scope=local
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = event_filter)]
    pub filter: Vec<EventFilter>,
    /// json (an object a line), or a Go template: '{{.Action}} {{.Actor.ID}}'
    #[arg(long, value_name = "FORMAT", value_parser = template::single)]
    pub format: Option<Format>,
}
