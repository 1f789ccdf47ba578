//! Verbs about containers.

use super::deferred::Deferred;
use super::prune::{PruneArgs, point};
use super::resources::LiveArgs;
use super::run::{CreateArgs, RunArgs};
use super::stats::StatsArgs;
use super::{FormatArgs, ShowArgs};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use rcr_engine::config::{Exposed, RestartPolicy};
use rcr_engine::inspect::ObjectKind;
use rcr_engine::parse::condition::{Condition, condition};
use rcr_engine::parse::filter::{ContainerFilter, container_filter};
use rcr_engine::parse::instruction::{Instruction, instruction};
use rcr_engine::parse::keys::{Keys, detach_keys};
use rcr_engine::parse::ports;
use rcr_engine::parse::signal::signal;
use rcr_engine::parse::time::{self, Tail};
use std::path::PathBuf;

/// Verbs that work alone (`rcr run`) and below `rcr container`.
#[derive(Debug, Subcommand)]
pub enum ContainerCommand {
    /// Create a container and start it
    #[command(disable_help_flag = true, after_help = "Example: rcr run --rm -it --network eui_bridge alpine sh")]
    Run(Deferred<RunArgs>),
    /// Create a container
    #[command(disable_help_flag = true, after_help = "Example: rcr create --name c1 alpine sleep 1d")]
    Create(Deferred<CreateArgs>),
    /// Start stopped containers
    #[command(after_help = "Example: rcr start -a c1")]
    Start(Deferred<StartArgs>),
    /// Stop running containers
    #[command(after_help = "Example: rcr stop -t 3 c1")]
    Stop(Deferred<StopArgs>),
    /// Stop and start containers
    #[command(after_help = "Example: rcr restart c1")]
    Restart(Deferred<StopArgs>),
    /// Send a signal to containers
    #[command(after_help = "Example: rcr kill -s HUP c1")]
    Kill(Deferred<KillArgs>),
    /// Remove containers
    #[command(after_help = "Example: rcr rm -f c1")]
    Rm(Deferred<RmArgs>),
    /// Wait for containers to end and print their exit codes, or for another state
    #[command(after_help = "Example: rcr wait --condition healthy db")]
    Wait(Deferred<WaitArgs>),
    /// Freeze all processes of containers
    #[command(after_help = "Example: rcr pause c1")]
    Pause(Deferred<NamesArgs>),
    /// Let paused containers go on
    #[command(after_help = "Example: rcr unpause c1")]
    Unpause(Deferred<NamesArgs>),
    /// Change limits and the restart policy of containers
    #[command(after_help = "Example: rcr update --cpus 1.5 -m 512m --restart always c1")]
    Update(Deferred<UpdateArgs>),
    /// List a container's processes, as the host's ps shows them
    #[command(after_help = "Example: rcr top c1 -o pid,pcpu,args")]
    Top(Deferred<TopArgs>),
    /// List containers
    #[command(visible_alias = "list", after_help = "Example: rcr ps -a --format json")]
    Ps(Deferred<PsArgs>),
    /// Show what containers take of processors, memory, network and disks
    #[command(after_help = "Example: rcr stats --no-stream")]
    Stats(Deferred<StatsArgs>),
    /// Print a container's output
    #[command(after_help = "Example: rcr logs -f --tail 10 c1")]
    Logs(Deferred<LogsArgs>),
    /// Run a command in a running container
    #[command(after_help = "Example: rcr exec -it c1 sh")]
    Exec(Deferred<ExecArgs>),
    /// Connect to a running container's output and input
    #[command(after_help = "Example: rcr attach c1")]
    Attach(Deferred<AttachArgs>),
    /// List a container's published ports
    #[command(after_help = "Example: rcr port web 80/tcp")]
    Port(Deferred<PortArgs>),
    /// Rename a container
    #[command(after_help = "Example: rcr rename c1 web")]
    Rename(Deferred<RenameArgs>),
    /// Copy files between a container and this host, or a tar stream (`-`)
    #[command(after_help = "Example: rcr cp web:/etc/nginx/nginx.conf .")]
    Cp(Deferred<CpArgs>),
    /// List the files that a container has changed
    #[command(after_help = "Example: rcr diff c1")]
    Diff {
        /// Container, by name or id
        #[arg(value_name = "CONTAINER")]
        name: String,
    },
    /// Write all files of a container as a tar stream
    #[command(after_help = "Example: rcr export -o root.tar c1")]
    Export(Deferred<ExportArgs>),
    /// Make an image of what a container has changed
    #[command(after_help = "Example: rcr commit -c 'CMD [\"sh\"]' c1 mine:1")]
    Commit(Deferred<CommitArgs>),
}

/// `rcr container …`: the same, with `ls` and `inspect`.
#[derive(Debug, Subcommand)]
pub enum ContainerGroup {
    #[command(flatten)]
    Verb(ContainerCommand),
    /// List containers
    #[command(after_help = "Example: rcr container ls -a")]
    Ls(PsArgs),
    /// Show containers as JSON
    #[command(after_help = "Example: rcr container inspect c1")]
    Inspect(InspectContainersArgs),
    /// Remove all stopped containers
    #[command(after_help = "Example: rcr container prune -f")]
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub struct NamesArgs {
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct WaitArgs {
    /// not-running, next-exit, removed (the exit code is printed); running, paused, healthy, unhealthy
    #[arg(long, value_name = "STATE", default_value = "not-running", value_parser = condition)]
    pub condition: Condition,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    pub live: LiveArgs,
    /// Processes it may have; -1: unlimited
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub pids_limit: Option<i64>,
    // Not a doc comment: rustdoc would take the brackets for a link.
    #[arg(long, value_name = "POLICY", help = "When to restart: no, on-failure[:n], always, unless-stopped")]
    pub restart: Option<RestartPolicy>,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct TopArgs {
    /// Container, by name or id
    #[arg(value_name = "CONTAINER")]
    pub name: String,
    /// Options of ps (default: -ef)
    #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    pub options: Vec<String>,
}

#[derive(Debug, Args)]
pub struct StartArgs {
    /// Attach to its output
    #[arg(short, long)]
    pub attach: bool,
    /// Attach to its input, too
    #[arg(short, long)]
    pub interactive: bool,
    /// Keys that detach from the terminal
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = detach_keys)]
    pub detach_keys: Keys,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct StopArgs {
    /// Seconds before it is killed; -1: never (default: the container's)
    #[arg(
        short = 't',
        long = "time",
        visible_alias = "timeout",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    pub time: Option<i64>,
    /// Signal (default: the container's)
    #[arg(short, long, value_name = "SIGNAL", value_parser = signal)]
    pub signal: Option<i32>,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct KillArgs {
    /// Signal, by name or number
    #[arg(short, long, default_value = "KILL", value_parser = signal)]
    pub signal: i32,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct RmArgs {
    /// Kill it first if it runs
    #[arg(short, long)]
    pub force: bool,
    /// Remove its anonymous volumes
    #[arg(short, long)]
    pub volumes: bool,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct PsArgs {
    /// List stopped containers, too
    #[arg(short, long)]
    pub all: bool,
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Don't shorten ids
    #[arg(long)]
    pub no_trunc: bool,
    /// The newest container, in whatever state
    #[arg(short, long)]
    pub latest: bool,
    /// The newest containers, in whatever state
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub last: Option<usize>,
    /// What they have written to the disk, too
    #[arg(short, long)]
    pub size: bool,
    /// name=…, id=… (regular expressions), label=…, status=…, network=…, ancestor=IMAGE, exited=CODE, health=…,
    /// before=…, since=…, volume=…, publish=PORT, expose=PORT
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = container_filter)]
    pub filter: Vec<ContainerFilter>,
    #[command(flatten)]
    pub format: FormatArgs,
}

#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Follow the output until the container ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only this many lines from the end, or `all`
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all", value_parser = time::tail)]
    pub tail: Tail,
    /// Only lines since a time: RFC 3339, seconds since the epoch, or a span such as 10m
    #[arg(long, value_name = "TIME", value_parser = point)]
    pub since: Option<Timestamp>,
    /// Only lines until a time
    #[arg(long, value_name = "TIME", value_parser = point)]
    pub until: Option<Timestamp>,
    /// Print what is noted with each line: tag, labels, variables (--log-opt)
    #[arg(long)]
    pub details: bool,
    /// Print the time of each line
    #[arg(short, long)]
    pub timestamps: bool,
    /// Container, by name or id
    #[arg(value_name = "CONTAINER")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Run it in the background
    #[arg(short, long)]
    pub detach: bool,
    /// Keep stdin open
    #[arg(short, long)]
    pub interactive: bool,
    /// Allocate a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Set an environment variable
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// User, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// All capabilities, no seccomp filter
    #[arg(long)]
    pub privileged: bool,
    /// Keys that detach from the terminal
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = detach_keys)]
    pub detach_keys: Keys,
    /// Container, by name or id
    #[arg(value_name = "CONTAINER")]
    pub name: String,
    /// Command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Don't attach to its input
    #[arg(long)]
    pub no_stdin: bool,
    /// Keys that detach from the terminal
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = detach_keys)]
    pub detach_keys: Keys,
    /// Forward signals to the container
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub sig_proxy: bool,
    /// Container, by name or id
    #[arg(value_name = "CONTAINER")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct PortArgs {
    /// Container, by name or id
    #[arg(value_name = "CONTAINER")]
    pub name: String,
    /// Only this port of the container
    #[arg(value_name = "PORT[/PROTO]", value_parser = ports::exposed)]
    pub port: Option<Exposed>,
}

#[derive(Debug, Args)]
pub struct RenameArgs {
    /// Container, by name or id
    #[arg(value_name = "CONTAINER")]
    pub name: String,
    /// Its new name
    pub new_name: String,
}

#[derive(Debug, Args)]
pub struct CpArgs {
    /// Keep owners (default: root's in the container, yours on the host)
    #[arg(short, long)]
    pub archive: bool,
    /// Copy what a link leads to
    #[arg(short = 'L', long)]
    pub follow_link: bool,
    /// Say nothing about what was copied
    #[arg(short, long)]
    pub quiet: bool,
    // Not doc comments: rustdoc would take the brackets for links.
    #[arg(value_name = "SOURCE", help = "[CONTAINER:]PATH, or `-` for a tar stream on stdin")]
    pub source: String,
    #[arg(value_name = "DESTINATION", help = "[CONTAINER:]PATH, or `-` for a tar stream on stdout")]
    pub destination: String,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// File (default: stdout)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Container, by name or id
    #[arg(value_name = "CONTAINER")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct CommitArgs {
    /// Who made it
    #[arg(short, long, value_name = "NAME")]
    pub author: Option<String>,
    /// Set part of the config, as a Dockerfile does: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR
    #[arg(short, long, value_name = "INSTRUCTION", value_parser = instruction)]
    pub change: Vec<Instruction>,
    /// A message for the history
    #[arg(short, long, default_value = "")]
    pub message: String,
    /// Freeze the container meanwhile
    #[arg(short, long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub pause: bool,
    /// Container, by name or id
    #[arg(value_name = "CONTAINER")]
    pub name: String,
    /// Name of the image
    #[arg(value_name = "NAME[:TAG]")]
    pub image: Option<String>,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// container, image, network or volume (default: whatever has the name)
    #[arg(
        long = "type",
        value_parser = PossibleValuesParser::new(["container", "image", "network", "volume"])
            .try_map(|text| text.parse::<ObjectKind>())
    )]
    pub kind: Option<ObjectKind>,
    /// Sizes of containers, too
    #[arg(short, long)]
    pub size: bool,
    #[command(flatten)]
    pub format: ShowArgs,
    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

/// `rcr container inspect`.
#[derive(Debug, Args)]
pub struct InspectContainersArgs {
    /// Sizes, too
    #[arg(short, long)]
    pub size: bool,
    #[command(flatten)]
    pub format: ShowArgs,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    pub names: Vec<String>,
}
