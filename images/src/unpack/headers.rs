//! A tar stream on its way to the parser. Headers whose claims would do harm are refused or corrected here. Pure.
//!
//! - The parser reads a header with a name or a pax record into memory as a whole: one that is too long is refused
//!   first.
//! - Only files have content. Builders write a size into headers of folders, links and devices, too; nothing follows
//!   it, and it is taken out, as Docker's and GNU's readers ignore it.

use std::collections::VecDeque;
use std::io::{self, Read};

const BLOCK: usize = 512;
/// The longest pax header, and the longest name in GNU's form, in bytes. Go's reader, which most builders are tested
/// with, takes 1 MiB.
const LONGEST_PAX: u64 = 1 << 20;
const LONGEST_NAME: u64 = 64 << 10;
/// Headers before one entry's own: a name, a link's target, a pax header. Nobody needs more.
const MOST_BEFORE: usize = 8;
/// Blocks with extents of a sparse file in GNU's old form, 21 in each.
const MOST_SPARSE: usize = 12_500;

/// See the top of this file.
pub struct Headers<R> {
    inner: R,
    /// Read and checked, but not yet passed on.
    ready: VecDeque<u8>,
    /// Bytes of content that pass unchanged.
    content: u64,
    /// The rest is passed on unread: the archive's end, or what the parser will refuse.
    done: bool,
}

impl<R: Read> Headers<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, ready: VecDeque::new(), content: 0, done: false }
    }

    /// Fills up to `buffer.len()` bytes; less only at the end.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut got = 0;
        while got < buffer.len() {
            match self.inner.read(&mut buffer[got..]) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }

    /// The next entry's header, with those in front of it.
    fn header(&mut self) -> io::Result<()> {
        let mut before: Vec<u8> = Vec::new();
        let mut size_of_pax = None;
        for _ in 0..MOST_BEFORE {
            let mut block = [0u8; BLOCK];
            let got = self.fill(&mut block)?;
            let whole = got == BLOCK && block.iter().any(|byte| *byte != 0) && is_sound(&block);
            let size = tar::Header::from_byte_slice(&block).entry_size();
            let (Some(mut size), true) = (size.ok(), whole) else {
                self.ready.extend(before.iter().chain(&block[..got]));
                self.done = true;
                return Ok(());
            };
            let kind = block[156];
            if matches!(kind, b'x' | b'L' | b'K') {
                let (limit, what) = if kind == b'x' { (LONGEST_PAX, "pax header") } else { (LONGEST_NAME, "name") };
                if size > limit {
                    return Err(too_long(what, size, limit));
                }
                let mut content = vec![0u8; (size as usize).next_multiple_of(BLOCK)];
                let got = self.fill(&mut content)?;
                content.truncate(got);
                if kind == b'x' {
                    size_of_pax = pax_size(&content[..got.min(size as usize)]).or(size_of_pax);
                }
                before.extend_from_slice(&block);
                before.extend_from_slice(&content);
                continue;
            }
            if matches!(kind, b'1'..=b'6') {
                if size > 0 {
                    let header = tar::Header::from_byte_slice(&block);
                    let mut header = header.clone();
                    header.set_size(0);
                    header.set_cksum();
                    block.copy_from_slice(header.as_bytes());
                }
                if size_of_pax.is_some() {
                    forget_size(&mut before);
                }
                size = 0;
            } else {
                size = size_of_pax.filter(|_| kind != b'g').unwrap_or(size);
            }
            self.ready.extend(before.iter().chain(&block));
            if kind == b'S' && block[482] != 0 {
                self.sparse()?;
            }
            self.content = size.checked_next_multiple_of(BLOCK as u64).unwrap_or(u64::MAX);
            return Ok(());
        }
        self.ready.extend(before);
        self.done = true;
        Ok(())
    }

    /// More extents of GNU's old form.
    fn sparse(&mut self) -> io::Result<()> {
        for _ in 0..MOST_SPARSE {
            let mut block = [0u8; BLOCK];
            let got = self.fill(&mut block)?;
            self.ready.extend(&block[..got]);
            if got < BLOCK || block[504] == 0 {
                return Ok(());
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "a sparse file has too many extents"))
    }
}

fn too_long(what: &str, size: u64, limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a {what} of {size} bytes is longer than {limit}"))
}

/// Whether the checksum is right: refusing a damaged header is the parser's job, and we must not repair it.
fn is_sound(block: &[u8; BLOCK]) -> bool {
    let bytes = block.iter().enumerate().map(|(n, b)| if (148..156).contains(&n) { 32 } else { u32::from(*b) });
    tar::Header::from_byte_slice(block).cksum().is_ok_and(|sum| sum == bytes.sum::<u32>())
}

/// The places of a pax header's records (`25 ctime=1084839148.1212\n`): key and value, as ranges.
fn records(content: &[u8]) -> Vec<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    let (mut all, mut at) = (Vec::new(), 0);
    while let Some(space) = content[at..].iter().position(|b| *b == b' ') {
        let length = std::str::from_utf8(&content[at..at + space]).ok().and_then(|text| text.parse::<usize>().ok());
        let Some(end) = length.and_then(|length| at.checked_add(length)).filter(|end| *end <= content.len()) else {
            break;
        };
        let key = at + space + 1;
        let Some(equals) = content.get(key..end).and_then(|record| record.iter().position(|b| *b == b'=')) else {
            break;
        };
        all.push((key..key + equals, key + equals + 1..end.saturating_sub(1).max(key + equals + 1)));
        at = end;
    }
    all
}

/// The size that a pax header gives the next entry; the last one counts.
fn pax_size(content: &[u8]) -> Option<u64> {
    let sizes = records(content).into_iter().filter(|(key, _)| &content[key.clone()] == b"size");
    sizes.filter_map(|(_, value)| std::str::from_utf8(&content[value]).ok()?.parse().ok()).next_back()
}

/// Renames the size records of these pax headers, so that nobody reads them.
fn forget_size(before: &mut [u8]) {
    let mut at = 0;
    while at + BLOCK <= before.len() {
        let kind = before[at + 156];
        let mut block = [0u8; BLOCK];
        block.copy_from_slice(&before[at..at + BLOCK]);
        let size = tar::Header::from_byte_slice(&block).entry_size().unwrap_or(0) as usize;
        let content = at + BLOCK..(at + BLOCK + size).min(before.len());
        if kind == b'x' {
            for (key, _) in records(&before[content.clone()]) {
                let key = content.start + key.start..content.start + key.end;
                if &before[key.clone()] == b"size" {
                    before[key].copy_from_slice(b"SIZE");
                }
            }
        }
        at = at + BLOCK + size.next_multiple_of(BLOCK);
    }
}

impl<R: Read> Read for Headers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ready.is_empty() && self.content == 0 && !self.done {
            self.header()?;
        }
        if !self.ready.is_empty() {
            return self.ready.read(buffer);
        }
        if self.done {
            return self.inner.read(buffer);
        }
        let most = usize::try_from(self.content).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.inner.read(&mut buffer[..most])?;
        self.content -= got as u64;
        self.done = got == 0 && most > 0;
        Ok(got)
    }
}
