//! Where the other programs of rcr are.

use std::path::{Path, PathBuf};

/// A program of ours: beside this one, else where `make install` and packages put it, else in `PATH` under its bare
/// name.
pub fn sibling(name: &str) -> PathBuf {
    let own = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    let fixed = ["/usr/local/libexec/rcr", "/usr/libexec/rcr", "/usr/local/sbin", "/usr/sbin"].map(PathBuf::from);
    own.into_iter().chain(fixed).map(|dir| dir.join(name)).find(|path| path.is_file()).unwrap_or_else(|| name.into())
}
