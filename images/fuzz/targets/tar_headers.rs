//! pax and GNU headers: the fuzzer writes their content, the frame around it is valid, so that all code is reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcr_images::unpack::{FileOp, Limits, walk};

fn entry(archive: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let _ = header.set_path("name");
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let (first, second) = rest.split_at(rest.len() / 2);
    let mut archive = Vec::new();
    // A pax header, a global one, a GNU long name, a long link; then an entry of some kind.
    entry(&mut archive, [b'x', b'g', b'L', b'K'][usize::from(choice & 3)], first);
    if choice & 4 != 0 {
        entry(&mut archive, [b'L', b'x'][usize::from(choice >> 3 & 1)], second);
    }
    entry(&mut archive, [b'0', b'2', b'1', b'5', b'S', b'7', b'3', b'6'][usize::from(choice >> 5)], b"content");
    archive.resize(archive.len() + 1024, 0);
    let _ = walk(&archive[..], Limits::default(), &mut |op, content| {
        if let FileOp::File { size, meta, .. } = op {
            assert!(std::io::copy(content, &mut std::io::sink()).unwrap_or(0) <= *size);
            assert!(meta.mode <= 0o7777 && meta.uid != u32::MAX && meta.gid != u32::MAX);
            assert!(meta.xattrs.iter().all(|(name, _)| !name.starts_with(b"trusted.") && !name.contains(&0)));
        }
        Ok(())
    });
});
