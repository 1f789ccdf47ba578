//! The packed side of a layer: reading and keeping it, and taking its compression off.

use super::pipe::{PIECE, Piece, Pieces};
use super::wire::{Compression, Job};
use super::worker::Reporter;
use crate::digest::Hasher;
use crate::{Digest, Doing, Error};
use flate2::bufread::MultiGzDecoder;
use netd_api::ImageLimits;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::SyncSender;

/// Reads all packed bytes: first those that are kept already, then those of `input`, which are kept, too.
///
/// It goes on when nobody takes the pieces any more: the digest of all of it is worth having.
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
    // A pipe hands over 64 KiB at a time; waiting for a whole piece keeps the queues short of tiny ones.
    from.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(if piece.is_empty() { None } else { Some(piece) })
}

/// Takes the compression off, whichever it is, and hands the bytes to everyone in `to`.
pub(super) fn decode(
    mut source: Pieces,
    limits: &ImageLimits,
    reporter: &Reporter,
    to: &[SyncSender<Piece>],
) -> Result<Compression, Error> {
    let head = source.fill_buf().map(|head| [0, 1, 2, 3].map(|at| head.get(at).copied())).unwrap_or([None; 4]);
    let send = |piece: Piece| {
        let unpacked = reporter.count_unpacked(piece.len());
        // Honest layers of this size stay far below; the floor lets small ones full of zeros pass.
        if unpacked > 1 << 30 && unpacked / limits.ratio.max(1) > reporter.packed() {
            return Err(Error::limit(
                "ratio",
                format!("it unpacks to more than {} times its packed size", limits.ratio),
            ));
        }
        match to.iter().all(|queue| queue.send(piece.clone()).is_ok()) {
            true => Ok(()),
            // The other side has failed and says why.
            false => Err(Error::Io { doing: "cannot unpack".into(), source: io::ErrorKind::BrokenPipe.into() }),
        }
    };
    match head {
        [Some(0x1f), Some(0x8b), ..] => {
            pump(&mut MultiGzDecoder::new(source), &send)?;
            Ok(Compression::Gzip)
        }
        [Some(0x28), Some(0xb5), Some(0x2f), Some(0xfd)] => {
            zstd(source, &send)?;
            Ok(Compression::Zstd)
        }
        // A skippable frame may come first (RFC 8878, 3.1.2).
        [Some(a), Some(0x2a), Some(0x4d), Some(0x18)] if a & 0xf0 == 0x50 => {
            zstd(source, &send)?;
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

fn pump(from: &mut impl Read, send: &impl Fn(Piece) -> Result<(), Error>) -> Result<(), Error> {
    loop {
        match fill(from) {
            Ok(Some(piece)) => send(piece.into())?,
            Ok(None) => return Ok(()),
            Err(error) => return Err(Error::Hostile(format!("its compression is damaged: {error}"))),
        }
    }
}

/// All frames, one after another; skippable ones are skipped (RFC 8878, 3.1).
fn zstd(mut source: Pieces, send: &impl Fn(Piece) -> Result<(), Error>) -> Result<(), Error> {
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
