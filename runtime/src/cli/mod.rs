//! The command line's grammar: what can be said, nothing about what it does.

pub mod argv;
pub mod build;
pub mod container;
pub mod deferred;
pub mod docker_flags;
mod docker_words;
#[cfg(test)]
mod documents;
pub mod events;
mod format;
#[cfg(test)]
mod from_docker;
pub mod health;
pub mod image;
pub mod logging;
pub mod namespaces;
pub mod network;
pub mod node;
pub mod prune;
pub mod resources;
pub mod run;
pub mod stats;
pub mod system;
pub mod usage;
pub mod volume;
pub mod web;

use crate::report::Verb;
use clap::{Args, Parser, Subcommand};
use deferred::Deferred;
pub use format::{FormatArgs, ShowArgs};
use std::path::PathBuf;

/// Run containers with networking built in.
#[derive(Debug, Parser)]
#[command(
    name = "rcr",
    version,
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Print version
    #[arg(short, long, action = clap::ArgAction::Version)]
    pub version: Option<bool>,
    #[command(subcommand)]
    pub command: Command,
}

/// Which instance: each has state of its own.
#[derive(Debug, Args)]
pub struct InstanceArgs {
    /// Folder of the state that survives a reboot
    #[arg(long, env = "RCR_ROOT", default_value = "/var/lib/rcr", value_name = "DIR", global = true)]
    pub root: PathBuf,
    /// Folder of the state that does not
    #[arg(long, env = "RCR_RUN", default_value = "/run/rcr", value_name = "DIR", global = true)]
    pub run: PathBuf,
    /// Configuration (default: /etc/rcr/config.toml, if it is there); a folder, as with Docker: the one with config.json
    #[arg(long, env = "RCR_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Container(container::ContainerCommand),
    /// Manage containers
    #[command(name = "container", subcommand)]
    ContainerGroup(Deferred<container::ContainerGroup>),
    /// Check whether a container is well
    #[command(subcommand)]
    Healthcheck(Deferred<health::HealthcheckCommand>),
    /// Manage images
    #[command(subcommand)]
    Image(Deferred<image::ImageCommand>),
    /// List images
    #[command(after_help = "Example: rcr images --format json")]
    Images(Deferred<image::ListArgs>),
    /// Remove images
    #[command(after_help = "Example: rcr rmi alpine")]
    Rmi(Deferred<image::RemoveArgs>),
    #[command(flatten)]
    Transfer(image::TransferCommand),
    /// Log in to a registry; the credentials are kept where docker keeps them
    #[command(after_help = "Example: rcr login -u me --password-stdin registry.example < password")]
    Login(Deferred<image::LoginArgs>),
    /// Remove the credentials for a registry
    #[command(after_help = "Example: rcr logout registry.example")]
    Logout(Deferred<image::LogoutArgs>),
    /// Build images, and remove the cache of builds
    #[command(subcommand, visible_alias = "buildx")]
    Builder(Deferred<build::BuilderCommand>),
    /// Manage networks
    #[command(subcommand)]
    Network(Deferred<network::NetworkCommand>),
    /// Manage volumes
    #[command(subcommand)]
    Volume(Deferred<volume::VolumeCommand>),
    /// Manage the hosts of a cluster
    #[command(subcommand)]
    Node(Deferred<node::NodeCommand>),
    /// Disk usage, pruning; start or stop all containers with the machine
    #[command(subcommand)]
    System(Deferred<system::SystemCommand>),
    /// Print what happens to containers, images, networks and volumes, or has happened
    #[command(after_help = "Example: rcr events --since 1h -f event=die --format '{{.Actor.Attributes.name}}'")]
    Events(Deferred<events::EventsArgs>),
    /// Show containers and networks on a page in a browser, on this machine alone
    ///
    /// Prints the page's address, with a token that keeps others out, and serves it until Ctrl-C. The page only looks,
    /// unless --allow-changes.
    #[command(after_help = "Example: rcr web --port 8080")]
    Web(Deferred<web::WebArgs>),
    /// Show a container, an image, a network or a volume as JSON
    #[command(after_help = "Example: rcr inspect c1")]
    Inspect(Deferred<container::InspectArgs>),
    /// Show the versions of rcr and netd
    #[command(after_help = "Example: rcr version --format json")]
    Version(Deferred<ShowArgs>),
    /// Show this host as rcr sees it
    #[command(after_help = "Example: rcr info --format json")]
    Info(Deferred<ShowArgs>),
    /// Print a script that completes commands, flags and names in a shell
    #[command(after_help = "Example: rcr completion bash > /etc/bash_completion.d/rcr")]
    Completion(Deferred<CompletionArgs>),
    /// Write the manual pages into a folder
    #[command(hide = true, after_help = "Example: rcr manual /usr/local/share/man/man1")]
    Manual(Deferred<ManualArgs>),
}

impl Command {
    /// Whose exit codes it has.
    pub fn verb(&self) -> Verb {
        use container::{ContainerCommand, ContainerGroup};
        let command = match self {
            Command::Container(command) => command,
            Command::ContainerGroup(group) => match &**group {
                ContainerGroup::Verb(command) => command,
                _ => return Verb::Other,
            },
            _ => return Verb::Other,
        };
        match command {
            ContainerCommand::Run(_) => Verb::Run,
            ContainerCommand::Exec(_) => Verb::Exec,
            _ => Verb::Other,
        }
    }
}

#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// Shell
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    pub shell: String,
}

#[derive(Debug, Args)]
pub struct ManualArgs {
    /// Folder
    pub folder: PathBuf,
}
