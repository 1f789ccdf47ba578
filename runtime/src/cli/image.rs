//! Verbs about images.

use super::build::BuildArgs;
use super::deferred::Deferred;
use super::prune::{PruneNamedArgs, point};
use super::{FormatArgs, ShowArgs};
use clap::{Args, Subcommand};
use rcr_engine::images::Platform;
use rcr_engine::parse::Parsed;
use rcr_engine::parse::filter::{ImageFilter, image_filter};
use rcr_engine::parse::instruction::{Instruction, instruction};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    #[command(flatten)]
    Transfer(TransferCommand),
    /// List images
    #[command(visible_alias = "list", after_help = "Example: rcr image ls -q")]
    Ls(ListArgs),
    /// Show images as JSON
    #[command(after_help = "Example: rcr image inspect alpine")]
    Inspect(InspectArgs),
    /// Remove images
    #[command(after_help = "Example: rcr image rm alpine")]
    Rm(RemoveArgs),
    /// Remove unnamed images that no container uses
    #[command(after_help = "Example: rcr image prune -a")]
    Prune(PruneNamedArgs),
    /// Check the images on disk for damage, and repair them
    #[command(after_help = "Example: rcr image check --repair")]
    Check(CheckArgs),
}

/// Verbs that work alone (`rcr pull`) and below `rcr image`.
#[derive(Debug, Subcommand)]
pub enum TransferCommand {
    /// Pull an image from a registry
    #[command(after_help = "Example: rcr pull alpine:3.23")]
    Pull(Deferred<PullArgs>),
    /// Push an image to the registry in its name
    #[command(after_help = "Example: rcr push localhost:5000/web:1")]
    Push(Deferred<PushArgs>),
    /// Load images from an archive or a folder, in Docker's format or OCI's
    #[command(after_help = "Example: rcr load -i alpine.tar")]
    Load(Deferred<LoadArgs>),
    /// Save images to an archive or a folder
    #[command(after_help = "Example: rcr save -o alpine.tar alpine:3.23")]
    Save(Deferred<SaveArgs>),
    /// Make an image from a root file system: a tar file, compressed or not, or `-` for stdin
    #[command(after_help = "Example: rcr image import alpine-minirootfs.tar.gz alpine:3.23")]
    Import(Deferred<ImportArgs>),
    /// Build an image from a Dockerfile, with buildah
    #[command(after_help = "Example: rcr build -t web:1 .")]
    Build(Deferred<BuildArgs>),
    /// Give an image another name
    #[command(after_help = "Example: rcr tag alpine:3.23 alpine:latest")]
    Tag(Deferred<TagArgs>),
    /// Show how an image was made, newest step first
    #[command(after_help = "Example: rcr history --no-trunc nginx")]
    History(Deferred<HistoryArgs>),
}

#[derive(Debug, Args)]
pub struct LoadArgs {
    /// File or folder (default: stdin)
    #[arg(short, long, value_name = "PATH")]
    pub input: Option<PathBuf>,
    /// Print nothing but the images' names
    #[arg(short, long)]
    pub quiet: bool,
    /// Platform to load, out of several (default: this machine's)
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Platform>,
}

#[derive(Debug, Args)]
pub struct SaveArgs {
    /// File, or folder for the `-dir` formats (default: stdout)
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// docker-archive (which is an OCI layout, too), docker-dir, oci-archive, oci-dir
    #[arg(long, default_value = "docker-archive", value_parser = ["docker-archive", "docker-dir", "oci-archive", "oci-dir"])]
    pub format: String,
    /// Images, by name or id
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Don't shorten ids and commands
    #[arg(long)]
    pub no_trunc: bool,
    /// Sizes with units; `false`: in bytes
    #[arg(short = 'H', long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub human: bool,
    #[command(flatten)]
    pub format: FormatArgs,
    /// Image, by name or id
    pub image: String,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Unpack damaged layers again, and pull what can't be rebuilt
    #[arg(long)]
    pub repair: bool,
    /// Images, by name or id (default: all)
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
}

#[derive(Debug, Args)]
pub struct PullArgs {
    /// Print nothing but the image's name
    #[arg(short, long)]
    pub quiet: bool,
    /// Platform (default: this machine's)
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Platform>,
    // Not a doc comment: rustdoc would take the brackets for links.
    #[arg(value_name = "IMAGE", help = "Image: [REGISTRY/]PATH[:TAG][@DIGEST]")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct PushArgs {
    /// Print nothing but the image's name
    #[arg(short, long)]
    pub quiet: bool,
    /// Image, by name
    #[arg(value_name = "IMAGE")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct LoginArgs {
    /// User
    #[arg(short, long)]
    pub username: Option<String>,
    /// Password; other users can see it while rcr runs
    #[arg(short, long, conflicts_with = "password_stdin")]
    pub password: Option<String>,
    /// Take the password from stdin
    #[arg(long)]
    pub password_stdin: bool,
    /// Registry (default: docker.io)
    #[arg(value_name = "REGISTRY")]
    pub server: Option<String>,
}

#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Registry (default: docker.io)
    #[arg(value_name = "REGISTRY")]
    pub server: Option<String>,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// File, or `-`
    pub file: PathBuf,
    /// Name of the image
    #[arg(value_name = "NAME[:TAG]")]
    pub name: Option<String>,
    /// Set part of the config, as a Dockerfile does: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR
    #[arg(short, long, value_name = "INSTRUCTION", value_parser = instruction)]
    pub change: Vec<Instruction>,
    /// A message for the history
    #[arg(short, long, default_value = "")]
    pub message: String,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only images of this name, with this tag or with any
    #[arg(value_name = "NAME[:TAG]")]
    pub name: Option<String>,
    /// Accepted as with Docker; all images are listed anyway
    #[arg(short, long)]
    pub all: bool,
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Don't shorten ids
    #[arg(long)]
    pub no_trunc: bool,
    /// Digests of the manifests, too
    #[arg(long)]
    pub digests: bool,
    /// dangling=true|false, label=…, before=IMAGE, since=IMAGE, until=TIME, reference=PATTERN
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter)]
    pub filter: Vec<ImageFilter>,
    #[command(flatten)]
    pub format: FormatArgs,
}

fn filter(text: &str) -> Parsed<ImageFilter> {
    image_filter(text, point)
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub format: ShowArgs,
    /// Images, by name or id
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Remove images that stopped containers use, too
    #[arg(short, long)]
    pub force: bool,
    /// Accepted as with Docker; layers that other images need stay, and the others are no images of their own
    #[arg(long)]
    pub no_prune: bool,
    /// Images, by name or id
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

#[derive(Debug, Args)]
pub struct TagArgs {
    /// Image, by name or id
    pub source: String,
    /// Its other name
    pub target: String,
}
