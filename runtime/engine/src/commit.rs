//! An image of what a container has changed: its image's layers and one more.

use crate::config::Config;
use crate::copy::pack::{Options, Pack};
use crate::copy::pipe;
use crate::copy::view::{View, with_view};
use crate::diff::{is_opaque, is_whiteout, open_below};
use crate::events::subjects;
use crate::freeze;
use crate::images;
use crate::inspect::container_config;
use crate::instance::Instance;
use crate::parse::instruction::{Instruction, apply};
use crate::store::Container;
use nix::errno::Errno;
use rcr_base::{Doing, Error, Kind, Outcome, errno};
use rcr_images::{Digest, Image, Recipe};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use serde_json::{Value, json};
use std::ffi::{CStr, OsStr};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Folders below folders.
const MAX_DEPTH: usize = 1000;

/// What the image is to be.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Its name; absent: it has an id alone.
    pub name: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// A message for the history.
    pub message: String,
    /// Changes of the container's config.
    pub changes: Vec<Instruction>,
    /// The container is frozen meanwhile.
    pub pause: bool,
}

/// Makes the image; its id. A failure leaves nothing behind.
pub fn commit(instance: &Instance, name: &str, wanted: &Commit) -> Outcome<Digest> {
    let doing = || format!("cannot make an image of container `{name}`");
    let container = instance.containers().find(name)?;
    // It thaws whatever happens here.
    let runs = container.state.init.is_some();
    let frozen = if wanted.pause && runs { Some(freeze::hold(&container).doing(doing)?) } else { None };
    let made = make(instance, name, wanted).doing(doing);
    drop(frozen);
    made
}

fn make(instance: &Instance, name: &str, wanted: &Commit) -> Outcome<Digest> {
    let store = images::store(instance)?;
    with_view(instance, name, |view, container| {
        let config = &container.config;
        let base = match config.image.layers.is_empty() {
            true => None,
            false => Some(store.resolve(&config.image.id)?),
        };
        let recipe = recipe(base.as_ref().and_then(|base| store.whole_config(base).ok()), container, wanted);
        let packing = |to: &mut dyn Write| pack_layer(view, to);
        let storing = |read| Ok(store.put_on_top(base.as_ref(), read, wanted.name.as_deref(), &recipe, &mut |_| {})?);
        // What could not be packed whole is no image, whatever the store has made of its beginning.
        let undo = |image: Image| drop(images::remove(instance, &[image.id.to_string()], true));
        let ((), image) = pipe::join(packing, storing, undo)?;
        let (id, name) = (image.id.to_string(), wanted.name.clone().unwrap_or_default());
        let more = [("comment", wanted.message.clone()), ("imageID", id), ("imageRef", name)];
        subjects::container(&instance.dirs, config).note_with("commit", &more);
        Ok(image.id)
    })
}

/// The image's config with the container's own over it, and the changes over that.
fn recipe(image: Option<Value>, container: &Container, wanted: &Commit) -> Recipe {
    let mut config = image.and_then(|whole| whole.get("config").cloned()).filter(Value::is_object);
    let mut config = config.take().unwrap_or_else(|| json!({}));
    put_container(&mut config, &container.config);
    wanted.changes.iter().for_each(|change| apply(change, &mut config));
    Recipe {
        config,
        author: wanted.author.clone().unwrap_or_default(),
        created_by: container.config.process.args.join(" "),
        message: wanted.message.clone(),
    }
}

/// What the user asked of the container is the image's from now on, as with Docker; what belongs to this one container
/// (its host name) is not.
fn put_container(config: &mut Value, container: &Config) {
    let Ok(Value::Object(own)) = serde_json::to_value(container_config(container)) else { return };
    // What the container runs is known whole: the image's entrypoint, or its check, may have been taken away.
    for name in ["Cmd", "Entrypoint", "Healthcheck"] {
        config[name] = own.get(name).cloned().unwrap_or_default();
    }
    let empty = [Value::Null, json!(""), json!({})];
    for name in ["ExposedPorts", "Labels", "StopSignal", "User", "Volumes", "WorkingDir"] {
        if let Some(value) = own.get(name).filter(|value| !empty.contains(value)) {
            config[name] = value.clone();
        }
    }
    let own = container.process.env.iter().filter(|v| !v.starts_with("HOSTNAME=") && !v.starts_with("TERM="));
    config["Env"] = json!(own.collect::<Vec<_>>());
}

/// What was written, in the form of image-spec's layer.md.
fn pack_layer(view: &View, to: impl Write) -> Outcome<()> {
    let mut pack = Pack::new(to, view.merged.as_fd(), Options::default())?;
    let upper = view.upper.try_clone().doing(|| "look at what was written")?;
    below(view, upper, Path::new(""), 0, &mut pack)?;
    pack.finish().map(drop)
}

fn below<W: Write>(view: &View, upper: OwnedFd, path: &Path, depth: usize, pack: &mut Pack<W>) -> Outcome<()> {
    let doing = || format!("cannot read the folder `/{}`", path.display());
    if depth > MAX_DEPTH {
        return Err(Error::new(Kind::Invalid, doing()).caused_by("it is too deep"));
    }
    for entry in Dir::read_from(&upper).map_err(errno).doing(doing)? {
        let entry = entry.map_err(errno).doing(doing)?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            one(view, &upper, name, path, depth, pack)?;
        }
    }
    Ok(())
}

fn one<W: Write>(
    view: &View,
    upper: &OwnedFd,
    name: &CStr,
    path: &Path,
    depth: usize,
    pack: &mut Pack<W>,
) -> Outcome<()> {
    let inner = path.join(OsStr::from_bytes(name.to_bytes()));
    let doing = || format!("cannot copy `/{}`", inner.display());
    let stat = rustix::fs::statat(upper, name, AtFlags::SYMLINK_NOFOLLOW).map_err(errno).doing(doing)?;
    if is_whiteout(&stat) {
        return pack.mark(&hidden(path, name));
    }
    // What it is in truth only the merged files say: a file that was moved, or of which only the owner changed, has no
    // content here.
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let object = match rustix::fs::openat2(&view.merged, &inner, flags, Mode::empty(), inside).map_err(errno) {
        // It went away meanwhile: it was not frozen.
        Err(Errno::ENOENT) => return Ok(()),
        other => other.doing(doing)?,
    };
    let merged = rustix::fs::fstat(&object).map_err(errno).doing(doing)?;
    if FileType::from_raw_mode(merged.st_mode) != FileType::Directory {
        return pack.own_entry(&object, &merged, &inner);
    }
    let folder = open_below(upper.as_fd(), name).doing(doing)?;
    if is_opaque(&folder) {
        pack.own_entry(&object, &merged, &inner)?;
        pack.mark(&inner.join(".wh..wh..opq"))?;
        return pack.content(object, &inner);
    }
    pack.own_entry(&object, &merged, &inner)?;
    below(view, folder, &inner, depth + 1, pack)
}

/// `.wh.NAME`.
fn hidden(folder: &Path, name: &CStr) -> PathBuf {
    let mut mark = b".wh.".to_vec();
    mark.extend_from_slice(name.to_bytes());
    folder.join(OsStr::from_bytes(&mark))
}
