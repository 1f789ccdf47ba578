//! What a path names, by Docker's rules of `cp`: what is copied, where to, and under which name.

use crate::apart::INSIDE;
use nix::errno::Errno;
use rcr_base::{Doing, Error, Kind, Outcome, errno};
use rustix::fs::{FileType, Mode, OFlags};
use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// As the kernel's own limit (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What is copied.
pub struct Source {
    /// The object, O_PATH.
    pub object: OwnedFd,
    /// It is a folder.
    pub folder: bool,
    /// The last part of its path; empty: it has none, or its content alone is meant (`folder/.`).
    pub name: OsString,
}

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// A folder that exists, below the root.
    pub folder: PathBuf,
    /// The name that the object gets there; empty: its content goes into the folder.
    pub name: OsString,
}

/// Paths below a container's root, or below the host's.
pub fn open(root: BorrowedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat2(root, path, flags | OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), INSIDE).map_err(errno)
}

fn kind(object: &OwnedFd) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(object).map_err(errno)?.st_mode))
}

/// `folder/`: it must be one, and a link to one is followed.
fn is_said_to_be_a_folder(path: &Path) -> bool {
    let text = path.as_os_str().as_bytes();
    text.ends_with(b"/") || means_content(path) || text.ends_with(b"/..") || text == b".."
}

/// `folder/.`: what is in it.
fn means_content(path: &Path) -> bool {
    let text = path.as_os_str().as_bytes();
    text.ends_with(b"/.") || text == b"."
}

/// Opens what is to be copied. `follow`: a link is what it leads to.
pub fn source(root: BorrowedFd, path: &Path, follow: bool) -> Outcome<Source> {
    let folder_said = is_said_to_be_a_folder(path);
    let flags = if follow || folder_said { OFlags::empty() } else { OFlags::NOFOLLOW };
    let object = open(root, path, flags).doing(|| format!("open `{}`", path.display()))?;
    let folder = kind(&object).doing(|| format!("look at `{}`", path.display()))? == FileType::Directory;
    if folder_said && !folder {
        return Err(Error::errno(format!("open `{}`", path.display()), libc::ENOTDIR));
    }
    let name = if means_content(path) { None } else { path.file_name() };
    Ok(Source { object, folder, name: name.map(OsStr::to_owned).unwrap_or_default() })
}

/// Where a source goes. `path`: as the user wrote it, absolute.
pub fn destination(root: BorrowedFd, path: &Path, source: &Source) -> Outcome<Destination> {
    let shown = path.display();
    let looking = || format!("look at `{shown}`");
    let refused = |why: &str| Error::new(Kind::Invalid, format!("cannot write `{shown}`")).caused_by(why);
    let real = resolve(root, path).doing(looking)?;
    let found = match open(root, &real, OFlags::NOFOLLOW) {
        Err(Errno::ENOENT) => None,
        other => Some(kind(&other.doing(looking)?).doing(looking)?),
    };
    match found {
        Some(FileType::Directory) => Ok(Destination { folder: real, name: source.name.clone() }),
        Some(_) if source.folder => Err(refused("a folder can't be copied to a file")),
        Some(_) if is_said_to_be_a_folder(path) => Err(refused("it is not a folder")),
        None if is_said_to_be_a_folder(path) && !source.folder => Err(refused("the destination folder must exist")),
        _ => {
            let name = real.file_name().ok_or_else(|| refused("it has no name"))?.to_owned();
            let folder = real.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
            let parent = open(root, &folder, OFlags::DIRECTORY);
            parent.doing(|| format!("cannot open the folder `{}`", folder.display()))?;
            Ok(Destination { folder, name })
        }
    }
}

/// The path without a link as its last part.
fn resolve(root: BorrowedFd, path: &Path) -> Result<PathBuf, Errno> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        // A slash at the end would make the kernel follow a link.
        let bare: PathBuf = path.components().collect();
        let object = match open(root, &bare, OFlags::NOFOLLOW) {
            Err(Errno::ENOENT) => return Ok(bare),
            other => other?,
        };
        if kind(&object)? != FileType::Symlink {
            return Ok(bare);
        }
        let target = rustix::fs::readlinkat(&object, c"", Vec::new()).map_err(errno)?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        path = bare.parent().unwrap_or(Path::new("/")).join(target);
    }
    Err(Errno::ELOOP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    #[test]
    fn dockers_rules() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("folder/inner")).unwrap();
        fs::write(at("file"), "").unwrap();
        symlink("/folder", at("link")).unwrap();
        symlink("/nowhere/x", at("dangling")).unwrap();
        symlink("/file", at("to-file")).unwrap();
        let root: OwnedFd = fs::File::open(dir.path()).unwrap().into();
        let from = |path: &str, follow| source(root.as_fd(), Path::new(path), follow);
        let (file, folder, content) =
            (from("/file", false).unwrap(), from("/folder", false).unwrap(), from("/folder/.", false).unwrap());
        assert!(!file.folder && folder.folder && content.name.is_empty() && folder.name == "folder");
        assert!(!from("/link", false).unwrap().folder && from("/link", true).unwrap().folder);
        assert!(from("/link/", false).unwrap().folder);
        assert!(from("/file/", false).is_err() && from("/none", false).is_err());
        let to = |path: &str, source: &Source| {
            let to = destination(root.as_fd(), Path::new(path), source);
            to.map(|to| format!("{}|{}", to.folder.display(), to.name.display())).map_err(|e| e.causes.join(" "))
        };
        for (path, source, want) in [
            ("/folder", &file, "/folder|file"),
            ("/folder/", &file, "/folder|file"),
            ("/new", &file, "/|new"),
            ("/file", &file, "/|file"),
            ("/to-file", &file, "/|file"),
            ("/link", &file, "/folder|file"),
            ("/folder/inner", &folder, "/folder/inner|folder"),
            ("/new", &folder, "/|new"),
            ("/new/", &folder, "/|new"),
            ("/new", &content, "/|new"),
            ("/folder", &content, "/folder|"),
            ("/", &file, "/|file"),
        ] {
            assert_eq!(to(path, source).as_deref(), Ok(want), "{path}");
        }
        for (path, source, why) in [
            ("/new/", &file, "must exist"),
            ("/file", &folder, "can't be copied to a file"),
            ("/file/", &file, "not a folder"),
            ("/none/new", &file, "ENOENT"),
            ("/dangling", &file, "ENOENT"),
        ] {
            assert!(to(path, source).unwrap_err().contains(why), "{path}: {:?}", to(path, source));
        }
    }
}
