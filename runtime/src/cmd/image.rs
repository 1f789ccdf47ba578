//! `image …`, `images`, `rmi`.

use super::each::print_found;
use super::{archive, registry};
use crate::cli::image::{CheckArgs, ImageCommand, ListArgs, PruneArgs, RemoveArgs, TransferCommand};
use crate::term::progress::Progress;
use crate::term::table;
use rcr_base::Outcome;
use rcr_engine::images::{self, NameFilter, Removed};
use rcr_engine::inspect;
use rcr_engine::instance::Instance;
use serde_json::json;

/// `rcr image …`.
pub fn image(instance: &Instance, command: ImageCommand) -> Outcome<i32> {
    match command {
        ImageCommand::Transfer(command) => transfer(instance, command),
        ImageCommand::Ls(args) => list(instance, &args),
        ImageCommand::Inspect(args) => print_found(&args.images, false, |name| inspect::image(instance, name)),
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
        TransferCommand::Import(args) => archive::import(instance, &args),
        TransferCommand::Tag(args) => {
            images::tag(instance, &args.source, &args.target)?;
            Ok(0)
        }
        TransferCommand::History(args) => archive::history(instance, &args),
    }
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

/// `rcr images`.
pub fn list(instance: &Instance, args: &ListArgs) -> Outcome<i32> {
    let mut rows = Vec::new();
    let filter = args.name.as_deref().map(str::parse::<NameFilter>).transpose()?;
    for image in images::list(instance, filter.as_ref())? {
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

fn say(removed: Removed) {
    match removed {
        Removed::Untagged(name) => println!("Untagged: {name}"),
        Removed::Deleted(id) => println!("Deleted: {id}"),
    }
}

/// `rcr image rm`.
pub fn remove(instance: &Instance, args: &RemoveArgs) -> Outcome<i32> {
    let mut code = 0;
    for removed in images::remove(instance, &args.images, args.force)? {
        match removed {
            Ok(removed) => removed.into_iter().for_each(say),
            Err(failure) => {
                crate::report::print(&failure);
                code = 1;
            }
        }
    }
    Ok(code)
}

/// `rcr image prune`.
fn prune(instance: &Instance, args: &PruneArgs) -> Outcome<i32> {
    let which = if args.all { "images that no container uses" } else { "images without a name" };
    if !args.force && !crate::term::ask::confirm(&format!("this will remove all {which}"))? {
        return Ok(0);
    }
    let pruned = images::prune(instance, args.all)?;
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
            "hint: `rcr image check --repair` unpacks layers again, and pulls what can't be rebuilt\n",
        );
    }
    Ok(i32::from(damaged > 0))
}
