//! `-v`, `--mount` and `--tmpfs`: text to types. Pure but for the folder that a relative path starts from.

use super::value::{Parsed, bytes, nearest};
use rcr_engine::config::{Mount, MountKind, Propagation};
use rcr_engine::volumes::{Source, VolumeUse};

fn target(text: &str) -> Parsed<String> {
    if !text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(format!("`{text}` is not an absolute path in the container"));
    }
    match text.trim_end_matches('/') {
        "" => Err("nothing can be mounted over the root".into()),
        path => Ok(path.to_owned()),
    }
}

fn source(text: &str) -> Parsed<Source> {
    // As with Docker: what begins with a dot is a path from here, everything else without a slash a volume.
    if text.starts_with('/') || [".", ".."].contains(&text) || text.starts_with("./") || text.starts_with("../") {
        let path = std::path::absolute(text).map_err(|e| format!("the source `{text}`: {e}"))?;
        return Ok(Source::Path(path));
    }
    if text.starts_with('~') {
        return Err(format!("the source `{text}` is not a path: only a shell knows what `~` is"));
    }
    text.parse::<netd_api::NetworkName>()
        .map(|_| Source::Volume(text.to_owned()))
        .map_err(|e| format!("volume name `{text}` {}", e.why))
}

/// `-v [source:]target[:options]`.
pub fn volume(text: &str) -> Parsed<VolumeUse> {
    let parts: Vec<&str> = text.split(':').collect();
    let (from, to, options) = match parts.as_slice() {
        [to] => (Source::Anonymous, *to, ""),
        [from, to] => (source(from)?, *to, ""),
        [from, to, options] => (source(from)?, *to, *options),
        _ => return Err(format!("`{text}` has too many colons")),
    };
    let mut flag = VolumeUse {
        source: from,
        target: target(to)?,
        read_only: false,
        recursive: true,
        propagation: Propagation::Private,
        create_source: true,
        copy: true,
        dev: false,
        suid: false,
    };
    for option in options.split(',').filter(|o| !o.is_empty()) {
        match option {
            "ro" => flag.read_only = true,
            // Labels are SELinux's, consistency is Docker Desktop's: neither means anything here.
            "rw" | "rprivate" | "private" | "rbind" | "z" | "Z" | "exec" | "nodev" | "nosuid" => {}
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

/// What a `--mount` says.
#[derive(Debug, Clone, PartialEq)]
pub enum MountFlag {
    Volume(VolumeUse),
    Tmpfs(Mount),
}

/// `--mount type=…,source=…,target=…[,readonly]…`.
pub fn mount(text: &str) -> Parsed<MountFlag> {
    let (mut kind, mut from, mut to) = ("volume", None, None);
    let (mut read_only, mut propagation, mut recursive, mut options) = (false, Propagation::Private, true, Vec::new());
    let (mut copy, mut create_source) = (true, false);
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, "true"));
        match key {
            "type" => kind = value,
            "source" | "src" => from = Some(value),
            "target" | "dst" | "destination" => to = Some(target(value)?),
            "readonly" | "ro" => read_only = flag(value)?,
            "bind-propagation" => {
                propagation = match value {
                    "rprivate" | "private" => Propagation::Private,
                    "rslave" | "slave" => Propagation::Slave,
                    "rshared" | "shared" => Propagation::Shared,
                    _ => return Err(format!("unknown propagation `{value}`")),
                }
            }
            "bind-nonrecursive" => recursive = !flag(value)?,
            "tmpfs-size" => options.push(format!("size={}", bytes(value)?)),
            "tmpfs-mode" => options.push(format!("mode={value}")),
            "volume-nocopy" => copy = !flag(value)?,
            "bind-create-src" => create_source = flag(value)?,
            "consistency" => {}
            _ => {
                let known = [
                    "type",
                    "source",
                    "target",
                    "readonly",
                    "bind-propagation",
                    "bind-nonrecursive",
                    "tmpfs-size",
                    "tmpfs-mode",
                ];
                return Err(format!("unknown key `{key}`{}", nearest(key, &known)));
            }
        }
    }
    let target = to.ok_or_else(|| format!("`{text}` has no target="))?;
    let from = match (kind, from) {
        ("tmpfs", None) => {
            return Ok(MountFlag::Tmpfs(Mount { target, kind: MountKind::Tmpfs { options }, read_only }));
        }
        ("tmpfs", Some(_)) => return Err("a tmpfs has no source".into()),
        ("bind", Some(path)) => match source(path) {
            Ok(path @ Source::Path(_)) => path,
            _ => return Err("a bind needs source= with a path that begins with `/` or `./`".into()),
        },
        ("bind", None) => return Err("a bind needs source= with a path".into()),
        ("volume", None) => Source::Anonymous,
        ("volume", Some(name)) => match source(name)? {
            Source::Path(_) => return Err(format!("`{name}` is no volume name; use type=bind for a path")),
            named => named,
        },
        (other, _) => return Err(format!("unknown type `{other}`{}", nearest(other, &["bind", "volume", "tmpfs"]))),
    };
    if !options.is_empty() {
        return Err("tmpfs options need type=tmpfs".into());
    }
    let (dev, suid) = (false, false);
    let volume = VolumeUse { source: from, target, read_only, recursive, propagation, create_source, copy, dev, suid };
    Ok(MountFlag::Volume(volume))
}

fn flag(value: &str) -> Parsed<bool> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("`{value}` is neither true nor false")),
    }
}

/// `--tmpfs target[:options]`.
pub fn tmpfs(text: &str) -> Parsed<Mount> {
    let (to, options) = text.split_once(':').unwrap_or((text, ""));
    let options: Vec<&str> = options.split(',').filter(|o| !o.is_empty()).collect();
    let known = |o: &&&str| {
        let key = o.split('=').next().unwrap_or_default();
        let flags = ["ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev"];
        flags.contains(&key) || ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"].contains(&key)
    };
    if let Some(bad) = options.iter().find(|o| !known(o)) {
        return Err(format!(
            "unknown tmpfs option `{bad}`{}",
            nearest(bad, &["size=", "mode=", "uid=", "gid=", "ro", "exec"])
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
        let here = std::env::current_dir().unwrap();
        assert_eq!(volume("./a:/b").unwrap().source, Source::Path(here.join("a")));
        assert_eq!(volume(".:/b:ro,cached").unwrap().source, Source::Path(here));
        assert!(!volume("v:/b:nocopy").unwrap().copy && volume("v:/b").unwrap().copy);
        for bad in ["", "rel", "~/a:/b", "/a:/", "/a:/b/../c", "/a:/b:xx", "/a:/b:ro:c", "a/b:/c"] {
            assert!(volume(bad).is_err(), "{bad}");
        }
        assert!(
            matches!(mount("type=bind,source=/a,target=/b,readonly"), Ok(MountFlag::Volume(v)) if v.read_only && !v.create_source)
        );
        assert!(matches!(mount("type=tmpfs,target=/t,tmpfs-size=1m"), Ok(MountFlag::Tmpfs(_))));
        for bad in [
            "type=bind,target=/b",
            "source=/a,target=/b",
            "type=tmpfs,source=x,target=/t",
            "type=x,target=/t",
            "type=bind,sorce=/a,target=/b",
        ] {
            assert!(mount(bad).is_err(), "{bad}");
        }
        assert_eq!(tmpfs("/t:size=64m,ro").unwrap().kind, MountKind::Tmpfs { options: vec!["size=64m".into()] });
        assert!(tmpfs("/t:sise=64m").is_err());
    }
}
