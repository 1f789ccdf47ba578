//! Layers of a few kinds of legal entries, in numbers and orders that would keep a careless unpacker busy for hours, or
//! fill its memory. Needs root, since it sets owners.
#![allow(clippy::unwrap_used)]

use rcr_images::unpack::{Limits, unpack};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

/// One header: a name, a kind, a link's target; no content.
fn header(name: &str, kind: u8, target: &str) -> [u8; 512] {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_path(name).unwrap();
    header.set_link_name_literal(target).unwrap();
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(0);
    header.set_cksum();
    *header.as_bytes()
}

/// An archive that is made while it is read.
struct Endless<I> {
    entries: I,
    now: io::Cursor<Vec<u8>>,
}

impl<I: Iterator<Item = [u8; 512]>> Read for Endless<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.now.read(buffer)? {
            0 => match self.entries.next() {
                Some(entry) => {
                    self.now = io::Cursor::new(entry.to_vec());
                    self.now.read(buffer)
                }
                None => Ok(0),
            },
            got => Ok(got),
        }
    }
}

fn ends(entries: impl Iterator<Item = [u8; 512]>) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let archive = Endless { entries: entries.chain([[0; 512]; 2]), now: io::Cursor::default() };
    unpack(archive, root.path(), Limits::default()).unwrap();
    root
}

#[test]
fn a_folder_that_is_replaced_takes_what_was_in_it_along_and_nothing_else() {
    // Beside `a` there are names that sort between `a` and its content, and right after.
    let folders = ["a", "a/b", "a/b/c", "a-b", "a0", "b"].map(|name| header(name, b'5', ""));
    let replaced = [header("a", b'2', "b"), header("a", b'2', "a0"), header("a", b'5', ""), header("a/d", b'5', "")];
    let root = ends(folders.into_iter().chain(replaced));
    let mut names: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "a-b", "a0", "b"]);
    for name in ["a", "a/d", "a-b", "a0", "b"] {
        let time = std::fs::symlink_metadata(root.path().join(name)).unwrap().mtime();
        assert_eq!(time, 1, "{name}");
    }
    assert!(!root.path().join("a/b").exists());
}

#[test]
fn many_folders_do_not_make_replacing_dear() {
    // Ten thousand folders wait for their times while one name is replaced over and over: walking all of them each time
    // took hours for a layer of a few megabytes.
    let folders = (0..10_000).map(|n| header(&format!("{}/{n}", n / 1000), b'5', ""));
    let replaced = (0..20_000).map(|n| header("same", b'2', if n % 2 == 0 { "one" } else { "two" }));
    let root = ends(folders.chain(replaced));
    assert_eq!(std::fs::read_link(root.path().join("same")).unwrap().to_str(), Some("two"));
}

#[test]
fn a_folder_named_again_and_again_is_kept_once() {
    let (again, opaque) = (header("d", b'5', ""), header("d/.wh..wh..opq", b'0', ""));
    let root = tempfile::tempdir().unwrap();
    let entries = (0..10_000).flat_map(|_| [again, opaque]).chain([[0; 512]; 2]);
    let archive = Endless { entries, now: io::Cursor::default() };
    assert_eq!(unpack(archive, root.path(), Limits::default()).unwrap(), [b"d".to_vec()]);
}
