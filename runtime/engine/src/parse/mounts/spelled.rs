//! A mount that is spelled out, `type=…,source=…,target=…`.

use super::{source, target};
use crate::config::{Mount, MountKind, Propagation};
use crate::create::request::{Source, VolumeUse};
use crate::parse::Parsed;
use crate::parse::limits::bytes;
use crate::parse::words::{boolean, fields, label, nearest, pair};
use std::collections::BTreeMap;

/// What it is.
#[derive(Debug, Clone, PartialEq)]
pub enum MountText {
    /// A folder or file of the host, a volume, or an image.
    Volume(VolumeUse),
    /// An empty file system in memory.
    Tmpfs(Mount),
}

/// The keys, and the types that they go with; none: all of them.
const KEYS: [(&str, &str); 17] = [
    ("type", ""),
    ("source", ""),
    ("target", ""),
    ("readonly", ""),
    ("consistency", ""),
    ("bind-propagation", "bind"),
    ("bind-nonrecursive", "bind"),
    ("bind-recursive", "bind"),
    ("bind-create-src", "bind"),
    ("volume-nocopy", "volume"),
    ("volume-subpath", "volume"),
    ("volume-label", "volume"),
    ("volume-driver", "volume"),
    ("volume-opt", "volume"),
    ("tmpfs-size", "tmpfs"),
    ("tmpfs-mode", "tmpfs"),
    ("image-subpath", "image"),
];

/// The keys' values, before they are looked at together.
#[derive(Default)]
struct Written {
    kind: String,
    from: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<Propagation>,
    recursion: Recursion,
    create_source: bool,
    copy: bool,
    subpath: Option<String>,
    labels: BTreeMap<String, String>,
    options: BTreeMap<String, String>,
    tmpfs: Vec<String>,
}

/// `bind-recursive`.
#[derive(Default, PartialEq)]
enum Recursion {
    #[default]
    Enabled,
    Disabled,
    /// With the mounts below, which stay writable.
    Writable,
    /// With the mounts below, and all of them read-only.
    ReadOnly,
}

/// `type=…,source=…,target=…[,readonly]…`. A part in double quotes may hold commas, as with Docker.
pub fn mount(text: &str) -> Parsed<MountText> {
    let mut written = Written { kind: "volume".into(), copy: true, ..Written::default() };
    let parts = fields(text)?;
    let split =
        |part: &str| part.split_once('=').map_or((part.to_owned(), "true".to_owned()), |(k, v)| (k.into(), v.into()));
    let mut used = Vec::new();
    for part in &parts {
        let (key, value): (String, String) = split(part);
        let key = match key.as_str() {
            "src" => "source",
            "dst" | "destination" => "target",
            "ro" => "readonly",
            other => other,
        };
        written.set(key, &value)?;
        used.push(key.to_owned());
    }
    for key in used {
        let (_, of) = KEYS.iter().find(|(known, _)| *known == key).unwrap_or(&("", ""));
        if !of.is_empty() && *of != written.kind {
            return Err(format!("`{key}` goes with type={of}, not with type={}", written.kind));
        }
    }
    written.together(text)
}

impl Written {
    fn set(&mut self, key: &str, value: &str) -> Parsed<()> {
        match key {
            "type" => value.clone_into(&mut self.kind),
            "source" => self.from = Some(value.to_owned()),
            "target" => self.target = Some(target(value)?),
            "readonly" => self.read_only = boolean(value)?,
            "consistency" => {}
            "bind-propagation" => self.propagation = Some(propagation(value)?),
            "bind-nonrecursive" if boolean(value)? => self.recursion = Recursion::Disabled,
            "bind-nonrecursive" => {}
            "bind-recursive" => self.recursion = recursion(value)?,
            "bind-create-src" => self.create_source = boolean(value)?,
            "volume-nocopy" => self.copy = !boolean(value)?,
            "volume-subpath" | "image-subpath" => self.subpath = Some(subpath(value)?),
            "volume-label" => self.labels.extend([label(value)?]),
            "volume-driver" => driver(value).map(drop)?,
            "volume-opt" => self.options.extend([pair(value)?]),
            "tmpfs-size" => self.tmpfs.push(format!("size={}", bytes(value)?)),
            "tmpfs-mode" => self.tmpfs.push(format!("mode={}", mode(value)?)),
            _ => return Err(format!("unknown key `{key}`{}", nearest(key, &KEYS.map(|(known, _)| known)))),
        }
        Ok(())
    }

    /// What the keys mean together.
    fn together(self, text: &str) -> Parsed<MountText> {
        let target = self.target.ok_or_else(|| format!("`{text}` has no target="))?;
        let source = match (self.kind.as_str(), self.from.as_deref()) {
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
            ("image", Some(name)) if !name.is_empty() => Source::Image(name.to_owned()),
            ("image", _) => return Err("an image needs source= with its name".into()),
            (other, _) => {
                return Err(format!("unknown type `{other}`{}", nearest(other, &["bind", "volume", "tmpfs", "image"])));
            }
        };
        let read_only = self.read_only || matches!(source, Source::Image(_));
        if self.recursion == Recursion::ReadOnly
            && (!read_only || self.propagation.unwrap_or_default() != Propagation::Private)
        {
            return Err("`bind-recursive=readonly` needs `readonly`, and no propagation but rprivate".into());
        }
        if self.recursion == Recursion::Writable && !read_only {
            return Err("`bind-recursive=writable` needs `readonly`".into());
        }
        Ok(MountText::Volume(VolumeUse {
            read_only,
            recursive: self.recursion != Recursion::Disabled,
            writable_below: self.recursion == Recursion::Writable,
            propagation: self.propagation.unwrap_or_default(),
            create_source: self.create_source,
            copy: self.copy,
            subpath: self.subpath,
            labels: self.labels,
            options: self.options,
            ..VolumeUse::new(source, target)
        }))
    }
}

fn propagation(text: &str) -> Parsed<Propagation> {
    match text {
        "rprivate" | "private" => Ok(Propagation::Private),
        "rslave" | "slave" => Ok(Propagation::Slave),
        "rshared" | "shared" => Ok(Propagation::Shared),
        _ => Err(format!("unknown propagation `{text}`; known are private, slave, shared, rprivate, rslave, rshared")),
    }
}

fn recursion(text: &str) -> Parsed<Recursion> {
    match text {
        "enabled" => Ok(Recursion::Enabled),
        "disabled" => Ok(Recursion::Disabled),
        "writable" => Ok(Recursion::Writable),
        "readonly" => Ok(Recursion::ReadOnly),
        _ => Err(format!("unknown recursion `{text}`; known are enabled, disabled, writable, readonly")),
    }
}

/// Below the volume's or the image's root.
fn subpath(text: &str) -> Parsed<String> {
    let path = text.trim_matches('/');
    match !text.starts_with('/') && !path.is_empty() && !path.split('/').any(|part| part == ".." || part.is_empty()) {
        true => Ok(path.to_owned()),
        false => Err(format!("`{text}` is not a relative path below the source")),
    }
}

fn mode(text: &str) -> Parsed<&str> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(text),
        _ => Err(format!("`{text}` is not a mode such as 1777")),
    }
}

/// The driver of a volume: there is one.
pub fn driver(text: &str) -> Parsed<String> {
    match text {
        "local" | "" => Ok("local".into()),
        other => Err(format!("there is no volume driver `{other}`: a volume is a folder of this host; known is local")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(text: &str) -> VolumeUse {
        match mount(text) {
            Ok(MountText::Volume(volume)) => volume,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_key_is_read() {
        let bind = volume("type=bind,src=/a,dst=/b,ro,bind-propagation=rslave,bind-nonrecursive,consistency=cached");
        assert!(bind.read_only && !bind.recursive && !bind.create_source && bind.propagation == Propagation::Slave);
        let below = volume("type=bind,source=/a,target=/b,readonly,bind-recursive=writable");
        assert!(below.writable_below && below.recursive && below.read_only);
        let whole = volume("type=bind,source=/a,target=/b,readonly=true,bind-recursive=readonly");
        assert!(!whole.writable_below && whole.recursive);
        assert!(!volume("type=bind,source=/a,target=/b,readonly=false").read_only);
        let named = volume(
            "source=v,target=/b,volume-nocopy,volume-subpath=a/b,volume-label=k=v,volume-driver=local,\
             volume-opt=type=none,\"volume-opt=o=bind,rw\",volume-opt=device=/x",
        );
        assert!(!named.copy && named.subpath.as_deref() == Some("a/b") && named.labels["k"] == "v");
        assert_eq!((named.options["o"].as_str(), named.options["device"].as_str()), ("bind,rw", "/x"));
        let image = volume("type=image,source=alpine:3,target=/i,image-subpath=etc");
        assert_eq!((image.source, image.read_only), (Source::Image("alpine:3".into()), true));
        let tmpfs = mount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770").unwrap();
        let options = vec!["size=1048576".to_owned(), "mode=1770".to_owned()];
        let kind = MountKind::Tmpfs { options };
        assert_eq!(tmpfs, MountText::Tmpfs(Mount { target: "/t".into(), kind, read_only: false }));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "type=bind,target=/b",
            "source=/a,target=/b",
            "type=tmpfs,source=x,target=/t",
            "type=x,target=/t",
            "type=bind,sorce=/a,target=/b",
            "type=bind,source=/a,target=/b,volume-nocopy",
            "type=volume,source=a,target=/b,bind-propagation=rslave",
            "type=volume,source=a,target=/b,volume-subpath=../x",
            "type=volume,source=a,target=/b,volume-subpath=/x",
            "type=volume,source=a,target=/b,volume-driver=nfs",
            "type=tmpfs,target=/t,tmpfs-mode=9",
            "type=image,target=/i",
            "type=bind,source=/a,target=/b,bind-recursive=readonly",
            "type=bind,source=/a,target=/b,bind-recursive=sometimes",
            "type=bind,source=/a,target=/b,bind-propagation=up",
            "source=a,target=/b,\"volume-opt=x",
        ] {
            assert!(mount(bad).is_err(), "{bad}");
        }
    }
}
