//! The context and the Dockerfile of a build, as buildah gets them.

use super::place::Place;
use super::request::{Context, Source};
use rcr_base::{Doing, Error, Kind, Outcome};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// No Dockerfile is longer.
const LONGEST: u64 = 4 << 20;

/// What buildah is told.
pub struct Prepared {
    /// The Dockerfile; absent: it is in the context, and buildah finds it there.
    pub file: Option<PathBuf>,
    /// What the Dockerfile says, if it can be seen from here.
    pub text: Option<String>,
    /// The context.
    pub folder: OsString,
    /// The context, if that is `-`.
    pub stdin: Option<File>,
}

/// Finds the Dockerfile, and reads it.
pub fn prepare(place: &Place, context: Context, file: Option<Source>) -> Outcome<Prepared> {
    let own = |name: &str| place.work.join(name);
    let file = match file {
        Some(Source::Stream(_)) if matches!(context, Context::Stream(_)) => {
            return Err(Error::new(Kind::Invalid, "cannot take both the context and the Dockerfile from stdin")
                .hint("name a folder as the context, or the Dockerfile's path in the archive with `-f`"));
        }
        Some(Source::Stream(stream)) => {
            keep(stream, &own("Dockerfile"), LONGEST + 1)?;
            Some(own("Dockerfile"))
        }
        Some(Source::File(path)) => Some(path),
        None => None,
    };
    match context {
        Context::Folder(folder) => in_folder(&folder, file),
        Context::Stream(stream) => {
            let stdin = keep(stream, &own("context"), u64::MAX)?;
            if is_archive(&stdin)? {
                return Ok(Prepared { file, text: None, folder: "-".into(), stdin: Some(stdin) });
            }
            fs::create_dir(own("empty")).doing(|| "cannot create an empty context")?;
            in_folder(&own("empty"), Some(own("context")))
        }
        Context::Remote(url) => Ok(Prepared { file, text: None, folder: url.into(), stdin: None }),
    }
}

fn in_folder(folder: &Path, file: Option<PathBuf>) -> Outcome<Prepared> {
    let absolute = fs::canonicalize(folder).doing(|| format!("cannot use the context `{}`", folder.display()))?;
    if !absolute.is_dir() {
        return Err(Error::new(Kind::Invalid, format!("cannot use the context `{}`", folder.display()))
            .caused_by("it is not a folder"));
    }
    let file = match file {
        Some(file) => file,
        None => {
            let named = ["Dockerfile", "Containerfile"].map(|name| absolute.join(name));
            let found = named.into_iter().find(|path| path.exists());
            found.ok_or_else(|| {
                Error::new(Kind::NotFound, format!("there is no `Dockerfile` in `{}`", absolute.display()))
                    .hint("name another one with `-f FILE`")
            })?
        }
    };
    let doing = || format!("cannot read the Dockerfile `{}`", file.display());
    let file = fs::canonicalize(&file).doing(doing)?;
    // Opening a FIFO would wait for ever.
    if !file.is_file() {
        return Err(Error::new(Kind::Invalid, doing()).caused_by("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(&file).and_then(|open| open.take(LONGEST + 1).read_to_end(&mut bytes)).doing(doing)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Error::new(Kind::Invalid, doing()).caused_by("it is longer than 4 MiB"));
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Prepared { file: Some(file), text: Some(text), folder: absolute.into(), stdin: None })
}

/// Writes a stream to a file, from whose beginning it can be read.
fn keep(stream: OwnedFd, path: &Path, most: u64) -> Outcome<File> {
    let doing = || "cannot keep what comes on stdin";
    let mut file = File::options().read(true).write(true).create_new(true).open(path).doing(doing)?;
    io::copy(&mut File::from(stream).take(most), &mut file).doing(doing)?;
    file.rewind().doing(doing)?;
    Ok(file)
}

/// Whether a file is a tar or packed, in contrast to text.
fn is_archive(file: &File) -> Outcome<bool> {
    let mut head = Vec::new();
    let read = file.take(262).read_to_end(&mut head).and_then(|_| { &*file }.rewind());
    read.doing(|| "cannot keep what comes on stdin")?;
    let packed: [&[u8]; 4] = [&[0x1f, 0x8b], b"BZh", &[0xfd, b'7', b'z'], &[0x28, 0xb5, 0x2f, 0xfd]];
    Ok(packed.iter().any(|magic| head.starts_with(magic)) || head.get(257..262) == Some(b"ustar"))
}
