//! Files that set values below `/proc/sys` at every boot (sysctl.d(5)).

use netd_core::check::file_sets;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The folders, the one that goes before the others first, and the old file.
const FOLDERS: [&str; 4] = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"];
const OLD: &str = "/etc/sysctl.conf";
/// Files of a folder, and bytes of a file, that are looked at.
const FILES: usize = 256;
const BYTES: u64 = 64 << 10;

/// A file that gives a setting this value. `key`: its path below `/proc/sys`.
pub fn sets_value(key: &str, value: &str) -> Option<PathBuf> {
    let mut files = vec![PathBuf::from(OLD)];
    for folder in FOLDERS {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let of_folder = entries.take(FILES).filter_map(Result::ok).map(|entry| entry.path());
        files.extend(of_folder.filter(|path| path.extension().is_some_and(|end| end == "conf")));
    }
    files.into_iter().find(|path| read(path).is_some_and(|text| file_sets(&text, key, value)))
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}
