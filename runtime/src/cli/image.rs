//! Verbs about images.

use super::FormatArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Make an image of a root file system: a tar file, plain or packed, or `-` for stdin
    #[command(after_help = "Example: rcr image import alpine-minirootfs.tar.gz alpine:3.23")]
    Import(ImportArgs),
    /// List images
    #[command(visible_alias = "list", after_help = "Example: rcr image ls -q")]
    Ls(ListArgs),
    /// Show images as JSON
    #[command(after_help = "Example: rcr image inspect alpine")]
    Inspect(ImagesArgs),
    /// Remove images
    #[command(after_help = "Example: rcr image rm alpine")]
    Rm(RemoveArgs),
    /// Give an image a further name
    #[command(after_help = "Example: rcr image tag alpine:3.23 alpine:latest")]
    Tag(TagArgs),
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// File, or `-`
    pub file: PathBuf,
    /// Name of the image
    #[arg(value_name = "NAME[:TAG]")]
    pub name: Option<String>,
    /// Set one thing: `CMD …`, `ENTRYPOINT …`, `ENV k=v`, `EXPOSE port`, `USER name`, `WORKDIR dir`
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// A message for the history
    #[arg(short, long, default_value = "")]
    pub message: String,
}

#[derive(Debug, Args)]
pub struct ListArgs {
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
