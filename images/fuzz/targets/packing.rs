//! gzip and zstd: any bytes are decompressed or refused, and the size of the pieces makes no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rcr_images::Error;
use rcr_images::unpack::packed::decode;
use rcr_images::unpack::pipe::{Pieces, queue};
use std::cell::RefCell;

/// How many bytes are read: what fuzzing finds in a bomb it finds in the first ones.
const MOST: usize = 4 << 20;

fn unpacked(pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let (to, from) = queue();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        let _ = to.send(piece.to_vec().into());
    }
    drop(to);
    let out = RefCell::new(Vec::new());
    let end = decode(Pieces::new(from), &|piece| {
        out.borrow_mut().extend_from_slice(&piece);
        if out.borrow().len() > MOST { Err(Error::limit("bytes", String::new())) } else { Ok(()) }
    });
    end.ok().map(|_| out.into_inner())
}

fuzz_target!(|bytes: &[u8]| {
    let whole = unpacked(&[bytes]);
    // The beginning names the format, and comes in one piece.
    let (head, rest) = bytes.split_at(bytes.len().min(4 + bytes.len() / 3));
    let (middle, end) = rest.split_at(rest.len() / 2);
    assert!(whole == unpacked(&[head, middle, end]));
});
