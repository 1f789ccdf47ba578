//! One tar entry as a checked file operation. Pure: no file is touched here.

use super::sparse::{Header, Map};
use crate::Error;
use std::io::Read;
use tar::EntryType;

pub use rcr_base::ImageLimits as Limits;

/// Owner, mode, time and extended attributes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// Permission bits, with set-id bits and the sticky bit.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Seconds since the epoch, and nanoseconds on top.
    pub mtime: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
    /// Names and values.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One file operation. Paths are relative, non-empty unless said otherwise, and have no `.` or `..` parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileOp {
    /// An empty path is the root itself.
    Folder {
        /// Its path.
        path: Vec<u8>,
        /// What it gets.
        meta: Meta,
    },
    /// A regular file.
    File {
        /// Its path.
        path: Vec<u8>,
        /// What it gets.
        meta: Meta,
        /// Bytes of its content.
        size: u64,
        /// It has holes.
        sparse: bool,
    },
    /// A symlink.
    Symlink {
        /// Its path.
        path: Vec<u8>,
        /// Its text, unchecked: we never follow it.
        target: Vec<u8>,
        /// What it gets.
        meta: Meta,
    },
    /// `target` is a path like `path`: from the root.
    HardLink {
        /// The new name.
        path: Vec<u8>,
        /// The file that gets the name.
        target: Vec<u8>,
    },
    /// A device node.
    Device {
        /// Its path.
        path: Vec<u8>,
        /// What it gets.
        meta: Meta,
        /// A block device, not a character device.
        block: bool,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo {
        /// Its path.
        path: Vec<u8>,
        /// What it gets.
        meta: Meta,
    },
    /// `.wh.NAME`: hides NAME of the layers below (OCI image-spec, layer.md).
    Whiteout {
        /// The path of NAME.
        path: Vec<u8>,
    },
    /// `.wh..wh..opq`: hides all that the layers below have in this folder.
    Opaque {
        /// The folder.
        folder: Vec<u8>,
    },
}

/// Extended attributes that a layer may set: the user's own, and file capabilities. `trusted.overlay.*` would forge
/// overlayfs's own marks.
fn allowed(xattr: &[u8]) -> bool {
    (xattr.starts_with(b"user.") && xattr.len() > b"user.".len()) || xattr == b"security.capability"
}

/// Counts what was asked for.
#[derive(Debug)]
pub struct Checker {
    limits: Limits,
    entries: u64,
    bytes: u64,
}

impl Checker {
    /// Nothing was asked for yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, entries: 0, bytes: 0 }
    }

    /// The operation of one entry, and the map of its content if it is sparse in the pax form; `None`: nothing to do (a
    /// global header, an entry for the archive itself).
    pub fn check<R: Read>(&mut self, entry: &mut tar::Entry<R>) -> Result<Option<(FileOp, Option<Map>)>, Error> {
        let sparse = Header::of(entry)?;
        let Some(mut op) = self.operation(entry, sparse.as_ref().and_then(|header| header.name.as_deref()))? else {
            return Ok(None);
        };
        let (Some(header), FileOp::File { size, sparse, .. }) = (sparse, &mut op) else { return Ok(Some((op, None))) };
        let stored = *size;
        let map = header.map(entry, stored)?;
        self.count(map.size.saturating_sub(stored))?;
        (*size, *sparse) = (map.size, true);
        Ok(Some((op, Some(map))))
    }

    fn count(&mut self, bytes: u64) -> Result<(), Error> {
        let all = self.bytes.checked_add(bytes).filter(|bytes| *bytes <= self.limits.bytes);
        self.bytes =
            all.ok_or_else(|| Error::limit("bytes", format!("its files have more than {} bytes", self.limits.bytes)))?;
        Ok(())
    }

    fn operation<R: Read>(&mut self, entry: &mut tar::Entry<R>, name: Option<&[u8]>) -> Result<Option<FileOp>, Error> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Error::limit("entries", format!("it has more than {} entries", self.limits.entries)));
        }
        let path = self.path(name.unwrap_or(&entry.path_bytes()))?;
        let shown = || String::from_utf8_lossy(&path).into_owned();
        let kind = entry.header().entry_type();
        match whiteout(&path, kind)? {
            Mark::Op(op) => return Ok(Some(op)),
            Mark::Old => return Ok(None),
            Mark::None => {}
        }
        if path.is_empty() && !matches!(kind, EntryType::Directory | EntryType::XGlobalHeader) {
            return Err(Error::Hostile("an entry other than a folder has the root's path".into()));
        }
        let meta = self.meta(entry)?;
        // The oldest form of tar has no type for folders: their names end in a slash.
        let kind = match kind {
            EntryType::Regular if entry.path_bytes().ends_with(b"/") => EntryType::Directory,
            other => other,
        };
        Ok(Some(match kind {
            EntryType::Directory => FileOp::Folder { path, meta },
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let size = entry.size();
                self.count(size)?;
                FileOp::File { path, meta, size, sparse: kind == EntryType::GNUSparse }
            }
            EntryType::Symlink => {
                let target = link_target(entry, &path)?;
                if target.is_empty() || target.len() > self.limits.path || target.contains(&0) {
                    return Err(Error::Hostile(format!("the symlink `{}` has no usable target", shown())));
                }
                FileOp::Symlink { path, target, meta }
            }
            EntryType::Link => {
                let target = self.path(&link_target(entry, &path)?)?;
                if target.is_empty() {
                    return Err(Error::Hostile(format!("the hard link `{}` has no target", shown())));
                }
                FileOp::HardLink { path, target }
            }
            EntryType::Char | EntryType::Block => {
                let header = entry.header();
                let number = |n: std::io::Result<Option<u32>>, field: Option<&[u8; 8]>| {
                    let number = n.ok().flatten().or(field.is_some_and(is_empty).then_some(0));
                    number.ok_or_else(|| Error::Hostile(format!("the device `{}` has no number", shown())))
                };
                let fields = header.as_ustar().map(|u| (&u.dev_major, &u.dev_minor));
                let fields = fields.or(header.as_gnu().map(|g| (&g.dev_major, &g.dev_minor)));
                let major = number(header.device_major(), fields.map(|f| f.0))?;
                let minor = number(header.device_minor(), fields.map(|f| f.1))?;
                FileOp::Device { meta, block: kind == EntryType::Block, major, minor, path }
            }
            EntryType::Fifo => FileOp::Fifo { path, meta },
            EntryType::XGlobalHeader => return Ok(None),
            other => return Err(Error::Hostile(format!("`{}` has the unknown type {other:?}", shown()))),
        }))
    }

    /// Normalizes a path: relative, single slashes, no `.`; `..` is refused, since no honest path has it.
    fn path(&self, raw: &[u8]) -> Result<Vec<u8>, Error> {
        let shown = || String::from_utf8_lossy(raw).into_owned();
        if raw.contains(&0) {
            return Err(Error::Hostile(format!("the path `{}` holds a null byte", shown().escape_default())));
        }
        let parts: Vec<&[u8]> = raw.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
        if parts.iter().any(|part| *part == b"..") {
            return Err(Error::Hostile(format!("the path `{}` leaves the root", shown())));
        }
        if parts.len() > self.limits.depth {
            return Err(Error::limit("depth", format!("a path is deeper than {} folders", self.limits.depth)));
        }
        if parts.iter().any(|part| part.len() > 255) {
            return Err(Error::Hostile("a file name is longer than 255 bytes".into()));
        }
        let path = parts.join(&b'/');
        if path.len() > self.limits.path {
            return Err(Error::limit("path", format!("a path is longer than {} bytes", self.limits.path)));
        }
        Ok(path)
    }

    fn meta<R: Read>(&self, entry: &mut tar::Entry<R>) -> Result<Meta, Error> {
        let header = entry.header();
        let wrong = |what: &str| {
            Error::Hostile(format!("`{}` has no usable {what}", String::from_utf8_lossy(&entry.path_bytes())))
        };
        let old = header.as_old();
        let id = |value: std::io::Result<u64>, field: &[u8; 8], what: &str| {
            let value = value.ok().and_then(|v| u32::try_from(v).ok()).filter(|v| *v != u32::MAX);
            value.or(is_empty(field).then_some(0)).ok_or_else(|| wrong(what))
        };
        let mode = header.mode().ok().or(is_empty(&old.mode).then_some(0)).ok_or_else(|| wrong("mode"))? & 0o7777;
        let (uid, gid) = (id(header.uid(), &old.uid, "owner")?, id(header.gid(), &old.gid, "group")?);
        let mtime = time_field(header);
        let mut meta = Meta { mode, uid, gid, mtime, nanos: 0, xattrs: Vec::new() };
        self.pax(entry, &mut meta)?;
        Ok(meta)
    }

    /// What pax headers override (pax(1)); the `tar` crate applies path, link path and size itself.
    fn pax<R: Read>(&self, entry: &mut tar::Entry<R>, meta: &mut Meta) -> Result<(), Error> {
        let Ok(Some(extensions)) = entry.pax_extensions() else { return Ok(()) };
        let mut total = 0;
        for extension in extensions {
            let extension = extension.map_err(|_| Error::Hostile("a pax header is malformed".into()))?;
            let (key, value) = (extension.key_bytes(), extension.value_bytes());
            match key {
                b"uid" => meta.uid = pax_id(value)?,
                b"gid" => meta.gid = pax_id(value)?,
                b"size" if std::str::from_utf8(value).ok().and_then(|v| v.parse::<u64>().ok()).is_none() => {
                    return Err(Error::Hostile("a pax header has an invalid size".into()));
                }
                b"mtime" => {
                    let time = std::str::from_utf8(value).ok().and_then(pax_time);
                    (meta.mtime, meta.nanos) = time.unwrap_or((meta.mtime, 0));
                }
                key => {
                    let Some(name) = key.strip_prefix(b"SCHILY.xattr.") else { continue };
                    total += name.len() + value.len();
                    if total > self.limits.xattrs {
                        return Err(Error::limit(
                            "xattrs",
                            format!("an entry has more than {} bytes of extended attributes", self.limits.xattrs),
                        ));
                    }
                    if allowed(name) && !name.contains(&0) {
                        meta.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Every reader of tar takes a missing number for zero.
fn is_empty(field: &[u8; 8]) -> bool {
    field.iter().all(|b| *b == 0 || *b == b' ')
}

/// The time of a header: octal, or GNU's binary form, which may be before the epoch. An invalid one is the epoch.
fn time_field(header: &tar::Header) -> i64 {
    let field = &header.as_old().mtime;
    match field {
        [0x80 | 0xff, rest @ ..] => {
            let sign = if field[0] == 0xff { 0xff } else { 0 };
            let (high, low) = rest.split_at(3);
            let fits = high.iter().all(|b| *b == sign);
            low.try_into().ok().map(i64::from_be_bytes).filter(|_| fits).unwrap_or(0)
        }
        _ => header.mtime().ok().and_then(|t| i64::try_from(t).ok()).unwrap_or(0),
    }
}

/// `1350244992.023960108`, also before the epoch (pax(1), "mtime").
fn pax_time(text: &str) -> Option<(i64, u32)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = seconds.parse().ok()?;
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    match (seconds.starts_with('-'), nanos) {
        (_, 0) => Some((whole, 0)),
        (false, nanos) => Some((whole, nanos)),
        // The fraction counts away from zero, timespec's nanoseconds count upwards.
        (true, nanos) => Some((whole.checked_sub(1)?, 1_000_000_000 - nanos)),
    }
}

fn pax_id(value: &[u8]) -> Result<u32, Error> {
    let id = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u32>().ok()).filter(|id| *id != u32::MAX);
    id.ok_or_else(|| Error::Hostile("a pax header has an invalid owner".into()))
}

fn link_target<R: Read>(entry: &tar::Entry<R>, path: &[u8]) -> Result<Vec<u8>, Error> {
    let target = entry.link_name_bytes().map(|target| target.into_owned());
    target.ok_or_else(|| Error::Hostile(format!("the link `{}` has no target", String::from_utf8_lossy(path))))
}

/// Where aufs kept an extra name for files with several: a layer made from its folders links to it.
pub(super) const LINKS_OF_AUFS: &[u8] = b".wh..wh.plnk";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What a name means by itself.
enum Mark {
    None,
    Op(FileOp),
    /// One of aufs's own marks (`.wh..wh.aufs`, `.wh..wh.orph` and its content): old layers have them, and mean nothing
    /// by them.
    Old,
}

/// `.wh.NAME` and `.wh..wh..opq`; other names that begin with `.wh..wh.` are marks of an old file system, and useless.
fn whiteout(path: &[u8], kind: EntryType) -> Result<Mark, Error> {
    let parts: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
    let (name, above) = parts.split_last().unwrap_or((&path, &[]));
    let is_old = |part: &&&[u8]| part.starts_with(b".wh..wh.") && **part != OPAQUE;
    if parts.iter().any(|part| is_old(&part)) {
        let linked = parts.first() == Some(&LINKS_OF_AUFS) && !above.is_empty() && kind == EntryType::Regular;
        return Ok(if linked { Mark::None } else { Mark::Old });
    }
    let folder = above.join(&b'/');
    let Some(hidden) = name.strip_prefix(b".wh.") else { return Ok(Mark::None) };
    if *name == OPAQUE {
        return Ok(Mark::Op(FileOp::Opaque { folder }));
    }
    if hidden.is_empty() || hidden == b"." || hidden == b".." || hidden.starts_with(b".wh.") {
        return Err(Error::Hostile(format!(
            "the whiteout `{}` names nothing that could exist",
            String::from_utf8_lossy(path)
        )));
    }
    let mut path = folder;
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(hidden);
    Ok(Mark::Op(FileOp::Whiteout { path }))
}
