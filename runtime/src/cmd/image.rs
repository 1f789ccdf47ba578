//! `image …`, `images`, `rmi`.

use super::each::print_found;
use super::{archive, build, prune, registry};
use crate::cli::image::{CheckArgs, ImageCommand, ListArgs, RemoveArgs, TransferCommand};
use crate::term::listing::{self, Row};
use crate::term::progress::Progress;
use crate::term::table;
use rcr_base::Outcome;
use rcr_engine::images::{self, ImageSummary, NameFilter, Removed};
use rcr_engine::inspect;
use rcr_engine::instance::Instance;
use serde::Serialize;
use std::collections::BTreeMap;

/// `rcr image …`.
pub fn image(instance: &Instance, command: ImageCommand) -> Outcome<i32> {
    match command {
        ImageCommand::Transfer(command) => transfer(instance, command),
        ImageCommand::Ls(args) => list(instance, &args),
        ImageCommand::Inspect(args) => {
            print_found(&args.images, args.format.format.as_ref(), |name| inspect::image(instance, name))
        }
        ImageCommand::Rm(args) => remove(instance, &args),
        ImageCommand::Prune(args) => prune::images(instance, &args),
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
        TransferCommand::Build(args) => build::build(instance, args.into_inner()),
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

/// One name of an image, with Docker's keys.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    containers: &'static str,
    created_at: String,
    created_since: String,
    digest: String,
    #[serde(rename = "ID")]
    id: String,
    repository: String,
    shared_size: &'static str,
    size: String,
    tag: String,
    unique_size: &'static str,
    virtual_size: String,
    #[serde(skip)]
    all_labels: BTreeMap<String, String>,
}

impl Row for Line {
    const HEADINGS: &'static [(&'static str, &'static str)] = &[
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("VirtualSize", "VIRTUAL SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
    ];

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.all_labels)
    }
}

fn line(image: &ImageSummary, name: &str, id: &str) -> Line {
    let (repository, tag) = split_name(name);
    let created = jiff::Timestamp::from_second(image.created).map(|t| t.to_string()).unwrap_or_default();
    Line {
        containers: "N/A",
        created_at: table::local_time(&created),
        created_since: format!("{} ago", table::age(&created)),
        digest: if name == NONE { NONE.to_owned() } else { image.manifest.to_string() },
        id: id.to_owned(),
        repository: repository.to_owned(),
        shared_size: "N/A",
        size: table::size(image.size),
        tag: tag.to_owned(),
        unique_size: "N/A",
        virtual_size: table::size(image.size),
        all_labels: image.labels.clone(),
    }
}

/// The name of an image without one.
const NONE: &str = "<none>";

/// `rcr images`.
pub fn list(instance: &Instance, args: &ListArgs) -> Outcome<i32> {
    let mut lines = Vec::new();
    let name = args.name.as_deref().map(str::parse::<NameFilter>).transpose()?;
    for image in images::list(instance, name.as_ref(), &args.filter)? {
        let whole = image.id.to_string();
        let id = if args.no_trunc { whole } else { image.id.hex()[..12].to_owned() };
        if args.quiet {
            println!("{id}");
        } else if image.names.is_empty() {
            lines.push(line(&image, NONE, &id));
        } else {
            lines.extend(image.names.iter().map(|name| line(&image, name, &id)));
        }
    }
    if args.quiet {
        return Ok(0);
    }
    let columns: &[&str] = match args.digests {
        true => &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"],
        false => &["Repository", "Tag", "ID", "CreatedSince", "Size"],
    };
    listing::print(args.format.format.as_ref(), columns, &lines)?;
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
