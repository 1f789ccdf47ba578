//! Damage on the disk: documents and packed layers are checked by their digests, unpacked layers by unpacking the
//! packed ones again and comparing.

use super::{Busy, Image, Store};
use crate::remote::document::{self, LayerPlan};
use crate::unpack::wire::Job;
use crate::{Digest, Doing, Error, layer};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many differences of one layer are reported.
const TOLD: usize = 5;

/// What is wrong.
#[derive(Debug)]
pub struct Fault {
    /// Where, and why: for people.
    pub what: String,
    /// It was repaired; a packed layer can't be, it must be pulled.
    pub repaired: bool,
}

/// How to check.
pub struct Check<'a> {
    /// Unpacked layers are unpacked again; damaged packed ones are removed, so that a pull fetches them.
    pub repair: bool,
    /// Layers that are mounted now: they are not replaced.
    pub mounted: &'a [PathBuf],
}

impl Store {
    /// Checks everything that an image needs. `seen` has the layers that were checked before.
    pub fn check(&self, image: &Image, how: &Check, seen: &mut Vec<Digest>) -> Result<Vec<Fault>, Error> {
        let busy = self.begin()?;
        let mut faults = Vec::new();
        for plan in document::layers(&self.manifest(image)?, &image.config, self.limits())? {
            if !seen.contains(&plan.diff_id) {
                seen.push(plan.diff_id.clone());
                faults.extend(self.check_layer(&busy, &plan, how)?);
            }
        }
        Ok(faults)
    }

    fn check_layer(&self, busy: &Busy, plan: &LayerPlan, how: &Check) -> Result<Option<Fault>, Error> {
        let making = self.begin_making(busy, &plan.diff_id)?;
        let there = self.layer(&plan.diff_id);
        if let Err(error) = self.verify_blob(&plan.digest, plan.size) {
            if how.repair {
                let blob = self.blob(&plan.digest);
                let removed = fs::remove_file(&blob).or_else(missing);
                removed.doing(|| format!("cannot remove `{}`", blob.display()))?;
            }
            return Ok(Some(Fault { what: error.to_string(), repaired: false }));
        }
        let blob = self.blob(&plan.digest);
        let input = File::open(&blob).doing(|| format!("cannot read `{}`", blob.display()))?;
        let job = Job { limits: *self.limits(), size: Some(plan.size), keep: false, unpack: true };
        let passed = layer::pass(making.folder()?, input.into(), None, &job, &mut |_, _| ()).map_err(|s| s.error)?;
        if passed.diff_id != plan.diff_id {
            let what = format!("`{}` unpacks to {}, not to {}", blob.display(), passed.diff_id, plan.diff_id);
            return Ok(Some(Fault { what, repaired: false }));
        }
        layer::mark(making.path(), &passed).doing(|| "cannot mark folders".into())?;
        let differing =
            differences(&making.path().join("fs"), &there).doing(|| format!("cannot compare `{}`", there.display()))?;
        let Some(what) = tell(&there, &differing) else { return Ok(None) };
        let mounted = how.mounted.contains(&there);
        if !how.repair || mounted {
            let why = if how.repair { "; a running container uses it: stop that first" } else { "" };
            return Ok(Some(Fault { what: what + why, repaired: false }));
        }
        self.set_aside(busy, &there)?;
        self.commit_layer(making.path(), &passed)?;
        Ok(Some(Fault { what, repaired: true }))
    }

    /// Moves an unpacked layer out of the store; it is removed with its new place.
    fn set_aside(&self, busy: &Busy, layer: &Path) -> Result<(), Error> {
        let aside = self.begin_making_new(busy, "damaged")?;
        let (from, to) = (layer.parent().unwrap_or(layer), aside.folder()?.join("layer"));
        fs::rename(from, to).or_else(missing).doing(|| format!("cannot move `{}` away", from.display()))
    }
}

fn missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn tell(layer: &Path, differing: &[String]) -> Option<String> {
    let more = match differing.len() {
        0 => return None,
        n if n > TOLD => format!(", and {} more", n - TOLD),
        _ => String::new(),
    };
    let told: Vec<&str> = differing.iter().take(TOLD).map(String::as_str).collect();
    Some(format!("`{}` has changed since it was unpacked: {}{more}", layer.display(), told.join(", ")))
}

/// What differs between two trees, each as `` `path` why ``.
fn differences(good: &Path, there: &Path) -> io::Result<Vec<String>> {
    let (mut out, mut todo) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(path) = todo.pop() {
        let shown = || format!("`/{}`", path.display().to_string().escape_debug());
        let (a, b) = (good.join(&path), there.join(&path));
        let meta = fs::symlink_metadata(&a)?;
        let why = match fs::symlink_metadata(&b) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some("is gone"),
            Err(error) => return Err(error),
            Ok(found) => difference((&a, &meta), (&b, &found))?,
        };
        if let Some(why) = why {
            out.push(format!("{} {why}", shown()));
        } else if meta.is_dir() {
            let (good, found) = (names(&a)?, names(&b)?);
            out.extend(found.keys().filter(|name| !good.contains_key(*name)).map(|name| {
                format!("`/{}` does not belong to it", path.join(name).display().to_string().escape_debug())
            }));
            todo.extend(good.keys().map(|name| path.join(name)));
        }
    }
    Ok(out)
}

fn names(folder: &Path) -> io::Result<BTreeMap<OsString, ()>> {
    fs::read_dir(folder)?.map(|entry| Ok((entry?.file_name(), ()))).collect()
}

/// Times of folders and of whiteouts do not belong to the layer.
fn difference(good: (&Path, &Metadata), there: (&Path, &Metadata)) -> io::Result<Option<&'static str>> {
    let ((a, x), (b, y)) = (good, there);
    let kind = x.file_type();
    let timed = !(kind.is_dir() || kind.is_char_device() && x.rdev() == 0);
    Ok(if kind != y.file_type() || x.rdev() != y.rdev() {
        Some("has another type")
    } else if (x.mode(), x.uid(), x.gid()) != (y.mode(), y.uid(), y.gid()) {
        Some("has another owner or mode")
    } else if timed && (x.mtime(), x.mtime_nsec()) != (y.mtime(), y.mtime_nsec()) {
        Some("has another time")
    } else if kind.is_symlink() && fs::read_link(a)? != fs::read_link(b)? {
        Some("has another target")
    } else if kind.is_file() && (x.len() != y.len() || !same_content(a, b)?) {
        Some("has other content")
    } else if xattrs(a)? != xattrs(b)? {
        Some("has other extended attributes")
    } else {
        None
    })
}

fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    let open = |path: &Path| OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(path);
    let (mut a, mut b) = (open(a)?, open(b)?);
    let (mut x, mut y) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let got = a.read(&mut x)?;
        if got == 0 {
            return Ok(true);
        }
        match b.read_exact(&mut y[..got]) {
            Ok(()) if x[..got] == y[..got] => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => return Ok(false),
        }
    }
}

fn xattrs(path: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = vec![0; 64 << 10];
    let size = match rustix::fs::llistxattr(path, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        other => other?,
    };
    let mut all = BTreeMap::new();
    for name in names[..size].split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        let size = rustix::fs::lgetxattr(path, name, &mut value[..])?;
        value.truncate(size);
        all.insert(name.to_vec(), value);
    }
    Ok(all)
}
