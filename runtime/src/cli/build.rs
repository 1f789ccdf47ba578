//! Flags of `build`.

use super::deferred::Deferred;
use clap::{Args, Subcommand};
use rcr_engine::build::RunNetwork;
use rcr_engine::images::{Platform, Reference};
use rcr_engine::parse::Parsed;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Name of the image
    #[arg(short, long, value_name = "NAME[:TAG]")]
    pub tag: Vec<Reference>,
    /// Dockerfile, or `-` for stdin (default: CONTEXT/Dockerfile)
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Value of an ARG; a name alone takes its value from here
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Stage that becomes the image (default: the last one)
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Do every step again
    #[arg(long)]
    pub no_cache: bool,
    /// Pull the base images, even if they are here
    #[arg(long)]
    pub pull: bool,
    /// Print nothing but the image's id
    #[arg(short, long)]
    pub quiet: bool,
    /// Label of the image
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub label: Vec<String>,
    /// Platform (default: this machine's)
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Platform>,
    /// What RUN reaches: host (what this host does), none
    #[arg(long, value_name = "NETWORK", default_value = "host", value_parser = network)]
    pub network: RunNetwork,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Secret for RUN --mount=type=secret: id=…,src=FILE or id=…,env=NAME
    #[arg(long, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// SSH agent's socket, or keys, for RUN --mount=type=ssh
    #[arg(long, value_name = "default|ID[=SOCKET|KEY]")]
    pub ssh: Vec<String>,
    /// Line for /etc/hosts of RUN
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<String>,
    /// Size of /dev/shm for RUN
    #[arg(long, value_name = "BYTES")]
    pub shm_size: Option<String>,
    /// Resource limit for RUN
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// Push the image under all its names
    #[arg(long, requires = "tag")]
    pub push: bool,
    /// Accepted as with Docker; the image is always loaded
    #[arg(long)]
    pub load: bool,
    /// Accepted as with Docker; progress is lines of text
    #[arg(long, value_name = "KIND", value_parser = ["auto", "plain", "tty", "quiet", "rawjson"])]
    pub progress: Option<String>,
    /// Accepted as with Docker; only what was built here is a cache
    #[arg(long, value_name = "CACHE")]
    pub cache_from: Vec<String>,
    /// `false` is accepted as with Docker; images have no attestations
    #[arg(long, value_name = "false", value_parser = ["false"])]
    pub provenance: Option<String>,
    /// `false` is accepted as with Docker; images have no attestations
    #[arg(long, value_name = "false", value_parser = ["false"])]
    pub sbom: Option<String>,
    /// Accepted as with Docker; no container is left over
    #[arg(long)]
    pub rm: bool,
    /// Accepted as with Docker; no container is left over
    #[arg(long)]
    pub force_rm: bool,
    /// Folder, URL, or `-` for a tar or a Dockerfile on stdin
    #[arg(value_name = "CONTEXT")]
    pub context: String,
}

fn network(text: &str) -> Parsed<RunNetwork> {
    match text {
        "" | "default" | "bridge" | "host" => Ok(RunNetwork::Host),
        "none" => Ok(RunNetwork::None),
        _ => Err("RUN is on no network of containers: known are host and none".into()),
    }
}

#[derive(Debug, Subcommand)]
pub enum BuilderCommand {
    /// Build an image
    #[command(after_help = "Example: rcr builder build -t web:1 .")]
    Build(Deferred<BuildArgs>),
    /// Remove the cache of builds
    #[command(after_help = "Example: rcr builder prune -f")]
    Prune(PruneBuilderArgs),
}

#[derive(Debug, Args)]
pub struct PruneBuilderArgs {
    /// Accepted as with Docker; the cache goes as a whole
    #[arg(short, long)]
    pub all: bool,
    /// Don't ask
    #[arg(short, long)]
    pub force: bool,
}
