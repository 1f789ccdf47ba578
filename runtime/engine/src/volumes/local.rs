//! Options of the driver `local`, which are mount(8)'s: `type`, `o` and `device`.

use rcr_base::{Error, Kind, Outcome};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a volume's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In its own folder.
    Own,
    /// In a folder of the host (`type=none`, `o=bind`).
    Folder {
        /// Its absolute path.
        device: PathBuf,
        /// No container can write to it.
        read_only: bool,
    },
    /// In memory, for each container apart (`type=tmpfs`).
    Memory(Vec<String>),
}

impl Content {
    /// Reads the options. Errors: a type that would have to be mounted on the host.
    pub fn of(options: &BTreeMap<String, String>) -> Outcome<Self> {
        let refuse = |why: String| Err(Error::new(Kind::Invalid, why));
        if let Some(unknown) = options.keys().find(|key| !["type", "o", "device"].contains(&key.as_str())) {
            return refuse(format!("a volume has no option `{unknown}`; known are type, o, device"));
        }
        let of = |key: &str| options.get(key).map(String::as_str).unwrap_or_default();
        let flags: Vec<&str> = of("o").split(',').filter(|flag| !flag.is_empty()).collect();
        let is_bound = flags.iter().any(|flag| ["bind", "rbind"].contains(flag));
        match of("type") {
            "" if options.is_empty() => Ok(Self::Own),
            "" | "none" | "bind" if is_bound && of("device").starts_with('/') => {
                Ok(Self::Folder { device: of("device").into(), read_only: flags.contains(&"ro") })
            }
            "" | "none" | "bind" if is_bound => refuse("`o=bind` needs `device=` with an absolute path".into()),
            "tmpfs" => {
                let values = ["size=", "mode=", "uid=", "gid=", "nr_inodes="];
                match flags.iter().find(|flag| !values.iter().any(|value| flag.starts_with(value))) {
                    Some(flag) => refuse(format!("a tmpfs has no option `{flag}`; known are {}", values.join(" "))),
                    None => Ok(Self::Memory(flags.into_iter().map(str::to_owned).collect())),
                }
            }
            other => Err(Error::new(Kind::Invalid, format!("a volume can't be of type `{other}`"))
                .caused_by("rcr keeps no mounts on the host, which somebody would have to undo")
                .hint(
                    "mount it on the host, by /etc/fstab for example, and give the folder: `--opt type=none --opt o=bind \
                     --opt device=/mnt/FOLDER`",
                )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[(&str, &str)]) -> Outcome<Content> {
        Content::of(&options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn types_of_volumes() {
        assert_eq!(of(&[]).unwrap(), Content::Own);
        let folder = of(&[("type", "none"), ("o", "bind,ro"), ("device", "/srv")]).unwrap();
        assert_eq!(folder, Content::Folder { device: "/srv".into(), read_only: true });
        let memory = of(&[("type", "tmpfs"), ("o", "size=1m,uid=1000"), ("device", "tmpfs")]).unwrap();
        assert_eq!(memory, Content::Memory(vec!["size=1m".into(), "uid=1000".into()]));
        for bad in [
            &[("type", "nfs"), ("o", "addr=10.0.0.1"), ("device", ":/x")][..],
            &[("type", "none"), ("o", "bind")],
            &[("type", "none"), ("o", "bind"), ("device", "x")],
            &[("type", "tmpfs"), ("o", "suid")],
            &[("size", "1g")],
        ] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
