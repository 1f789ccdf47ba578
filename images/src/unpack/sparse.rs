//! Sparse files in the pax form: versions 0.0, 0.1 and 1.0 of GNU tar ("Storing Sparse Files" in its manual). Pure.
//!
//! The archive stores a file's extents back to back; a map says where each belongs. 0.0 and 0.1 have the map in the pax
//! header, 1.0 as decimal lines before the content, padded to a block. The `tar` crate handles GNU's older form.

use crate::Error;
use std::io::{self, Read};

/// Extents that one file may have: 4 MiB of memory.
const MOST_EXTENTS: usize = 1 << 18;
const BLOCK: usize = 512;

/// What the pax header of one entry says.
#[derive(Debug, Default)]
pub struct Header {
    /// The file's real name: the entry's is made up, for readers that don't know this form.
    pub name: Option<Vec<u8>>,
    size: Option<u64>,
    major: Option<u64>,
    minor: Option<u64>,
    /// Offset, length, offset, …
    map: Vec<u64>,
    seen: bool,
}

fn number(value: &[u8]) -> Result<u64, Error> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or_else(|| wrong("has an invalid number"))
}

fn wrong(what: &str) -> Error {
    Error::Hostile(format!("a sparse file's map {what}"))
}

impl Header {
    /// The header of this entry; `None`: it is not sparse in this form.
    pub fn of<R: Read>(entry: &mut tar::Entry<R>) -> Result<Option<Self>, Error> {
        let Ok(Some(extensions)) = entry.pax_extensions() else { return Ok(None) };
        let mut header = Self::default();
        for extension in extensions {
            let extension = extension.map_err(|_| Error::Hostile("a pax header is malformed".into()))?;
            if let Some(key) = extension.key_bytes().strip_prefix(b"GNU.sparse.") {
                header.take(key, extension.value_bytes())?;
            }
        }
        Ok(header.seen.then_some(header))
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.seen = true;
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(number(value)?),
            b"major" => self.major = Some(number(value)?),
            b"minor" => self.minor = Some(number(value)?),
            b"map" => self.map = value.split(|b| *b == b',').map(number).collect::<Result<_, _>>()?,
            b"offset" | b"numbytes" => {
                if self.map.len().is_multiple_of(2) != (key == b"offset") {
                    return Err(wrong("has an offset without a length"));
                }
                self.map.push(number(value)?);
            }
            // It follows from the map.
            b"numblocks" => {}
            _ => return Err(wrong("has a field that is not understood")),
        }
        if self.map.len() > 2 * MOST_EXTENTS {
            return Err(wrong("has too many extents"));
        }
        Ok(())
    }

    /// The map: version 1.0 has it at the beginning of the content, of which there are `stored` bytes.
    pub fn map(self, content: &mut dyn Read, mut stored: u64) -> Result<Map, Error> {
        let size = self.size.ok_or_else(|| wrong("does not say the file's size"))?;
        let numbers = match (self.major, self.minor) {
            (None, None) | (Some(0), _) => self.map,
            (Some(1), Some(0)) => read_map(content, &mut stored)?,
            _ => return Err(wrong("is of a version that is not understood")),
        };
        Map::new(size, &numbers, stored)
    }
}

/// The map of version 1.0: how many extents, then offset and length of each, one number a line.
fn read_map(content: &mut dyn Read, stored: &mut u64) -> Result<Vec<u64>, Error> {
    let (mut numbers, mut line, mut want) = (Vec::new(), Vec::new(), None);
    while want != Some(numbers.len()) {
        let mut block = [0; BLOCK];
        *stored = stored.checked_sub(BLOCK as u64).ok_or_else(|| wrong("is longer than its file"))?;
        content.read_exact(&mut block).map_err(|error| match error.raw_os_error() {
            None => wrong("ends early"),
            Some(_) => Error::Io { doing: "cannot read the layer".into(), source: error },
        })?;
        for byte in block {
            if want == Some(numbers.len()) {
                break;
            }
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let value = number(&std::mem::take(&mut line))?;
            match want {
                Some(_) => numbers.push(value),
                None if value > MOST_EXTENTS as u64 => return Err(wrong("has too many extents")),
                None => want = Some(value as usize * 2),
            }
        }
        if line.len() > 20 {
            return Err(wrong("has an invalid number"));
        }
    }
    Ok(numbers)
}

/// Where the stored bytes belong: checked to be in order, separate, inside the file, and complete.
#[derive(Debug, PartialEq, Eq)]
pub struct Map {
    /// Bytes of the whole file.
    pub size: u64,
    /// Offset and length of each extent.
    extents: Vec<(u64, u64)>,
}

impl Map {
    fn new(size: u64, numbers: &[u64], stored: u64) -> Result<Self, Error> {
        let (mut extents, mut end, mut all) = (Vec::with_capacity(numbers.len() / 2), 0, 0u64);
        for pair in numbers.chunks(2) {
            let [offset, length] = *pair else { return Err(wrong("has an offset without a length")) };
            let next = offset.checked_add(length).filter(|next| offset >= end && *next <= size);
            end = next.ok_or_else(|| wrong("has extents that overlap or lie outside"))?;
            all += length;
            extents.push((offset, length));
        }
        if all != stored {
            return Err(wrong("does not match the stored bytes"));
        }
        Ok(Self { size, extents })
    }

    /// The file as its reader sees it, with its holes.
    pub fn expand<R: Read>(self, stored: R) -> Expanded<R> {
        Expanded { stored, at: 0, size: self.size, extents: self.extents.into_iter().peekable() }
    }
}

/// A sparse file's bytes, with zeros in its holes.
pub struct Expanded<R> {
    stored: R,
    at: u64,
    size: u64,
    extents: std::iter::Peekable<std::vec::IntoIter<(u64, u64)>>,
}

impl<R: Read> Read for Expanded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.extents.next_if(|(offset, length)| offset + length <= self.at).is_some() {}
        let extent = self.extents.peek().copied();
        let end = match extent {
            Some((offset, length)) if offset <= self.at => offset + length,
            Some((offset, _)) => offset,
            None => self.size,
        };
        let most = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let got = match extent {
            Some((offset, _)) if offset <= self.at => self.stored.read(&mut buffer[..most])?,
            _ => {
                buffer[..most].fill(0);
                most
            }
        };
        self.at += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(fields: &[(&str, &str)]) -> Result<Header, Error> {
        let mut header = Header::default();
        fields.iter().try_for_each(|(key, value)| header.take(key.as_bytes(), value.as_bytes()))?;
        Ok(header)
    }

    fn file(fields: &[(&str, &str)], stored: &[u8]) -> Result<Vec<u8>, Error> {
        let mut content = stored;
        let map = header(fields)?.map(&mut content, stored.len() as u64)?;
        let mut out = Vec::new();
        map.expand(content).read_to_end(&mut out).map_err(|e| Error::Hostile(e.to_string()))?;
        Ok(out)
    }

    #[test]
    fn each_version_puts_bytes_where_they_belong() {
        let want = b"\0\0abc\0\0\0de\0";
        assert_eq!(file(&[("size", "11"), ("map", "2,3,8,2")], b"abcde").unwrap(), want);
        let repeated = [("size", "11"), ("offset", "2"), ("numbytes", "3"), ("offset", "8"), ("numbytes", "2")];
        assert_eq!(file(&repeated, b"abcde").unwrap(), want);
        let mut stored = b"3\n2\n3\n8\n2\n11\n0\n".to_vec();
        stored.resize(BLOCK, 0);
        stored.extend_from_slice(b"abcde");
        assert_eq!(file(&[("major", "1"), ("minor", "0"), ("realsize", "11")], &stored).unwrap(), want);
        assert_eq!(file(&[("size", "3")], b"").unwrap(), b"\0\0\0");
    }

    #[test]
    fn maps_that_lie_are_refused() {
        for fields in [
            &[("size", "10"), ("map", "0,3,2,2")][..],
            &[("size", "4"), ("map", "0,3,3,2")],
            &[("size", "10"), ("map", "0,4")],
            &[("size", "10"), ("map", "0,5,9")],
            &[("size", "10"), ("map", "18446744073709551615,5")],
            &[("size", "-1"), ("map", "0,5")],
            &[("map", "0,5")],
            &[("size", "10"), ("numbytes", "5")],
            &[("size", "10"), ("major", "2"), ("minor", "0"), ("map", "0,5")],
            &[("size", "10"), ("major", "1"), ("minor", "0")],
            &[("size", "10"), ("map", "0,5"), ("else", "1")],
        ] {
            assert!(file(fields, b"abcde").is_err(), "{fields:?}");
        }
        let endless = vec![b'1'; 2 * BLOCK];
        assert!(file(&[("major", "1"), ("minor", "0"), ("realsize", "11")], &endless).is_err());
        let mut many = b"99999999\n".to_vec();
        many.resize(BLOCK, 0);
        assert!(file(&[("major", "1"), ("minor", "0"), ("realsize", "11")], &many).is_err());
    }
}
