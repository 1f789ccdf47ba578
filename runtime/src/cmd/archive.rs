//! `load`, `save`, `history`.

use crate::cli::image::{HistoryArgs, LoadArgs, SaveArgs};
use crate::term::table;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::images::{self, store};
use rcr_engine::instance::Instance;
use rcr_images::archive::{self, Format, Target};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Bytes written at a time.
const BUFFER: usize = 256 << 10;

/// `rcr load`.
pub fn load(instance: &Instance, args: &LoadArgs) -> Outcome<i32> {
    let shown = args.input.as_ref().map_or_else(|| "stdin".to_owned(), |path| format!("`{}`", path.display()));
    let doing = || format!("cannot load {shown}");
    let platform = crate::flags::text::platform(args.platform.as_deref())?;
    let threads = instance.config.images.parallel;
    let store = store(instance)?;
    let loaded = match &args.input {
        Some(folder) if folder.is_dir() => archive::load_folder(&store, folder, platform.as_ref(), threads),
        input => {
            let source = source(input.as_deref()).doing(doing)?;
            let bar = io::stderr().is_terminal() && !args.quiet;
            let mut progress = |bytes: u64| {
                if bar {
                    let _ = write!(io::stderr(), "\rreading {}   ", table::size(bytes));
                }
            };
            let loaded = archive::load(&store, source, platform.as_ref(), threads, &mut progress);
            if bar {
                let _ = write!(io::stderr(), "\r\x1b[K");
            }
            loaded
        }
    };
    let loaded = loaded.map_err(|error| {
        images::collect(instance, &store);
        Error::from(error).during(doing())
    });
    for image in loaded? {
        for field in &image.image.strange {
            crate::report::warn(format!("image `{}`: {field}", image.image.id));
        }
        if image.names.is_empty() {
            println!("Loaded image ID: {}", image.image.id);
        }
        image.names.iter().for_each(|name| println!("Loaded image: {name}"));
    }
    Ok(0)
}

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
    let parsed = args.format.parse::<Format>();
    let format =
        parsed.map_err(|why| Error::new(Kind::Invalid, format!("cannot save as `{}`", args.format)).caused_by(why))?;
    let store = store(instance)?;
    let output = args.output.as_deref().filter(|path| path.as_os_str() != "-");
    let doing = || format!("cannot save {}", args.images.join(", "));
    let saved = match output {
        Some(path) if args.format.ends_with("-dir") => {
            archive::save(&store, &args.images, format, Target::Folder(path.to_owned()))
        }
        None if args.format.ends_with("-dir") => {
            return Err(Error::new(Kind::Invalid, doing())
                .caused_by("a folder needs a name")
                .hint("name it with `-o FOLDER`"));
        }
        None if io::stdout().is_terminal() => {
            return Err(Error::new(Kind::Invalid, doing())
                .caused_by("stdout is a terminal")
                .hint("name a file with `-o FILE`, or send it on through a pipe"));
        }
        None => {
            let mut stream = BufWriter::with_capacity(BUFFER, io::stdout().lock());
            archive::save(&store, &args.images, format, Target::Stream(&mut stream))
        }
        Some(path) => {
            return to_file(path, &mut |stream| archive::save(&store, &args.images, format, Target::Stream(stream)))
                .doing(doing)
                .map(|()| 0);
        }
    };
    saved.map_err(|error| Error::from(error).during(doing()))?;
    Ok(0)
}

/// Writes beside the file and renames: a failure leaves what was there. A device or a FIFO is written to as it is.
fn to_file(path: &Path, write: &mut dyn FnMut(&mut dyn Write) -> Result<(), rcr_images::Error>) -> Outcome<()> {
    let cannot = || format!("cannot write `{}`", path.display());
    let special = fs::metadata(path).is_ok_and(|meta| !meta.is_file());
    if special {
        let file = OpenOptions::new().write(true).open(path).doing(cannot)?;
        return Ok(write(&mut BufWriter::with_capacity(BUFFER, file))?);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let file = File::create_new(&beside).doing(cannot)?;
    let written = write(&mut BufWriter::with_capacity(BUFFER, file)).map_err(Error::from);
    let written = written.and_then(|()| fs::rename(&beside, path).doing(cannot));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// `rcr history`: sizes are those of the packed layers.
pub fn history(instance: &Instance, args: &HistoryArgs) -> Outcome<i32> {
    let store = store(instance)?;
    let image = store.resolve(&args.image)?;
    let mut sizes = store.manifest(&image)?.layers().iter().map(|layer| layer.size()).collect::<Vec<_>>().into_iter();
    let mut rows = Vec::new();
    for step in image.config.history().as_deref().unwrap_or_default() {
        let size = if step.empty_layer() == Some(true) { 0 } else { sizes.next().unwrap_or(0) };
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        rows.push((text(step.created()), text(step.created_by()), size, text(step.comment())));
    }
    rows.reverse();
    let id = image.id.to_string();
    let id = if args.no_trunc { id } else { id.trim_start_matches("sha256:").chars().take(12).collect() };
    // Steps before the last have no image of their own.
    let ids = [id].into_iter().chain(std::iter::repeat("<missing>".to_owned()));
    let cut = |text: String| match args.no_trunc || text.chars().count() <= 45 {
        true => text,
        false => text.chars().take(44).chain(['…']).collect(),
    };
    let mut cells = Vec::new();
    for (id, (created, by, size, comment)) in ids.zip(rows) {
        if args.quiet {
            println!("{id}");
        } else if args.format.is_json() {
            let size = table::size(size);
            table::print_json(
                &json!({ "ID": id, "CreatedAt": created, "CreatedBy": by, "Size": size, "Comment": comment }),
            );
        } else {
            cells.push(vec![id, format!("{} ago", table::age(&created)), cut(by), table::size(size), comment]);
        }
    }
    if !args.quiet && !args.format.is_json() {
        table::print(&["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"], &cells);
    }
    Ok(0)
}
