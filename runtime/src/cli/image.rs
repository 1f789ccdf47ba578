//! Verbs about images.

use super::FormatArgs;
use clap::{Args, Subcommand};
use rcr_engine::images::Platform;
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
    Inspect(ImagesArgs),
    /// Remove images
    #[command(after_help = "Example: rcr image rm alpine")]
    Rm(RemoveArgs),
    /// Remove images without a name that no container stands on
    #[command(after_help = "Example: rcr image prune -a")]
    Prune(PruneArgs),
    /// Find what has changed on the disk since it was written, and put it right
    #[command(after_help = "Example: rcr image check --repair")]
    Check(CheckArgs),
}

/// Verbs that stand alone (`rcr pull`) and below `rcr image`.
#[derive(Debug, Subcommand)]
pub enum TransferCommand {
    /// Fetch an image from a registry
    #[command(after_help = "Example: rcr pull alpine:3.23")]
    Pull(PullArgs),
    /// Send an image to the registry that its name says
    #[command(after_help = "Example: rcr push localhost:5000/web:1")]
    Push(PushArgs),
    /// Take images out of an archive or a folder, of Docker or of OCI
    #[command(after_help = "Example: rcr load -i alpine.tar")]
    Load(LoadArgs),
    /// Write images into an archive or a folder
    #[command(after_help = "Example: rcr save -o alpine.tar alpine:3.23")]
    Save(SaveArgs),
    /// Make an image of a root file system: a tar file, plain or packed, or `-` for stdin
    #[command(after_help = "Example: rcr image import alpine-minirootfs.tar.gz alpine:3.23")]
    Import(ImportArgs),
    /// Give an image a further name
    #[command(after_help = "Example: rcr tag alpine:3.23 alpine:latest")]
    Tag(TagArgs),
    /// Show how an image was made, newest step first
    #[command(after_help = "Example: rcr history --no-trunc nginx")]
    History(HistoryArgs),
}

#[derive(Debug, Args)]
pub struct LoadArgs {
    /// File or folder (default: stdin)
    #[arg(short, long, value_name = "PATH")]
    pub input: Option<PathBuf>,
    /// Print nothing but the images' names
    #[arg(short, long)]
    pub quiet: bool,
    /// Out of several, the image for another platform than this machine's
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
    /// Ids of layers only
    #[arg(short, long)]
    pub quiet: bool,
    /// Whole ids and commands
    #[arg(long)]
    pub no_trunc: bool,
    #[command(flatten)]
    pub format: FormatArgs,
    /// Image, by name or id
    pub image: String,
}

#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Also images that have a name, if no container stands on them
    #[arg(short, long)]
    pub all: bool,
    /// Don't ask
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Make damaged layers anew; what was packed and is damaged is pulled again
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
    /// For another platform than this machine's
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Platform>,
    /// Image: [REGISTRY/]PATH[:TAG][@DIGEST]
    #[arg(value_name = "IMAGE")]
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
    /// Password; others can see it while rcr runs
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
    /// Set one thing: `CMD …`, `ENTRYPOINT …`, `ENV k=v`, `EXPOSE port`, `USER name`, `WORKDIR dir`
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
    /// As ever: all images are listed, there are none in between
    #[arg(short, long)]
    pub all: bool,
    /// Ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Whole ids
    #[arg(long)]
    pub no_trunc: bool,
    #[command(flatten)]
    pub format: FormatArgs,
}

#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Images, by name or id
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Also one that a stopped container uses
    #[arg(short, long)]
    pub force: bool,
    /// Images, by name or id
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

#[derive(Debug, Args)]
pub struct TagArgs {
    /// Image, by name or id
    pub source: String,
    /// Its further name
    pub target: String,
}
