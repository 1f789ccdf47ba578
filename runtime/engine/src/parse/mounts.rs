//! Mounts: folders of the host, volumes, and tmpfs.

use super::Parsed;
use super::limits::bytes;
use super::words::{boolean, nearest};
use crate::config::{Mount, MountKind, Propagation};
use crate::create::request::{Source, VolumeUse};
use std::path::PathBuf;

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

/// A mount that is spelled out.
#[derive(Debug, Clone, PartialEq)]
pub enum MountText {
    /// A folder or file of the host, or a volume.
    Volume(VolumeUse),
    /// An empty file system in memory.
    Tmpfs(Mount),
}

/// The keys of [`mount`].
const KEYS: [&str; 8] =
    ["type", "source", "target", "readonly", "bind-propagation", "bind-nonrecursive", "tmpfs-size", "tmpfs-mode"];

/// A mount's keys, before they are looked at together.
struct Written<'a> {
    kind: &'a str,
    from: Option<&'a str>,
    target: Option<String>,
    read_only: bool,
    propagation: Propagation,
    recursive: bool,
    tmpfs: Vec<String>,
    copy: bool,
    create_source: bool,
}

/// `type=…,source=…,target=…[,readonly]…`.
pub fn mount(text: &str) -> Parsed<MountText> {
    let mut written = Written {
        kind: "volume",
        from: None,
        target: None,
        read_only: false,
        propagation: Propagation::Private,
        recursive: true,
        tmpfs: Vec::new(),
        copy: true,
        create_source: false,
    };
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, "true"));
        match key {
            "type" => written.kind = value,
            "source" | "src" => written.from = Some(value),
            "target" | "dst" | "destination" => written.target = Some(target(value)?),
            "readonly" | "ro" => written.read_only = boolean(value)?,
            "bind-propagation" => written.propagation = propagation(value)?,
            "bind-nonrecursive" => written.recursive = !boolean(value)?,
            "tmpfs-size" => written.tmpfs.push(format!("size={}", bytes(value)?)),
            "tmpfs-mode" => written.tmpfs.push(format!("mode={value}")),
            "volume-nocopy" => written.copy = !boolean(value)?,
            "bind-create-src" => written.create_source = boolean(value)?,
            "consistency" => {}
            _ => return Err(format!("unknown key `{key}`{}", nearest(key, &KEYS))),
        }
    }
    written.together(text)
}

fn propagation(text: &str) -> Parsed<Propagation> {
    match text {
        "rprivate" | "private" => Ok(Propagation::Private),
        "rslave" | "slave" => Ok(Propagation::Slave),
        "rshared" | "shared" => Ok(Propagation::Shared),
        _ => Err(format!("unknown propagation `{text}`")),
    }
}

impl Written<'_> {
    /// What the keys mean together.
    fn together(self, text: &str) -> Parsed<MountText> {
        let target = self.target.ok_or_else(|| format!("`{text}` has no target="))?;
        let source = match (self.kind, self.from) {
            ("tmpfs", None) => {
                let kind = MountKind::Tmpfs { options: self.tmpfs };
                return Ok(MountText::Tmpfs(Mount { target, kind, read_only: self.read_only }));
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
            (other, _) => {
                return Err(format!("unknown type `{other}`{}", nearest(other, &["bind", "volume", "tmpfs"])));
            }
        };
        if !self.tmpfs.is_empty() {
            return Err("tmpfs options need type=tmpfs".into());
        }
        Ok(MountText::Volume(VolumeUse {
            source,
            target,
            read_only: self.read_only,
            recursive: self.recursive,
            propagation: self.propagation,
            create_source: self.create_source,
            copy: self.copy,
            dev: false,
            suid: false,
        }))
    }
}

/// A tmpfs, `target[:options]`.
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
        assert_eq!(volume("./a:/b").unwrap().source, Source::Path("./a".into()));
        assert_eq!(volume(".:/b:ro,cached").unwrap().source, Source::Path(".".into()));
        assert!(!volume("v:/b:nocopy").unwrap().copy && volume("v:/b").unwrap().copy);
        for bad in ["", "rel", "~/a:/b", "/a:/", "/a:/b/../c", "/a:/b:xx", "/a:/b:ro:c", "a/b:/c"] {
            assert!(volume(bad).is_err(), "{bad}");
        }
        assert!(
            matches!(mount("type=bind,source=/a,target=/b,readonly"), Ok(MountText::Volume(v)) if v.read_only && !v.create_source)
        );
        assert!(matches!(mount("type=tmpfs,target=/t,tmpfs-size=1m"), Ok(MountText::Tmpfs(_))));
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
