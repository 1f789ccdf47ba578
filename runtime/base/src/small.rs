//! Small files, read many at a time: all into one buffer, below a folder that is open already, and nobody asks for a
//! file's size before it is read.

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::read;
use rustix::path::Arg;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What a small file usually fits in, in bytes.
const USUAL: usize = 16 * 1024;

/// A buffer for one file after the other.
#[derive(Debug, Default)]
pub struct SmallFiles {
    bytes: Vec<u8>,
}

impl SmallFiles {
    /// The file `path` below `folder`: open, and all its bytes.
    pub fn read(&mut self, folder: impl AsFd, path: impl Arg) -> io::Result<(OwnedFd, &[u8])> {
        let file = openat(folder, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut length = 0;
        loop {
            if length == self.bytes.len() {
                self.bytes.resize((2 * length).max(USUAL), 0);
            }
            match read(&file, &mut self.bytes[length..]) {
                Ok(0) => return Ok((file, &self.bytes[..length])),
                Ok(more) => length += more,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_any_size_come_whole_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::File::open(folder.path()).unwrap();
        let mut files = SmallFiles::default();
        for size in [0, 1, USUAL - 1, USUAL, USUAL + 1, 5 * USUAL, 3] {
            let bytes: Vec<u8> = (0..size).map(|i| i as u8).collect();
            std::fs::write(folder.path().join(size.to_string()), &bytes).unwrap();
            assert!(files.read(&open, size.to_string()).unwrap().1 == bytes, "{size}");
        }
        assert_eq!(files.read(&open, "none").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
