//! `build`, `builder …`.

use super::registry;
use crate::cli::build::{BuildArgs, BuilderCommand, PruneBuilderArgs};
use crate::cli::image::PushArgs;
use crate::term::ask::confirm;
use crate::term::progress::Progress;
use crate::term::table;
use rcr_base::{Doing, Outcome};
use rcr_engine::build::{self, Build, Built, Context, Source};
use rcr_engine::instance::Instance;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// `rcr builder …`.
pub fn builder(instance: &Instance, command: BuilderCommand) -> Outcome<i32> {
    match command {
        BuilderCommand::Build(args) => build(instance, args.into_inner()),
        BuilderCommand::Prune(args) => prune(instance, &args),
    }
}

/// `rcr build`: what the steps write goes to stderr, as with Docker.
pub fn build(instance: &Instance, args: BuildArgs) -> Outcome<i32> {
    if let Some(path) = &args.iidfile {
        // One of an earlier build would be taken for ours if we fail.
        let _ = fs::remove_file(path);
    }
    let (quiet, push, names, id_file) = (args.quiet, args.push, args.tag.clone(), args.iidfile.clone());
    let wanted = request(args)?;
    let stderr = io::stderr().as_fd().try_clone_to_owned().doing(|| "cannot use stderr")?;
    let id = match build::build(instance, wanted, &stderr, &Progress::new(quiet, "pulled"))? {
        Built::Image(id) => id,
        Built::Failed(code) => return Ok(code),
    };
    if let Some(path) = id_file {
        fs::write(&path, &id).doing(|| format!("cannot write the image's id to `{}`", path.display()))?;
    }
    if quiet {
        println!("{id}");
    }
    for name in names.into_iter().filter(|_| push) {
        registry::push(instance, &PushArgs { quiet, name: name.to_string() })?;
    }
    Ok(0)
}

fn request(args: BuildArgs) -> Outcome<Build> {
    let stdin = || -> Outcome<OwnedFd> { io::stdin().as_fd().try_clone_to_owned().doing(|| "cannot read stdin") };
    let context = match args.context.as_str() {
        "-" => Context::Stream(stdin()?),
        url if ["http://", "https://", "git://", "git@", "ssh://"].iter().any(|begin| url.starts_with(begin)) => {
            Context::Remote(args.context)
        }
        _ => Context::Folder(args.context.into()),
    };
    let file = match args.file {
        Some(path) if path.as_os_str() == "-" => Some(Source::Stream(stdin()?)),
        other => other.map(Source::File),
    };
    let each = |flag: &'static str, values: Vec<String>| values.into_iter().map(move |value| (flag, value));
    let more = each("--secret", args.secret).chain(each("--ssh", args.ssh)).chain(each("--add-host", args.add_host));
    let more = more.chain(each("--ulimit", args.ulimit)).chain(args.shm_size.map(|size| ("--shm-size", size)));
    Ok(Build {
        context,
        file,
        names: args.tag,
        args: args.build_arg,
        labels: args.label,
        target: args.target,
        no_cache: args.no_cache,
        pull: args.pull,
        quiet: args.quiet,
        platform: args.platform,
        network: args.network,
        more: more.collect(),
    })
}

fn prune(instance: &Instance, args: &PruneBuilderArgs) -> Outcome<i32> {
    if args.force || confirm("this will remove the cache of all builds")? {
        println!("Total reclaimed space: {}", table::size(build::prune(&instance.dirs)?));
    }
    Ok(0)
}
