//! `--format`, of every listing.

use clap::Args;

/// `--format`.
#[derive(Debug, Clone, Args)]
pub struct FormatArgs {
    /// `json`: one object per line
    #[arg(long, value_name = "FORMAT", value_parser = ["json", "table"])]
    pub format: Option<String>,
}

impl FormatArgs {
    pub fn is_json(&self) -> bool {
        self.format.as_deref() == Some("json")
    }
}
