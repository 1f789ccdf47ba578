//! Flags of health checks.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use rcr_engine::config::OnFailure;
use rcr_engine::parse::time::span;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(next_help_heading = "Health")]
pub struct HealthArgs {
    /// Line for a shell in the container that tells whether it is well
    #[arg(long, value_name = "COMMAND")]
    pub health_cmd: Option<String>,
    /// Time between two checks (default: the image's, else 30s)
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub health_interval: Option<Duration>,
    /// Time that a check may take (default: the image's, else 30s)
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub health_timeout: Option<Duration>,
    /// Failures in a row that make it unhealthy (default: the image's, else 3)
    #[arg(long, value_name = "NUMBER")]
    pub health_retries: Option<u32>,
    /// Time from the start in which failures don't count (default: the image's, else 0s)
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub health_start_period: Option<Duration>,
    /// Time between two checks meanwhile (default: the image's, else 5s)
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub health_start_interval: Option<Duration>,
    /// What happens when it becomes unhealthy: none, kill, restart, stop
    #[arg(
        long,
        value_name = "ACTION",
        value_parser = PossibleValuesParser::new(["none", "kill", "restart", "stop"]).try_map(|text| action(&text))
    )]
    pub health_on_failure: Option<OnFailure>,
    /// Don't check, whatever the image says
    #[arg(long)]
    pub no_healthcheck: bool,
}

fn action(text: &str) -> Result<OnFailure, &'static str> {
    match text {
        "none" => Ok(OnFailure::None),
        "kill" => Ok(OnFailure::Kill),
        "restart" => Ok(OnFailure::Restart),
        "stop" => Ok(OnFailure::Stop),
        _ => Err("known are none, kill, restart, stop"),
    }
}

#[derive(Debug, Subcommand)]
pub enum HealthcheckCommand {
    /// Run a container's health check now; the exit code is 0 if it succeeds, else 1
    #[command(after_help = "Example: rcr healthcheck run web")]
    Run {
        /// Container, by name or id
        #[arg(value_name = "CONTAINER")]
        name: String,
    },
}
