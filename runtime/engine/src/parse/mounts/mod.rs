//! Mounts: folders of the host, volumes, and tmpfs.

mod spelled;

use super::Parsed;
use super::words::nearest;
use crate::config::{Mount, MountKind, Propagation};
use crate::create::request::{Source, VolumeUse, VolumesFrom};
pub use spelled::{MountText, driver, mount};
use std::path::PathBuf;

pub(super) fn target(text: &str) -> Parsed<String> {
    if !text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(format!("`{text}` is not an absolute path in the container"));
    }
    match text.trim_end_matches('/') {
        "" => Err("nothing can be mounted over the root".into()),
        path => Ok(path.to_owned()),
    }
}

pub(super) fn source(text: &str) -> Parsed<Source> {
    // As with Docker: what begins with a dot is a path from here, everything else without a slash a volume. The front
    // knows where here is.
    if text.starts_with('/') || [".", ".."].contains(&text) || text.starts_with("./") || text.starts_with("../") {
        return Ok(Source::Path(PathBuf::from(text)));
    }
    if text.starts_with('~') {
        return Err(format!("the source `{text}` is not a path: only a shell knows what `~` is"));
    }
    text.parse::<netd_api::NetworkName>()
        .map(|_| Source::Volume(text.to_owned()))
        .map_err(|e| format!("volume name `{text}` {}", e.why))
}

/// A folder of the host or a volume, `[source:]target[:options]`.
pub fn volume(text: &str) -> Parsed<VolumeUse> {
    let parts: Vec<&str> = text.split(':').collect();
    let (from, to, options) = match parts.as_slice() {
        [to] => (Source::Anonymous, *to, ""),
        [from, to] => (source(from)?, *to, ""),
        [from, to, options] => (source(from)?, *to, *options),
        _ => return Err(format!("`{text}` has too many colons")),
    };
    let mut flag = VolumeUse { create_source: true, ..VolumeUse::new(from, target(to)?) };
    for option in options.split(',').filter(|o| !o.is_empty()) {
        match option {
            "ro" => flag.read_only = true,
            // Labels are SELinux's, consistency is Docker Desktop's: neither means anything here.
            "rw" | "rprivate" | "private" | "rbind" | "z" | "Z" | "exec" | "nodev" | "nosuid" | "rro" => {
                flag.read_only |= option == "rro";
            }
            "cached" | "delegated" | "consistent" | "copy" => {}
            "nocopy" => flag.copy = false,
            "dev" => flag.dev = true,
            "suid" => flag.suid = true,
            "bind" => flag.recursive = false,
            "rslave" | "slave" => flag.propagation = Propagation::Slave,
            "rshared" | "shared" => flag.propagation = Propagation::Shared,
            _ => {
                return Err(format!(
                    "unknown option `{option}`{}",
                    nearest(option, &["ro", "rw", "nocopy", "dev", "suid", "rslave", "rshared", "rprivate"])
                ));
            }
        }
    }
    Ok(flag)
}

/// Another container's volumes, `container[:ro|rw]`.
pub fn volumes_from(text: &str) -> Parsed<VolumesFrom> {
    let (container, mode) = text.split_once(':').unwrap_or((text, ""));
    let read_only = match mode {
        "" | "rw" | "z" | "Z" => false,
        "ro" => true,
        other => return Err(format!("unknown mode `{other}`; known are ro, rw")),
    };
    match container {
        "" => Err("it names no container".into()),
        name => Ok(VolumesFrom { container: name.to_owned(), read_only }),
    }
}

/// Options of tmpfs(5) and of mount(8).
const TMPFS_FLAGS: [&str; 13] = [
    "ro",
    "rw",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "noatime",
    "nodiratime",
    "relatime",
    "strictatime",
    "noswap",
];
const TMPFS_VALUES: [&str; 8] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"];

/// A tmpfs, `target[:options]`.
pub fn tmpfs(text: &str) -> Parsed<Mount> {
    let (to, options) = text.split_once(':').unwrap_or((text, ""));
    let options: Vec<&str> = options.split(',').filter(|o| !o.is_empty()).collect();
    let known = |o: &&&str| {
        let (key, value) = o.split_once('=').unwrap_or((o, ""));
        let is_flag = TMPFS_FLAGS.contains(&key) && value.is_empty();
        is_flag || (TMPFS_VALUES.contains(&key) && !value.is_empty())
    };
    if let Some(bad) = options.iter().find(|o| !known(o)) {
        return Err(format!(
            "unknown tmpfs option `{bad}`{}",
            nearest(bad, &["size=", "mode=", "uid=", "gid=", "ro", "exec", "suid", "dev", "noatime"])
        ));
    }
    let read_only = options.contains(&"ro");
    let options = options.into_iter().filter(|o| !["ro", "rw"].contains(o)).map(str::to_owned).collect();
    Ok(Mount { target: target(to)?, kind: MountKind::Tmpfs { options }, read_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_mounts_and_tmpfs() {
        assert_eq!(volume("/data").unwrap().source, Source::Anonymous);
        assert_eq!(volume("db:/data:ro").unwrap().source, Source::Volume("db".into()));
        assert!(volume("/a:/b:ro").unwrap().read_only);
        assert_eq!(volume("./a:/b").unwrap().source, Source::Path("./a".into()));
        assert_eq!(volume(".:/b:ro,cached").unwrap().source, Source::Path(".".into()));
        assert!(!volume("v:/b:nocopy").unwrap().copy && volume("v:/b").unwrap().copy);
        for bad in ["", "rel", "~/a:/b", "/a:/", "/a:/b/../c", "/a:/b:xx", "/a:/b:ro:c", "a/b:/c"] {
            assert!(volume(bad).is_err(), "{bad}");
        }
        assert_eq!(tmpfs("/t:size=64m,ro").unwrap().kind, MountKind::Tmpfs { options: vec!["size=64m".into()] });
        assert!(tmpfs("/t:sise=64m").is_err() && tmpfs("/t:ro=1").is_err() && tmpfs("/t:size").is_err());
        assert!(volume("/a:/b:rro").unwrap().read_only && tmpfs("/t:exec,suid,dev,noatime,mpol=local").is_ok());
    }
}
