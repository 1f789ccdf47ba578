//! What `run` and `create` take about a container's log.

use clap::Args;
use rcr_engine::parse::logging::driver;
use rcr_engine::parse::words::pair;

#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// Where its output goes: json-file, local, none, journald, syslog
    #[arg(long, value_name = "DRIVER", default_value = "json-file", value_parser = driver)]
    pub log_driver: String,
    /// max-size=10m, max-file=3, compress=true, tag=…, labels=…, env=…, syslog-address=…
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub log_opt: Vec<(String, String)>,
}
