//! The sandbox library of the suites: hosts as network namespaces, each with its own rcr.
//!
//! A test that lacks a privilege or a tool fails; nothing is skipped silently. Nothing here touches the machine's own
//! links, routes or rules, and only processes started here are ended.
//!
//! | room | what |
//! |---|---|
//! | [`archive`] | tar archives as an attacker would write them |
//! | [`browser`] | a browser that a test drives |
//! | [`images`] | `rcr` and layers for suites about images |
//! | [`host`] | a host: its namespace, its state folders, `rcr` on it, the world outside |
//! | [`netns`] | network namespaces kept by a descriptor; running programs in them |
//! | [`real`] | images of real programs, and the table of results |
//! | [`registry`] | a registry that misbehaves on demand; Debian's docker-registry |
//! | [`ruleset`] | rulesets of nftables as text |
//! | [`snapshot`] | everything on a host as text, to compare before and after |
//! | [`terminal`] | a program on a pseudo terminal |
//! | [`why`] | `network why`, asked |

// Tests set up namespaces, terminals and limits between fork and execve.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod archive;
pub mod browser;
pub mod cluster;
pub mod host;
pub mod images;
pub mod netns;
pub mod real;
pub mod registry;
pub mod ruleset;
pub mod snapshot;
pub mod terminal;
pub mod why;

pub use host::{Host, Ran};
pub use netns::Netns;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// The folder of the programs under test: `RCR_BIN`, else beside this test's own program.
pub fn bin() -> PathBuf {
    match std::env::var_os("RCR_BIN") {
        Some(dir) => dir.into(),
        None => {
            // Tests are in `deps` below the programs, the bench beside them.
            let own = std::env::current_exe().expect("own path");
            let mut folders = own.ancestors().skip(1);
            folders.find(|dir| dir.join("rcr").is_file()).expect("rcr is built: `make build`").to_owned()
        }
    }
}

/// A root file system of the cache, made if it is missing.
pub fn rootfs(name: &str) -> PathBuf {
    cached(name, "tar.gz")
}

/// The folder for what outlives a run of the tests.
pub fn cache() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_else(|| "/root".into());
    std::env::var_os("RCR_CACHE").map(PathBuf::from).unwrap_or_else(|| home.join(".cache/rcr"))
}

/// The file that `images/mkNAME` makes, made if it is missing.
pub fn cached(name: &str, kind: &str) -> PathBuf {
    let file = cache().join(format!("{name}.{kind}"));
    if !file.exists() {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../images/mk{name}"));
        let status = Command::new(&script).arg(&file).stdout(std::process::Stdio::null()).status();
        assert!(status.expect("run the image script").success(), "{} failed", script.display());
    }
    file
}

/// Retries until it is true; the limit covers a loaded machine, not a slow program.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !check() {
        assert!(Instant::now() < until, "never became true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
