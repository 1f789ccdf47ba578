//! How large a folder is.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Folders deeper than this are left out: nothing real is.
const DEEPEST: usize = 200;

/// The files below a folder, as blocks on the disk; a file with several names counts once. No link is followed, whoever
/// changes the folder meanwhile.
pub fn folder(path: &Path) -> u64 {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    opened.map_or(0, |folder| below(folder.as_fd(), DEEPEST, &mut HashSet::new()))
}

fn below(folder: BorrowedFd, deeper: usize, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let mut sum = 0;
    for entry in Dir::read_from(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if [&b"."[..], b".."].contains(&name.to_bytes()) {
            continue;
        }
        let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if stat.st_nlink < 2 || seen.insert((stat.st_dev, stat.st_ino)) {
            sum += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && deeper > 0 {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let inner: Result<_, Errno> = openat(folder, name, flags, Mode::empty());
            sum += inner.map_or(0, |inner| below(inner.as_fd(), deeper - 1, seen));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_what_is_in_it() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("big"), vec![1; 1 << 20]).unwrap();
        let empty = folder(root.path());
        std::fs::create_dir(root.path().join("d")).unwrap();
        std::fs::write(root.path().join("d/f"), vec![1; 100_000]).unwrap();
        std::fs::hard_link(root.path().join("d/f"), root.path().join("again")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("out")).unwrap();
        let taken = folder(root.path()) - empty;
        assert!((100_000..200_000).contains(&taken), "{taken}");
        assert_eq!(folder(&root.path().join("none")), 0);
    }
}
