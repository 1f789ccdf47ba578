//! The packed side of a layer: reads it, keeps it, and decompresses it.

use super::pipe::{PIECE, Piece, Pieces};
use super::reporter::Reporter;
use super::wire::{Compression, Job};
use crate::digest::Hasher;
use crate::{Digest, Doing, Error};
use flate2::bufread::MultiGzDecoder;
use rcr_base::ImageLimits;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::SyncSender;

/// Reads all packed bytes: first those that are kept already, then those of `input`, which are kept as well.
///
/// Reads on even when nobody takes the pieces any more: the digest of the whole is useful.
pub(super) fn read(
    mut input: impl Read,
    mut kept: Option<File>,
    job: &Job,
    reporter: &Reporter,
    pieces: SyncSender<Piece>,
) -> Result<(Digest, u64), Error> {
    let mut hasher = Hasher::default();
    let mut size = 0;
    let mut pieces = Some(pieces);
    let mut take = |piece: Vec<u8>| {
        size = reporter.count_packed(piece.len());
        if size > job.limits.packed {
            return Err(Error::limit("packed", format!("it has more than {} packed bytes", job.limits.packed)));
        }
        if let Some(said) = job.size.filter(|said| size > *said) {
            return Err(Error::Hostile(format!("it has more packed bytes than the {said} its descriptor says")));
        }
        hasher.update(&piece);
        if pieces.as_ref().is_some_and(|to| to.send(piece.into()).is_err()) {
            pieces = None;
        }
        Ok(())
    };
    if let Some(file) = &mut kept {
        while let Some(piece) = fill(file).doing(|| "cannot read what was kept of the layer".into())? {
            take(piece)?;
        }
    }
    while let Some(piece) = fill(&mut input).doing(|| "cannot read the layer".into())? {
        if let Some(file) = &mut kept {
            file.write_all(&piece).doing(|| "cannot keep the packed layer".into())?;
        }
        take(piece)?;
    }
    if let Some(file) = &kept {
        file.sync_data().doing(|| "cannot keep the packed layer".into())?;
    }
    Ok((hasher.finish(), size))
}

/// The next piece: full, unless the input pauses or ends. `None` at the end.
fn fill(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut piece = Vec::with_capacity(PIECE);
    // A pipe gives 64 KiB at a time; waiting for a whole piece avoids queues of tiny ones.
    from.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(if piece.is_empty() { None } else { Some(piece) })
}

/// Decompresses, whatever the format, and passes the output on piece by piece. Pure but for waiting for pieces.
pub fn decode(mut source: Pieces, send: &dyn Fn(Piece) -> Result<(), Error>) -> Result<Compression, Error> {
    let head = source.fill_buf().map(|head| [0, 1, 2, 3].map(|at| head.get(at).copied())).unwrap_or([None; 4]);
    match head {
        [Some(0x1f), Some(0x8b), ..] => {
            pump(&mut MultiGzDecoder::new(source), send)?;
            Ok(Compression::Gzip)
        }
        [Some(0x28), Some(0xb5), Some(0x2f), Some(0xfd)] => {
            zstd(source, send)?;
            Ok(Compression::Zstd)
        }
        // A skippable frame may come first (RFC 8878, 3.1.2).
        [Some(a), Some(0x2a), Some(0x4d), Some(0x18)] if a & 0xf0 == 0x50 => {
            zstd(source, send)?;
            Ok(Compression::Zstd)
        }
        [None, ..] => Err(Error::Hostile("it is empty".into())),
        _ => {
            while let Some(piece) = source.next_piece() {
                send(piece)?;
            }
            Ok(Compression::None)
        }
    }
}

/// For [`decode`]: counts, checks the ratio, and passes each piece to all in `to`.
pub(super) fn spread(
    limits: &ImageLimits,
    reporter: &Reporter,
    to: &[SyncSender<Piece>],
    piece: Piece,
) -> Result<(), Error> {
    let unpacked = reporter.count_unpacked(piece.len());
    // Honest layers of this size stay far below; the minimum lets small ones full of zeros pass.
    if unpacked > 1 << 30 && unpacked / limits.ratio.max(1) > reporter.packed() {
        return Err(Error::limit("ratio", format!("it unpacks to more than {} times its packed size", limits.ratio)));
    }
    match to.iter().all(|queue| queue.send(piece.clone()).is_ok()) {
        true => Ok(()),
        // The other side has failed and reports why.
        false => Err(Error::Io { doing: "cannot unpack".into(), source: io::ErrorKind::BrokenPipe.into() }),
    }
}

fn pump(from: &mut impl Read, send: &dyn Fn(Piece) -> Result<(), Error>) -> Result<(), Error> {
    loop {
        match fill(from) {
            Ok(Some(piece)) => send(piece.into())?,
            Ok(None) => return Ok(()),
            Err(error) => return Err(Error::Hostile(format!("its compression is damaged: {error}"))),
        }
    }
}

/// All frames, one after another; skippable ones are skipped (RFC 8878, 3.1).
fn zstd(mut source: Pieces, send: &dyn Fn(Piece) -> Result<(), Error>) -> Result<(), Error> {
    let damaged = |why: String| Error::Hostile(format!("its compression is damaged: {why}"));
    while !source.fill_buf().map_err(|e| damaged(e.to_string()))?.is_empty() {
        match StreamingDecoder::new(&mut source) {
            Ok(mut frame) => pump(&mut frame, send)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = io::copy(&mut source.by_ref().take(length.into()), &mut io::sink());
                if skipped.map_err(|e| damaged(e.to_string()))? < u64::from(length) {
                    return Err(damaged("it ends within a skippable frame".into()));
                }
            }
            Err(error) => return Err(damaged(error.to_string())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::pipe;
    use super::*;
    use flate2::write::GzEncoder;
    use std::cell::RefCell;

    /// Packed bytes that come in pieces of `size`.
    fn unpacked(packed: &[u8], size: usize) -> Result<(Compression, Vec<u8>), Error> {
        let (to, from) = pipe::queue();
        let pieces: Vec<Vec<u8>> = packed.chunks(size).map(<[u8]>::to_vec).collect();
        let sender = std::thread::spawn(move || pieces.into_iter().try_for_each(|piece| to.send(piece.into())));
        let out = RefCell::new(Vec::new());
        let how = decode(Pieces::new(from), &|piece| {
            out.borrow_mut().extend_from_slice(&piece);
            Ok(())
        })?;
        let _ = sender.join();
        Ok((how, out.into_inner()))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn each_packing_comes_off_in_whatever_pieces_it_comes() {
        let text: Vec<u8> = (0..100_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let (first, second) = text.split_at(123_456);
        let skippable = [&b"\x5a\x2a\x4d\x18\x05\0\0\0"[..], b"stuff"].concat();
        for (packed, how) in [
            (text.clone(), Compression::None),
            (gzip(&text), Compression::Gzip),
            ([gzip(first), gzip(second)].concat(), Compression::Gzip),
            (zstd(&text), Compression::Zstd),
            ([zstd(first), skippable.clone(), zstd(second)].concat(), Compression::Zstd),
            ([skippable, zstd(&text)].concat(), Compression::Zstd),
        ] {
            for size in [7, 1000, PIECE] {
                let (found, out) = unpacked(&packed, size).unwrap();
                assert!(found == how && out == text, "{how:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_is_cut_spoilt_or_followed_by_something_is_refused() {
        let text = b"some text, ".repeat(1000);
        for packed in [gzip(&text), zstd(&text)] {
            for cut in [3, 5, 11, packed.len() / 2, packed.len() - 1] {
                let result = unpacked(&packed[..cut], PIECE);
                assert!(!result.is_ok_and(|(how, _)| how != Compression::None), "cut after {cut}");
            }
            assert!(unpacked(&[&packed[..], b"and what is that?"].concat(), PIECE).is_err());
        }
        let mut spoilt = gzip(&text);
        let at = spoilt.len() - 6;
        spoilt[at] ^= 1;
        assert!(unpacked(&spoilt, PIECE).is_err(), "its checksum is wrong");
        assert!(unpacked(b"", PIECE).is_err());
    }
}
