//! `load`, `save`, `import`, `history`.

use crate::cli::image::{HistoryArgs, ImportArgs, LoadArgs, SaveArgs};
use crate::term::listing::{self, Row};
use crate::term::progress::Count;
use crate::term::table;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::images::{self, Import, Input, Output, Step};
use rcr_engine::instance::Instance;
use serde::Serialize;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// `rcr load`.
pub fn load(instance: &Instance, args: &LoadArgs) -> Outcome<i32> {
    let shown = args.input.as_ref().map_or_else(|| "stdin".to_owned(), |path| format!("`{}`", path.display()));
    let doing = || format!("cannot load {shown}");
    let input = match &args.input {
        Some(folder) if folder.is_dir() => Input::Folder(folder.clone()),
        other => Input::Stream(source(other.as_deref()).doing(doing)?),
    };
    let count = Count::new("reading", args.quiet);
    for image in images::load(instance, input, args.platform.as_ref(), &count).doing(doing)? {
        if image.names.is_empty() {
            println!("Loaded image ID: {}", image.image.id);
        }
        image.names.iter().for_each(|name| println!("Loaded image: {name}"));
    }
    Ok(0)
}

/// A file, or stdin if there is none, or if it is `-`.
fn source(path: Option<&Path>) -> Outcome<OwnedFd> {
    match path {
        Some(path) if path.as_os_str() != "-" => {
            File::open(path).map(OwnedFd::from).doing(|| format!("cannot read `{}`", path.display()))
        }
        _ if io::stdin().is_terminal() => {
            Err(Error::new(Kind::Invalid, "stdin is a terminal")
                .hint("name the archive with `-i FILE`, or pipe one in"))
        }
        _ => io::stdin().as_fd().try_clone_to_owned().doing(|| "cannot read stdin"),
    }
}

/// `rcr save`.
pub fn save(instance: &Instance, args: &SaveArgs) -> Outcome<i32> {
    let doing = || format!("cannot save {}", args.images.join(", "));
    let refused = |why: &str, hint: &str| Err(Error::new(Kind::Invalid, doing()).caused_by(why).hint(hint));
    let path = args.output.clone().filter(|path| path.as_os_str() != "-");
    let mut stdout = io::stdout();
    let output = match path {
        Some(folder) if args.format.ends_with("-dir") => Output::Folder(folder),
        Some(file) => Output::File(file),
        None if args.format.ends_with("-dir") => return refused("a folder needs a name", "name it with `-o FOLDER`"),
        None if stdout.is_terminal() => {
            return refused("stdout is a terminal", "name a file with `-o FILE`, or send it on through a pipe");
        }
        None => Output::Stream(&mut stdout),
    };
    let format = args.format.parse().map_err(|why: &str| Error::new(Kind::Invalid, doing()).caused_by(why))?;
    images::save(instance, &args.images, format, output).doing(doing)?;
    Ok(0)
}

/// `rcr import`.
pub fn import(instance: &Instance, args: &ImportArgs) -> Outcome<i32> {
    let tar = if args.file.as_os_str() == "-" {
        io::stdin().as_fd().try_clone_to_owned()
    } else {
        File::open(&args.file).map(OwnedFd::from)
    };
    let tar = tar.doing(|| format!("cannot read `{}`", args.file.display()))?;
    let wanted = Import { tar, name: args.name.clone(), changes: args.change.clone(), message: args.message.clone() };
    let image = images::import(instance, wanted, &Count::new("unpacking", false))?;
    println!("{}", image.id);
    Ok(0)
}

/// One step, with Docker's keys.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    comment: String,
    created_at: String,
    created_by: String,
    created_since: String,
    #[serde(rename = "ID")]
    id: String,
    size: String,
}

impl Row for Line {
    const HEADINGS: &'static [(&'static str, &'static str)] = &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ];
}

/// `rcr history`: sizes are those of the packed layers.
pub fn history(instance: &Instance, args: &HistoryArgs) -> Outcome<i32> {
    let short = |id: String| match args.no_trunc {
        true => id,
        false => id.trim_start_matches("sha256:").chars().take(12).collect(),
    };
    let cut = |text: String| if args.no_trunc { text } else { table::shortened(&text, 45) };
    let size = |bytes| if args.human { table::size(bytes) } else { bytes.to_string() };
    let line = |step: Step| Line {
        comment: step.comment,
        created_since: format!("{} ago", table::age(&step.created)),
        created_at: step.created,
        created_by: cut(step.created_by),
        id: step.id.map_or_else(|| "<missing>".to_owned(), short),
        size: size(step.size),
    };
    let lines: Vec<Line> = images::history(instance, &args.image)?.into_iter().map(line).collect();
    if args.quiet {
        lines.iter().for_each(|line| println!("{}", line.id));
        return Ok(0);
    }
    let columns = ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"];
    listing::print(args.format.format.as_ref(), &columns, &lines)?;
    Ok(0)
}
