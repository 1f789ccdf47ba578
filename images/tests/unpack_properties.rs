//! Whatever an archive says, unpacking changes nothing outside its folder. This tests the checks alone, without the
//! sandbox that `rcr-unpack` puts around them. Needs root, since it makes devices and sets owners.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rcr_images::unpack::{FileOp, Limits, mark_opaque, unpack, walk};
use std::path::Path;

#[derive(Debug, Clone)]
struct Entry {
    kind: u8,
    name: String,
    link: String,
    content: Vec<u8>,
}

/// Few names, so that entries meet: later ones replace earlier ones, go through them, link to them.
fn name() -> impl Strategy<Value = String> {
    let part =
        prop::sample::select(vec!["a", "b", "c", ".", "..", "", ".wh.a", ".wh.b", ".wh..wh..opq", ".wh..", "victim"]);
    (any::<bool>(), prop::collection::vec(part, 1..5)).prop_map(|(absolute, parts)| {
        let path = parts.join("/");
        if absolute { format!("/{path}") } else { path }
    })
}

/// Ways out: up, or straight to the victim, which the test knows as `VICTIM`.
fn link() -> impl Strategy<Value = String> {
    let out = prop::sample::select(vec![
        "VICTIM",
        "VICTIM/file",
        "../victim",
        "../../victim/file",
        "../../../../..",
        "/",
        ".",
    ]);
    prop_oneof![name(), out.prop_map(str::to_owned)]
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop::sample::select(vec![b'0', b'0', b'1', b'2', b'2', b'5', b'3', b'6', 0]);
    let content = prop::collection::vec(any::<u8>(), 0..20);
    (kind, name(), link(), content).prop_map(|(kind, name, link, content)| Entry { kind, name, link, content })
}

fn archive(entries: &[Entry], victim: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let mut header = [0u8; 512];
        let put = |header: &mut [u8; 512], at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        put(&mut header, 0, entry.name.as_bytes());
        put(&mut header, 100, b"0006755\x000000001\x000000002\x00");
        let content: &[u8] =
            if [b'0', 0].contains(&entry.kind) && !entry.name.ends_with('/') { &entry.content } else { b"" };
        put(&mut header, 124, format!("{:011o}\x0000000000000\x00", content.len()).as_bytes());
        header[156] = entry.kind;
        put(&mut header, 157, entry.link.replace("VICTIM", victim).as_bytes());
        put(&mut header, 257, b"ustar\x0000");
        put(&mut header, 329, b"0000001\x00000003\x00");
        put(&mut header, 148, b"        ");
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Everything outside the root, with times: nothing may be touched.
fn outside(folder: &Path) -> String {
    let script = "find . -path ./root/fs -prune -o -printf '%p %y %m %U %G %s %T@ %C@ %n %l\\n' | sort; cat victim/file; getfattr -d -m - victim victim/file 2>/dev/null";
    let output = std::process::Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    // The folder above the root changes its time when the root is made.
    String::from_utf8(output.stdout).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_outside_changes(entries in prop::collection::vec(entry(), 1..12)) {
        let folder = tempfile::tempdir().unwrap();
        let (root, victim) = (folder.path().join("root/fs"), folder.path().join("victim"));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("file"), "safe").unwrap();
        let before = outside(folder.path());
        let bytes = archive(&entries, victim.to_str().unwrap());
        // It may well fail; it must not reach out.
        if let Ok(opaque) = unpack(&bytes[..], &root, Limits::default()) {
            let _ = mark_opaque(&root, &opaque);
        }
        prop_assert_eq!(before, outside(folder.path()));
    }

    #[test]
    fn operations_name_nothing_outside(bytes in prop::collection::vec(any::<u8>(), 0..2048), entries in prop::collection::vec(entry(), 0..6)) {
        let mut all = archive(&entries, "/victim");
        // Spoilt here and there.
        for (at, byte) in bytes.iter().enumerate().step_by(97) {
            let at = (at * 131) % all.len();
            all[at] ^= byte;
        }
        let inside = |path: &[u8]| !path.starts_with(b"/") && path.split(|b| *b == b'/').all(|part| part != b".." && part != b".");
        let _ = walk(&all[..], Limits::default(), &mut |op, _| {
            let good = match op {
                FileOp::Opaque { folder } => inside(folder),
                FileOp::HardLink { path, target } => inside(path) && inside(target) && !target.is_empty(),
                FileOp::Folder { path, .. } | FileOp::File { path, .. } | FileOp::Symlink { path, .. } => inside(path),
                FileOp::Device { path, .. } | FileOp::Fifo { path, .. } | FileOp::Whiteout { path } => inside(path),
            };
            assert!(good, "{op:?}");
            Ok(())
        });
    }
}
