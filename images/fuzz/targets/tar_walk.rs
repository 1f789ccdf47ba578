//! Bytes → file operations: whatever the bytes say, no operation names anything outside.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcr_images::unpack::{FileOp, Limits, walk};

fn inside(path: &[u8]) {
    assert!(!path.starts_with(b"/") && !path.contains(&0), "{path:?}");
    assert!(path.len() <= 4095);
    assert!(path.split(|b| *b == b'/').all(|part| part != b".." && part != b"." && part.len() <= 255), "{path:?}");
}

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { entries: 10_000, bytes: 1 << 24, ..Limits::default() };
    let _ = walk(bytes, limits, &mut |op, content| {
        match op {
            FileOp::Folder { path, .. } => inside(path),
            FileOp::File { path, size, .. } => {
                inside(path);
                assert!(!path.is_empty());
                let got = std::io::copy(content, &mut std::io::sink()).unwrap_or(0);
                assert!(got <= *size, "{got} bytes of a file of {size}");
            }
            FileOp::Symlink { path, target, .. } => {
                inside(path);
                assert!(!path.is_empty() && !target.is_empty() && !target.contains(&0));
            }
            FileOp::HardLink { path, target } => {
                inside(path);
                inside(target);
                assert!(!path.is_empty() && !target.is_empty());
            }
            FileOp::Device { path, .. } | FileOp::Fifo { path, .. } | FileOp::Whiteout { path } => {
                inside(path);
                assert!(!path.is_empty());
            }
            FileOp::Opaque { folder } => inside(folder),
        }
        Ok(())
    });
});
