//! Options of the driver `local`, which are mount(8)'s: `type`, `o` and `device`.

use crate::config::FileSystem;
use rcr_base::{Doing, Error, Kind, Outcome};
use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::path::PathBuf;

/// Options that the mount has, not the file system.
const FLAGS: [&str; 10] =
    ["suid", "nosuid", "dev", "nodev", "exec", "noexec", "noatime", "nodiratime", "relatime", "strictatime"];
/// Options that only mount(8) and systemd read.
const FOR_OTHERS: [&str; 9] = ["defaults", "auto", "noauto", "nofail", "_netdev", "user", "nouser", "users", "rw"];

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
    /// In a file system that is mounted for each container (`type=nfs`, or any other that the kernel has).
    FileSystem(FileSystem),
}

impl Content {
    /// Reads the options.
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
            "" | "none" | "bind" => refuse("`device=` needs a `type=`, or `o=bind` for a folder of the host".into()),
            fstype if of("device").is_empty() => refuse(format!("a volume of type `{fstype}` needs `device=`")),
            fstype => Ok(Self::FileSystem(file_system(fstype, of("device"), flags))),
        }
    }
}

fn file_system(fstype: &str, device: &str, given: Vec<&str>) -> FileSystem {
    let for_others = |option: &&str| FOR_OTHERS.contains(option) || option.starts_with("x-");
    let (flags, options): (Vec<&str>, Vec<&str>) =
        given.into_iter().filter(|option| !for_others(option)).partition(|option| FLAGS.contains(option));
    let texts = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
    FileSystem { fstype: fstype.into(), device: device.into(), options: texts(options), flags: texts(flags) }
}

/// The options with the server's name (`addr=`) as an address: the kernel looks up no names.
pub fn with_addresses(file_system: &FileSystem) -> Outcome<Vec<String>> {
    let address = |option: &String| match option.strip_prefix("addr=") {
        None => Ok(option.clone()),
        Some(server) => {
            let doing = || format!("cannot find the server `{server}` of a volume");
            let found = (server, 0).to_socket_addrs().doing(doing)?.next();
            let found = found.ok_or_else(|| Error::new(Kind::NotFound, doing()).caused_by("it has no address"))?;
            Ok(format!("addr={}", found.ip()))
        }
    };
    file_system.options.iter().map(address).collect()
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
        let nfs = of(&[("type", "nfs"), ("o", "addr=127.0.0.1,rw,noexec,_netdev,vers=4"), ("device", ":/x")]).unwrap();
        let Content::FileSystem(nfs) = nfs else { panic!("{nfs:?}") };
        assert_eq!((nfs.fstype.as_str(), nfs.device.as_str()), ("nfs", ":/x"));
        assert_eq!((nfs.options.join(","), nfs.flags.join(",")), ("addr=127.0.0.1,vers=4".into(), "noexec".into()));
        assert_eq!(with_addresses(&nfs).unwrap(), nfs.options);
        let named = FileSystem { options: vec!["addr=localhost".into()], ..nfs };
        assert!(["addr=127.0.0.1", "addr=::1"].contains(&with_addresses(&named).unwrap()[0].as_str()));
        for bad in [
            &[("type", "nfs"), ("o", "addr=10.0.0.1")][..],
            &[("device", "/dev/sdb1")],
            &[("type", "none"), ("o", "bind")],
            &[("type", "none"), ("o", "bind"), ("device", "x")],
            &[("type", "tmpfs"), ("o", "suid")],
            &[("size", "1g")],
        ] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
