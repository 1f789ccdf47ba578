//! What is read, compressed (RFC 1952).

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Read, Write};

/// Copies `from` to `to`, compressed.
pub fn compress(mut from: impl Read, to: impl Write) -> io::Result<()> {
    let mut packed = GzEncoder::new(to, Compression::default());
    io::copy(&mut from, &mut packed)?;
    packed.finish()?.flush()
}

/// What a compressed file holds.
pub fn decompress(from: impl Read) -> impl Read {
    flate2::read::MultiGzDecoder::new(from)
}
