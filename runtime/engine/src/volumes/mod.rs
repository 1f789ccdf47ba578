//! Volumes: folders that outlive their containers; and a container's mounts beside its image.

mod copy;
pub mod seed;

use crate::config::{Config, Mount, MountKind};
use crate::create::request::{Source, VolumeUse};
use crate::dirs::private_folder;
use crate::instance::Instance;
use crate::names;
use netd_api::NetworkName;
use rcr_base::{Doing, Error, Kind, Outcome, command};
use rcr_shim::cleanup::remove_folder;
use std::path::{Path, PathBuf};

/// Adds the requested mounts, then the image's volumes that no request covers.
pub(crate) fn add_volumes(
    instance: &Instance,
    config: &mut Config,
    given: Vec<VolumeUse>,
    image: &[String],
) -> Outcome<()> {
    for volume in given {
        let kind = match volume.source {
            Source::Path(ref path) => bind(path.clone(), &volume, config)?,
            Source::Volume(name) => MountKind::Volume { source: make_volume(instance, &name)?, name, anonymous: false },
            Source::Anonymous => anonymous(instance)?,
        };
        config.mounts.push(Mount { target: volume.target, kind, read_only: volume.read_only });
        seed(config, volume.copy)?;
    }
    for target in image {
        let target = target.trim_end_matches('/').to_owned();
        if target.starts_with('/') && !config.mounts.iter().any(|m| m.target == target) {
            config.mounts.push(Mount { target, kind: anonymous(instance)?, read_only: false });
            seed(config, true)?;
        }
    }
    Ok(())
}

/// Fills a new volume from the image: the last one of the config's mounts.
fn seed(config: &Config, copy: bool) -> Outcome<()> {
    let Some(Mount { target, kind: MountKind::Volume { source, .. }, .. }) = config.mounts.last() else {
        return Ok(());
    };
    let folder = source.parent().unwrap_or(source);
    seed::first_use(folder, &config.image.layers, target, copy)
}

/// Device files that every container has; bound to another name (`-v /dev/null:/etc/x`) they work without permission.
const COMMON_DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

fn bind(source: PathBuf, flag: &VolumeUse, config: &Config) -> Outcome<MountKind> {
    let doing = || format!("cannot bind `{}`", source.display());
    if !source.exists() {
        if !flag.create_source {
            return Err(Error::new(Kind::Invalid, doing())
                .caused_by("it does not exist on the host")
                .hint("create it, or use `-v`, which makes a folder"));
        }
        std::fs::create_dir_all(&source).doing(doing)?;
    }
    let source = source.canonicalize().doing(doing)?;
    let kind = std::fs::metadata(&source).doing(doing)?.file_type();
    let is_device =
        std::os::unix::fs::FileTypeExt::is_char_device(&kind) || std::os::unix::fs::FileTypeExt::is_block_device(&kind);
    let opened = config.security.privileged || !config.device_rules.is_empty() || !config.devices.is_empty();
    if is_device && !opened && !COMMON_DEVICES.iter().any(|common| source == Path::new(common)) {
        let (from, to) = (source.display(), &flag.target);
        return Err(Error::new(Kind::Invalid, doing())
            .caused_by("it is a device, and the container has no permission to open it")
            .hint(format!("`--device {from}:{to}` gives it; `--device-cgroup-rule` opens what is bound")));
    }
    // If the user gave device rules, the mount must not block what they allow.
    let (dev, suid) = (flag.dev || is_device || opened, flag.suid || config.security.privileged);
    Ok(MountKind::Bind { source, recursive: flag.recursive, propagation: flag.propagation, dev, suid })
}

fn anonymous(instance: &Instance) -> Outcome<MountKind> {
    let name = names::new_id().doing(|| "cannot make a volume name")?.to_string();
    Ok(MountKind::Volume { source: make_volume(instance, &name)?, name, anonymous: true })
}

/// The folder of a volume, made if it is new; a mark says so until its first use.
pub fn make_volume(instance: &Instance, name: &str) -> Outcome<PathBuf> {
    let volumes = instance.dirs.volumes();
    let folder = volumes.join(name);
    let data = folder.join(seed::DATA);
    let make = || -> std::io::Result<()> {
        private_folder(&volumes)?;
        if !data.is_dir() {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(seed::NEW), [])?;
            std::fs::create_dir_all(&data)?;
            open_up(&data)?;
        }
        Ok(())
    };
    make().doing(|| format!("cannot create the volume `{name}`"))?;
    Ok(data)
}

fn open_up(folder: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

fn check(name: &str) -> Outcome<()> {
    let checked = name.parse::<NetworkName>();
    checked.map(drop).map_err(|e| {
        Error::new(Kind::Invalid, format!("cannot use `{name}` as a volume name")).caused_by(format!("it {}", e.why))
    })
}

/// Makes a volume, if it does not exist yet.
pub fn create(instance: &Instance, name: &str) -> Outcome<PathBuf> {
    instance.dirs.ensure()?;
    check(name)?;
    make_volume(instance, name)
}

/// The folder of an existing volume.
pub fn find(instance: &Instance, name: &str) -> Outcome<PathBuf> {
    check(name)?;
    let data = instance.dirs.volumes().join(name).join(seed::DATA);
    match data.is_dir() {
        true => Ok(data),
        false => Err(Error::new(Kind::NotFound, format!("no such volume: `{name}`"))
            .hint(format!("{} lists all volumes", command::list_volumes()))),
    }
}

/// The names of all volumes, sorted.
pub fn list(instance: &Instance) -> Vec<String> {
    let entries = std::fs::read_dir(instance.dirs.volumes()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Removes a volume that no container uses.
pub fn remove(instance: &Instance, name: &str) -> Outcome<()> {
    find(instance, name)?;
    let uses = |mounts: &[Mount]| {
        mounts.iter().any(|m| matches!(&m.kind, MountKind::Volume { name: used, .. } if used == name))
    };
    let users: Vec<String> =
        instance.containers().list()?.into_iter().filter(|c| uses(&c.config.mounts)).map(|c| c.config.name).collect();
    if !users.is_empty() {
        return Err(Error::new(Kind::InUse, format!("cannot remove the volume `{name}`"))
            .caused_by(format!("it is used by {}", users.join(", ")))
            .hint(format!("remove them first: {}", command::rm(&users.join(" ")))));
    }
    remove_folder(&instance.dirs.volumes().join(name)).doing(|| format!("cannot remove the volume `{name}`"))
}
