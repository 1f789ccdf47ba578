//! Images as files: load, save, import.

use super::store::{collect, store};
use crate::events::subjects;
use crate::instance::Instance;
use crate::parse::instruction::{Instruction, apply};
use crate::reporter::Reporter;
use rcr_base::{Doing, Error, Outcome};
use rcr_images::archive::{self, Format, Loaded, Target};
use rcr_images::remote::Platform;
use rcr_images::{Image, Recipe};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Bytes written at a time.
const BUFFER: usize = 256 << 10;

/// Where images are read from.
pub enum Input {
    /// A folder as the `-dir` formats of [`save`] write it.
    Folder(PathBuf),
    /// An archive, packed or not.
    Stream(OwnedFd),
}

/// Loads images; out of several for one name, the one for `platform` (absent: this machine's). The reporter is told how
/// many bytes were read. A failure leaves nothing behind.
pub fn load(
    instance: &Instance,
    input: Input,
    platform: Option<&Platform>,
    reporter: &dyn Reporter,
) -> Outcome<Vec<Loaded>> {
    let (store, threads) = (store(instance)?, instance.config.images.parallel);
    let loaded = match input {
        Input::Folder(folder) => archive::load_folder(&store, &folder, platform, threads),
        Input::Stream(stream) => archive::load(&store, stream, platform, threads, &mut |bytes| reporter.bytes(bytes)),
    };
    reporter.transfer_ended();
    let loaded = loaded.map_err(|error| {
        collect(instance, &store);
        Error::from(error)
    })?;
    for image in &loaded {
        let name = image.names.first().map_or_else(|| image.image.id.to_string(), ToString::to_string);
        subjects::image(&instance.dirs, &image.image, &name).note("load");
        for field in &image.image.strange {
            reporter.warning(&format!("image `{}`: {field}", image.image.id));
        }
    }
    Ok(loaded)
}

/// Where images are written to.
pub enum Output<'a> {
    /// An archive, as it comes.
    Stream(&'a mut (dyn Write + Send)),
    /// A file that is whole or not there; a device or a FIFO is written to as it is.
    File(PathBuf),
    /// A folder, made if need be.
    Folder(PathBuf),
}

/// Saves images, each by name or id.
pub fn save(instance: &Instance, images: &[String], format: Format, output: Output<'_>) -> Outcome<()> {
    let store = store(instance)?;
    let write = |target: Target<'_>| archive::save(&store, images, format, target);
    match output {
        Output::Folder(path) => write(Target::Folder(path))?,
        Output::Stream(stream) => write(Target::Stream(&mut BufWriter::with_capacity(BUFFER, stream)))?,
        Output::File(path) => to_file(&path, &mut |stream| write(Target::Stream(stream)))?,
    }
    for (name, image) in images.iter().filter_map(|name| Some((name, store.resolve(name).ok()?))) {
        subjects::image(&instance.dirs, &image, name).note("save");
    }
    Ok(())
}

/// Writes beside the file and renames: a failure leaves what was there.
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

/// A root file system that is to become an image of one layer.
pub struct Import {
    /// A tar, plain or packed by gzip or zstd.
    pub tar: OwnedFd,
    /// The image's name; absent: it has an id alone.
    pub name: Option<String>,
    /// What its config says.
    pub changes: Vec<Instruction>,
    /// The comment of its one step in the history.
    pub message: String,
}

/// Imports an image. The reporter is told how many bytes were unpacked. A failure leaves nothing behind.
pub fn import(instance: &Instance, wanted: Import, reporter: &dyn Reporter) -> Outcome<Image> {
    let Import { tar, name, changes, message } = wanted;
    let mut config = json!({ "Cmd": ["/bin/sh"] });
    changes.iter().for_each(|change| apply(change, &mut config));
    let recipe = Recipe { config, message, created_by: "rcr image import".into(), author: String::new() };
    let image = store(instance)?.import(tar, name.as_deref(), &recipe, &mut |bytes| reporter.bytes(bytes));
    reporter.transfer_ended();
    let image = image?;
    subjects::image(&instance.dirs, &image, name.as_deref().unwrap_or_default()).note("import");
    Ok(image)
}
