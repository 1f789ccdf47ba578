//! Pieces of bytes passed from thread to thread without copying.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of a piece at most, and how many pieces may wait in one queue.
pub const PIECE: usize = 256 << 10;
const PIECES: usize = 8;

/// Shared, as two threads read the unpacked bytes.
pub type Piece = Arc<Vec<u8>>;

/// A bounded queue.
pub fn queue() -> (SyncSender<Piece>, Receiver<Piece>) {
    sync_channel(PIECES)
}

/// A queue as a stream. It ends when the sender is dropped.
pub struct Pieces {
    receiver: Receiver<Piece>,
    piece: Piece,
    at: usize,
}

impl Pieces {
    /// A stream of the pieces that arrive here.
    pub fn new(receiver: Receiver<Piece>) -> Self {
        Self { receiver, piece: Piece::default(), at: 0 }
    }

    /// Drains the queue.
    pub fn skip_all(&mut self) {
        self.at = self.piece.len();
        self.receiver.iter().for_each(drop);
    }

    /// The rest of the current piece, or the next one, whole and without copying; `None` at the end.
    pub fn next_piece(&mut self) -> Option<Piece> {
        if self.at == 0 && !self.piece.is_empty() {
            return Some(std::mem::take(&mut self.piece));
        }
        if self.at < self.piece.len() {
            let rest = self.piece[self.at..].to_vec();
            (self.piece, self.at) = (Piece::default(), 0);
            return Some(rest.into());
        }
        self.receiver.recv().ok()
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.piece.len() {
            let Ok(piece) = self.receiver.recv() else { break };
            (self.piece, self.at) = (piece, 0);
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.piece.len());
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let got = buffer.len().min(ready.len());
        buffer[..got].copy_from_slice(&ready[..got]);
        self.consume(got);
        Ok(got)
    }
}
