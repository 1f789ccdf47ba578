//! Tar archives as an attacker would write them: each entry a raw header (ustar, POSIX.1-1988).

use std::io::Write;

/// An archive under construction.
#[derive(Default, Clone)]
pub struct Archive(Vec<u8>);

impl Archive {
    pub fn new() -> Self {
        Self::default()
    }

    /// An entry owned by root, with the mode 0644.
    pub fn entry(self, name: &str, kind: u8, link: &str, content: &[u8]) -> Self {
        self.raw(name.as_bytes(), kind, link, content, content.len() as u64, "0000644")
    }

    /// A regular file.
    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, b'0', "", content)
    }

    /// A folder.
    pub fn folder(self, name: &str) -> Self {
        self.raw(name.as_bytes(), b'5', "", b"", 0, "0000755")
    }

    /// An entry whose header may claim another size than the content has.
    pub fn raw(mut self, name: &[u8], kind: u8, link: &str, content: &[u8], size: u64, mode: &str) -> Self {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name);
        header[100..107].copy_from_slice(mode.as_bytes());
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A regular file whose name is in two parts, as in ustar.
    pub fn prefixed(self, prefix: &str, name: &str, content: &[u8]) -> Self {
        let at = self.0.len();
        let mut all = self.file(name, content);
        all.0[at + 345..][..prefix.len()].copy_from_slice(prefix.as_bytes());
        let header = &all.0[at..at + 512];
        let sum: u32 =
            header.iter().enumerate().map(|(n, b)| if (148..156).contains(&n) { 32 } else { (*b).into() }).sum();
        all.0[at + 148..at + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        all
    }

    /// A pax header for the next entry (pax(1)): `NAME=value` records.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            content.extend_from_slice(format!("{length} {key}=").as_bytes());
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.entry("pax", b'x', "", &content)
    }

    /// The whole archive.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// Packs bytes as gzip does.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    packer.write_all(bytes).expect("into memory");
    packer.finish().expect("into memory")
}
