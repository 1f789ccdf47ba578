//! `cp`, `diff`, `export`, `commit`.

use crate::cli::container::{CommitArgs, CpArgs, ExportArgs};
use crate::report::{self, to_stderr};
use crate::term::table::size;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::commit::{self, Commit};
use rcr_engine::copy::{self, Copied, How};
use rcr_engine::diff;
use rcr_engine::instance::Instance;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// One side of a copy.
enum Side<'a> {
    Stream,
    Container(&'a str, &'a str),
    Host(PathBuf),
}

/// As Docker reads it: a path that is absolute, or begins with a dot, is the host's, whatever colons it has.
fn side(text: &str) -> Outcome<Side<'_>> {
    if text == "-" {
        return Ok(Side::Stream);
    }
    match text.split_once(':') {
        Some((name, path)) if !text.starts_with(['/', '.']) => Ok(Side::Container(name, path)),
        _ => {
            let whole = std::env::current_dir().doing(|| "cannot find the current folder")?.join(text);
            Ok(Side::Host(whole))
        }
    }
}

/// `rcr cp`.
pub fn cp(instance: &Instance, args: &CpArgs) -> Outcome<i32> {
    let how = How { archive: args.archive, follow: args.follow_link };
    let (from, to) = (&args.source, &args.destination);
    let copied = match (side(from)?, side(to)?) {
        (Side::Container(name, path), Side::Stream) => {
            refuse_terminal(io::stdout().is_terminal(), "stdout")?;
            copy::to_stream(instance, name, path, io::stdout(), how)?;
            return Ok(0);
        }
        (Side::Stream, Side::Container(name, path)) => {
            refuse_terminal(io::stdin().is_terminal(), "stdin")?;
            copy::from_stream(instance, io::stdin(), name, path)?
        }
        (Side::Container(name, path), Side::Host(host)) => copy::to_host(instance, name, path, &host, how)?,
        (Side::Host(host), Side::Container(name, path)) => copy::to_container(instance, &host, name, path, how)?,
        _ => {
            return Err(Error::new(Kind::Invalid, format!("cannot copy `{from}` to `{to}`"))
                .caused_by("exactly one of them must be a container's: CONTAINER:PATH")
                .hint("between two containers: `rcr cp A:/path - | rcr cp - B:/path`"));
        }
    };
    say(args, &copied);
    Ok(0)
}

fn refuse_terminal(is_one: bool, which: &str) -> Outcome<()> {
    match is_one {
        true => Err(Error::new(Kind::Invalid, format!("cannot copy an archive: {which} is a terminal"))
            .hint("send it through a pipe")),
        false => Ok(()),
    }
}

fn say(args: &CpArgs, copied: &Copied) {
    for path in &copied.left_out {
        report::warn(format!("`{}` is a device, and was not copied", path.display()));
    }
    if !args.quiet && io::stderr().is_terminal() {
        to_stderr(&format!("Successfully copied {} to {}\n", size(copied.bytes), args.destination));
    }
}

/// `rcr diff`.
pub fn diff(instance: &Instance, name: &str) -> Outcome<i32> {
    for change in diff::diff(instance, name)? {
        println!("{}", report::printable(&format!("{} {}", change.kind.letter(), change.path.display())));
    }
    Ok(0)
}

/// `rcr export`. A file that could not be written whole does not stay.
pub fn export(instance: &Instance, args: &ExportArgs) -> Outcome<i32> {
    match args.output.as_deref().filter(|path| *path != Path::new("-")) {
        None => {
            refuse_terminal(io::stdout().is_terminal(), "stdout")?;
            diff::export(instance, &args.name, io::stdout())?;
        }
        Some(path) => {
            let doing = || format!("cannot write `{}`", path.display());
            let file = OpenOptions::new().write(true).create(true).truncate(true).open(path).doing(doing)?;
            if let Err(failure) = diff::export(instance, &args.name, file) {
                let _ = fs::remove_file(path);
                return Err(failure);
            }
        }
    }
    Ok(0)
}

/// `rcr commit`.
pub fn commit(instance: &Instance, args: &CommitArgs) -> Outcome<i32> {
    let wanted = Commit {
        name: args.image.clone(),
        author: args.author.clone(),
        message: args.message.clone(),
        changes: args.change.clone(),
        pause: args.pause,
    };
    println!("{}", commit::commit(instance, &args.name, &wanted)?);
    Ok(0)
}
