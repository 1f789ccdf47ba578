//! `image …`, `images`, `rmi`.

use super::each::print_found;
use super::{archive, registry};
use crate::cli::image::{CheckArgs, ImageCommand, ImportArgs, ListArgs, PruneArgs, RemoveArgs, TransferCommand};
use crate::cli::value;
use crate::term::progress::Progress;
use crate::term::table;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::images::{self, Containers, store};
use rcr_engine::instance::Instance;
use rcr_images::{ImportOptions, Reference, Removed};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};

/// `rcr image …`.
pub fn image(instance: &Instance, command: ImageCommand) -> Outcome<i32> {
    match command {
        ImageCommand::Transfer(command) => transfer(instance, command),
        ImageCommand::Ls(args) => list(instance, &args),
        ImageCommand::Inspect(args) => print_found(&args.images, false, |name| describe(instance, name)),
        ImageCommand::Rm(args) => remove(instance, &args),
        ImageCommand::Prune(args) => prune(instance, &args),
        ImageCommand::Check(args) => check(instance, &args),
    }
}

/// Verbs with and without `image` before them.
pub fn transfer(instance: &Instance, command: TransferCommand) -> Outcome<i32> {
    match command {
        TransferCommand::Pull(args) => registry::pull(instance, &args),
        TransferCommand::Push(args) => registry::push(instance, &args),
        TransferCommand::Load(args) => archive::load(instance, &args),
        TransferCommand::Save(args) => archive::save(instance, &args),
        TransferCommand::Import(args) => import(instance, &args),
        TransferCommand::Tag(args) => {
            store(instance)?.tag(&args.source, &args.target)?;
            Ok(0)
        }
        TransferCommand::History(args) => archive::history(instance, &args),
    }
}

fn import(instance: &Instance, args: &ImportArgs) -> Outcome<i32> {
    let store = store(instance)?;
    let options = import_options(args)?;
    let source = if args.file.as_os_str() == "-" {
        io::stdin().as_fd().try_clone_to_owned()
    } else {
        File::open(&args.file).map(OwnedFd::from)
    };
    let source = source.doing(|| format!("cannot read `{}`", args.file.display()))?;
    let terminal = io::stderr().is_terminal();
    let mut progress = |bytes: u64| {
        if terminal {
            let _ = write!(io::stderr(), "\runpacking {}   ", table::size(bytes));
        }
    };
    let result = store.import(source, args.name.as_deref(), &options, &mut progress);
    if terminal {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    println!("{}", result?.id);
    Ok(0)
}

/// `--change`, as instructions of a Dockerfile.
fn import_options(args: &ImportArgs) -> Outcome<ImportOptions> {
    let mut options = ImportOptions { message: args.message.clone(), ..ImportOptions::default() };
    for change in &args.change {
        let (word, rest) = change.split_once(char::is_whitespace).unwrap_or((change, ""));
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "CMD" => options.cmd = Some(command_line(rest)),
            "ENTRYPOINT" => options.entrypoint = Some(command_line(rest)),
            "ENV" => options.env.push(rest.to_owned()),
            "WORKDIR" => options.workdir = Some(rest.to_owned()),
            "USER" => options.user = Some(rest.to_owned()),
            "EXPOSE" => {
                for port in rest.split_whitespace() {
                    let exposed = value::exposed(port).map_err(|why| {
                        Error::new(Kind::Invalid, format!("cannot understand `--change {change}`")).caused_by(why)
                    })?;
                    options.exposed.push(if port.contains('/') {
                        port.to_owned()
                    } else {
                        format!("{port}/{}", exposed.proto)
                    });
                }
            }
            _ => {
                let known = ["CMD", "ENTRYPOINT", "ENV", "EXPOSE", "USER", "WORKDIR"];
                return Err(Error::new(
                    Kind::Invalid,
                    format!("unknown instruction `{word}`{}", value::nearest(word, &known)),
                ));
            }
        }
    }
    Ok(options)
}

/// A JSON list, or a line for the shell.
fn command_line(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| vec!["/bin/sh".into(), "-c".into(), text.into()])
}

fn split_name(name: &str) -> (&str, &str) {
    if let Some((repository, _)) = name.split_once('@') {
        return (repository, "<none>");
    }
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "<none>"),
    }
}

/// Names that a listing is about.
struct Wanted {
    name: Reference,
    any_tag: bool,
}

impl Wanted {
    fn parse(text: &str) -> Outcome<Self> {
        let name: Reference = text.parse()?;
        // A colon in the last part is a tag's, one before it a port's.
        let any_tag = name.digest.is_none() && !text.rsplit('/').next().is_some_and(|last| last.contains(':'));
        Ok(Self { name, any_tag })
    }

    fn fits(&self, name: &str) -> bool {
        match self.any_tag {
            true => name.parse::<Reference>().is_ok_and(|name| name.repository == self.name.repository),
            false => name == self.name.to_string(),
        }
    }
}

/// `rcr images`.
pub fn list(instance: &Instance, args: &ListArgs) -> Outcome<i32> {
    let mut rows = Vec::new();
    let wanted = args.name.as_deref().map(Wanted::parse).transpose()?;
    for mut image in store(instance)?.list()? {
        if let Some(wanted) = &wanted {
            image.names.retain(|name| wanted.fits(name));
            if image.names.is_empty() {
                continue;
            }
        }
        let hex = image.id.to_string();
        let hex = hex.strip_prefix("sha256:").unwrap_or(&hex).to_owned();
        let id = if args.no_trunc { image.id.to_string() } else { hex[..12.min(hex.len())].to_owned() };
        if args.quiet {
            println!("{id}");
            continue;
        }
        let names = if image.names.is_empty() { vec!["<none>".to_owned()] } else { image.names };
        let created = jiff::Timestamp::from_second(image.created).map(|t| t.to_string()).unwrap_or_default();
        for name in &names {
            let (repository, tag) = split_name(name);
            rows.push([repository.to_owned(), tag.to_owned(), id.clone(), created.clone(), table::size(image.size)]);
        }
    }
    if args.format.is_json() {
        for [repository, tag, id, created, size] in rows {
            table::print_json(
                &json!({ "Repository": repository, "Tag": tag, "ID": id, "CreatedAt": created, "Size": size }),
            );
        }
    } else if !args.quiet {
        let cells = rows
            .into_iter()
            .map(|[r, t, id, created, size]| vec![r, t, id, format!("{} ago", table::age(&created)), size]);
        table::print(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], &cells.collect::<Vec<_>>());
    }
    Ok(0)
}

/// For `inspect`.
pub fn describe(instance: &Instance, name: &str) -> Outcome<Value> {
    let image = store(instance)?.resolve(name)?;
    Ok(json!({
        "Id": image.id.to_string(),
        "RepoTags": image.names,
        "Created": image.config.created(),
        "Architecture": image.config.architecture(),
        "Os": image.config.os(),
        "Config": image.config.config(),
        "RootFS": { "Type": "layers", "Layers": image.config.rootfs().diff_ids() },
    }))
}

fn say(removed: Removed) {
    match removed {
        Removed::Untagged(name) => println!("Untagged: {name}"),
        Removed::Deleted(id) => println!("Deleted: {id}"),
    }
}

/// `rcr image rm`. Without `-f` an image stays while any container stands on it; with `-f` only while one runs.
pub fn remove(instance: &Instance, args: &RemoveArgs) -> Outcome<i32> {
    let store = store(instance)?;
    let users = Containers::of(instance, args.force)?;
    let mut code = 0;
    for name in &args.images {
        match store.remove(name, args.force, &users) {
            Ok(removed) => removed.into_iter().for_each(say),
            Err(error) => {
                crate::report::print(&error.into());
                code = 1;
            }
        }
    }
    Ok(code)
}

/// `rcr image prune`.
fn prune(instance: &Instance, args: &PruneArgs) -> Outcome<i32> {
    let which = if args.all { "images that no container stands on" } else { "images without a name" };
    if !args.force && !crate::term::ask::confirm(&format!("this will remove all {which}"))? {
        return Ok(0);
    }
    let pruned = store(instance)?.prune(args.all, &Containers::of(instance, false)?)?;
    pruned.removed.into_iter().for_each(say);
    println!("Total reclaimed space: {}", table::size(pruned.bytes));
    Ok(0)
}

/// `rcr image check`: 1 if something is damaged and stays so.
fn check(instance: &Instance, args: &CheckArgs) -> Outcome<i32> {
    let checked = images::check(instance, &args.images, args.repair, &Progress::new(false, "pulled"))?;
    checked.refused.iter().for_each(crate::report::print);
    for fault in &checked.faults {
        println!("{}: {}", if fault.repaired { "repaired" } else { "damaged" }, fault.what);
    }
    let repaired = checked.faults.iter().filter(|fault| fault.repaired).count();
    let damaged = checked.faults.len() - repaired;
    println!("{} images, {} layers: {damaged} damaged, {repaired} repaired", checked.images, checked.layers);
    if damaged > 0 && !args.repair {
        crate::report::to_stderr(
            "hint: `rcr image check --repair` makes layers anew, and pulls what cannot be made from what is here\n",
        );
    }
    Ok(i32::from(damaged > 0))
}
