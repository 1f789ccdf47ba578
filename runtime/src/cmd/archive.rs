//! `load`, `save`, `import`, `history`.

use crate::cli::image::{HistoryArgs, ImportArgs, LoadArgs, SaveArgs};
use crate::term::progress::Count;
use crate::term::table;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::images::{self, Import, Input, Output, Step};
use rcr_engine::instance::Instance;
use rcr_engine::parse::instruction::import_options;
use serde_json::json;
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
    let options = import_options(args.change.clone(), args.message.clone());
    let image =
        images::import(instance, Import { tar, name: args.name.clone(), options }, &Count::new("unpacking", false))?;
    println!("{}", image.id);
    Ok(0)
}

/// `rcr history`: sizes are those of the packed layers.
pub fn history(instance: &Instance, args: &HistoryArgs) -> Outcome<i32> {
    let short = |id: String| match args.no_trunc {
        true => id,
        false => id.trim_start_matches("sha256:").chars().take(12).collect(),
    };
    let cut = |text: String| match args.no_trunc || text.chars().count() <= 45 {
        true => text,
        false => text.chars().take(44).chain(['…']).collect(),
    };
    let mut cells = Vec::new();
    for Step { id, created, created_by, size, comment } in images::history(instance, &args.image)? {
        let id = id.map_or_else(|| "<missing>".to_owned(), short);
        if args.quiet {
            println!("{id}");
        } else if args.format.is_json() {
            let size = table::size(size);
            table::print_json(
                &json!({ "ID": id, "CreatedAt": created, "CreatedBy": created_by, "Size": size, "Comment": comment }),
            );
        } else {
            cells.push(vec![id, format!("{} ago", table::age(&created)), cut(created_by), table::size(size), comment]);
        }
    }
    if !args.quiet && !args.format.is_json() {
        table::print(&["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"], &cells);
    }
    Ok(0)
}
